"""k-reciprocal re-ranking.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.

Two images that have the same neighbours are likely to show the same person. Each image is encoded by its
k-reciprocal neighbours (those that have it among their own nearest), and the Jaccard distance of two
encodings is mixed into the original distance. Queries and gallery are one set of N = Q + G nodes here, the
queries first.

Only the few non-zero weights of each encoding are kept, and the N x N distances are read row by row: the
memory needed beyond the input is about one (Q, G) array.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Nodes = NDArray[np.int64]
Weights = NDArray[np.float64]
#: A sparse vector over the nodes: which (M,), ascending, and the weight of each (M,).
Encoding = tuple[Nodes, Weights]


def rerank(
    query_gallery: NDArray[Any],
    query_query: NDArray[Any],
    gallery_gallery: NDArray[Any],
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
) -> NDArray[np.float32]:
    """Return re-ranked distances; smaller is more alike. Rank by their negative.

    Three details follow the published implementations instead of the paper, so that numbers compare with
    published ones: distances are squared and each node's divided by its largest (the paper takes them as they
    are); the weights of an encoding are scaled to sum 1 (the paper does not); the set of a neighbour joins if
    it shares more than 2/3 (the paper: at least 2/3).

    Parameters
    ----------
    query_gallery : (Q, G) float
        Plain (not squared) distances, none negative.
    query_query : (Q, Q) float
        Symmetric; 0 on the diagonal.
    gallery_gallery : (G, G) float
        Symmetric; 0 on the diagonal.
    k1 : int
        Neighbours for the reciprocal sets. Sets smaller than that use all nodes.
    k2 : int
        Nearest nodes (itself included) over which an encoding is averaged; 1 switches that off.
    lambda_value : float
        Weight of the original distance (squared, divided by the row's maximum), in [0, 1].

    Returns
    -------
    (Q, G) float32

    Raises
    ------
    ValueError
        If an argument is out of its range, shapes do not fit together, or a distance is negative or not
        finite.
    """
    _check(query_gallery, query_query, gallery_gallery, k1, k2, lambda_value)
    distances = _Distances(query_gallery, query_query, gallery_gallery)
    queries, images = query_gallery.shape
    nodes = range(queries + images)
    nearest = np.stack([_nearest(distances.row(node), max(k1 + 1, k2)) for node in nodes])
    encodings = _encode(distances, nearest, k1)
    if k2 > 1:
        encodings = [_average([encodings[n] for n in nearest[node, :k2]], len(nodes)) for node in nodes]
    holders = _invert(encodings[queries:], len(nodes))
    result = np.empty((queries, images), np.float32)
    for query in range(queries):
        original = distances.row(query)[queries:]
        jaccard = _jaccard(encodings[query], holders, images)
        result[query] = (1 - lambda_value) * jaccard + lambda_value * original
    return result


class _Distances(NamedTuple):
    """The distances among all nodes, read row by row."""

    query_gallery: NDArray[Any]
    query_query: NDArray[Any]
    gallery_gallery: NDArray[Any]

    def row(self, node: int) -> NDArray[np.float32]:
        """Return a node's squared distances to all nodes, divided by the largest: (N,) float32."""
        queries = len(self.query_query)
        if node < queries:
            plain = np.concatenate([self.query_query[node], self.query_gallery[node]])
        else:
            image = node - queries
            plain = np.concatenate([self.query_gallery[:, image], self.gallery_gallery[image]])
        squared: NDArray[np.float32] = np.square(plain, dtype=np.float64).astype(np.float32)
        largest = squared.max()
        if largest > 0:
            squared /= largest
        return squared


def _nearest(row: NDArray[np.float32], k: int) -> Nodes:
    """Return the `k` nearest nodes (all, if there are fewer), nearest first, ties by node number."""
    k = min(k, len(row))
    within = np.flatnonzero(row <= np.partition(row, k - 1)[k - 1])
    return within[np.argsort(row[within], kind="stable")][:k]


def _reciprocal(nearest: Nodes, k: int) -> list[Nodes]:
    """For each node: those of its `k` nearest that have it among their own `k` nearest, and itself."""
    near = nearest[:, : k + 1]
    return [row[(near[row] == node).any(axis=1)] for node, row in enumerate(near)]


def _encode(distances: _Distances, nearest: Nodes, k1: int) -> list[Encoding]:
    """Encode each node by its reciprocal neighbours, weighted by exp(-distance), weights of sum 1."""
    reciprocal = _reciprocal(nearest, k1)
    narrow = _reciprocal(nearest, round(k1 / 2))
    member = np.zeros(len(nearest), np.bool_)
    encodings: list[Encoding] = []
    for node, neighbours in enumerate(reciprocal):
        # A neighbour's own narrow set joins if more than 2/3 of it are neighbours already.
        member[neighbours] = True
        joining = [narrow[n] for n in neighbours if 3 * member[narrow[n]].sum() > 2 * len(narrow[n])]
        member[neighbours] = False
        expanded = np.unique(np.concatenate([neighbours, *joining]))
        weights = np.exp(-distances.row(node)[expanded].astype(np.float64))
        encodings.append((expanded, weights / weights.sum()))
    return encodings


def _average(encodings: list[Encoding], nodes: int) -> Encoding:
    """Return the mean of some encodings (local query expansion)."""
    which = np.concatenate([held for held, _ in encodings])
    weights = np.concatenate([weights for _, weights in encodings])
    total = np.bincount(which, weights, minlength=nodes)
    held = np.flatnonzero(total)
    return held, total[held] / len(encodings)


def _invert(encodings: list[Encoding], nodes: int) -> list[Encoding]:
    """For each node: the gallery images whose encoding holds it, and with what weight."""
    which = np.concatenate([held for held, _ in encodings])
    weights = np.concatenate([weights for _, weights in encodings])
    image = np.repeat(np.arange(len(encodings)), [len(held) for held, _ in encodings])
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(nodes + 1))
    return [(image[order[a:b]], weights[order[a:b]]) for a, b in pairwise(bounds)]


