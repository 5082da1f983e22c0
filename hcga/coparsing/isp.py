"""Cascaded k-means of ISP (Zhu et al., ECCV 2020), the source of masks that Table VI compares HCNet with."""

from __future__ import annotations

import warnings

import numpy as np

RESTARTS = 3  # of each k-means, from other random centres; the best is taken


def cluster_identity(features: np.ndarray, part_classes: int, seed: tuple[int, ...]) -> np.ndarray:
    """Find the parts of one identity: first the foreground by 2-means, then its parts by k-means.

    Parameters
    ----------
    features : (N, q, h, w) float16 or float32
        V of the identity's images.
    part_classes : int
        C.
    seed : tuple of int
        Decides the centres that k-means starts from.

    Returns
    -------
    (N, h, w) uint8
        0 background, 1..C-1 from top to bottom. Foreground are the cells whose activation, the norm of V over the
        image's largest, falls to the larger centre; their directions, V over its norm, are clustered into C - 1 parts,
        ordered by mean row. Where fewer directions are distinct, there are fewer parts; features without any contrast
        are all background.
    """
    images, channels, height, width = features.shape
    vectors = features.transpose(0, 2, 3, 1).reshape(-1, channels).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    largest = norms.reshape(images, -1).max(1).repeat(height * width)
    activation = np.divide(norms, largest, out=np.zeros_like(norms), where=largest > 0)
    masks = np.zeros(len(vectors), np.uint8)
    split = _cluster(activation[:, None], 2, (*seed, 0))
    if split.max() == 0:
        return masks.reshape(images, height, width)
    means = [activation[split == cluster].mean() for cluster in (0, 1)]
    inside = np.flatnonzero(split == np.argmax(means))
    clusters = _cluster(vectors[inside] / norms[inside, None], part_classes - 1, (*seed, 1))
    rows = inside // width % height
    mean_rows = [rows[clusters == cluster].mean() for cluster in range(clusters.max() + 1)]
    masks[inside] = 1 + np.argsort(np.argsort(mean_rows, kind="stable"))[clusters]
    return masks.reshape(images, height, width)


def _cluster(points: np.ndarray, count: int, seed: tuple[int, ...]) -> np.ndarray:
    """Number of each point's cluster, from 0 without gaps; no more clusters than distinct points."""
    from sklearn.cluster import KMeans  # takes half a second, which HCNet's workers need not spend
    from sklearn.exceptions import ConvergenceWarning

    state = int(np.random.SeedSequence(seed).generate_state(1)[0])
    means = KMeans(min(count, len(points)), n_init=RESTARTS, random_state=state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of fewer distinct points than clusters
        found = means.fit_predict(points)
    return np.unique(found, return_inverse=True)[1]