def _jaccard(encoding: Encoding, holders: list[Encoding], images: int) -> Weights:
    """Return the Jaccard distance of one encoding to each gallery image: 1 - sum of minima / sum of maxima.

    Both encodings sum to 1, so the maxima sum to 2 less the minima.
    """
    minima = np.zeros(images)
    for node, weight in zip(*encoding, strict=True):
        image, weights = holders[node]
        minima[image] += np.minimum(weight, weights)
    return 1 - minima / (2 - minima)


def _check(
    query_gallery: NDArray[Any],
    query_query: NDArray[Any],
    gallery_gallery: NDArray[Any],
    k1: int,
    k2: int,
    lambda_value: float,
) -> None:
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 and k2 must be at least 1, not {k1} and {k2}")
    if not 0 <= lambda_value <= 1:
        raise ValueError(f"lambda_value must lie in [0, 1], not {lambda_value}")
    if query_gallery.ndim != 2 or 0 in query_gallery.shape:
        raise ValueError(f"query_gallery must be a matrix with rows and columns, not {query_gallery.shape}")
    queries, images = query_gallery.shape
    if query_query.shape != (queries, queries) or gallery_gallery.shape != (images, images):
        raise ValueError(
            f"query_gallery {query_gallery.shape} asks for query_query ({queries}, {queries}) and "
            f"gallery_gallery ({images}, {images}), not {query_query.shape} and {gallery_gallery.shape}"
        )
    named = {"query_gallery": query_gallery, "query_query": query_query, "gallery_gallery": gallery_gallery}
    for name, matrix in named.items():
        low, high = matrix.min(), matrix.max()
        if not (low >= 0 and high < np.inf):  # false for NaN as well
            raise ValueError(f"{name} must hold finite distances from 0 on, but spans {low} to {high}")
