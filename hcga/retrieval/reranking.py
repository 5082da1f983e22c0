"""k-reciprocal re-ranking.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.

Two images that have the same neighbours are likely to show the same person. Each image is encoded by its
k-reciprocal neighbours (those that have it among their own nearest), and the Jaccard distance of two
encodings is mixed into the original distance. Queries and gallery are one set of N = Q + G nodes here, the
queries first.

Only the few non-zero weights of each encoding are kept. The N x N distances are asked for block by block and re-ranked
rows are computed when they are, so that neither need ever be there as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hcga.retrieval.blocks import Matrix

Nodes = NDArray[np.int64]
Weights = NDArray[np.float64]
#: A sparse vector over the nodes: which (M,), ascending, and the weight of each (M,).
Encoding = tuple[Nodes, Weights]
_BLOCK_ENTRIES = 2**22  # distances at a time


class Reranked:
    """Re-ranked similarities, the negative of the paper's distances. Rows are computed when they are asked for.

    Three details follow the published implementations instead of the paper, so that numbers compare with
    published ones: distances are squared and each node's divided by its largest (the paper takes them as they
    are); the weights of an encoding are scaled to sum 1 (the paper does not); the set of a neighbour joins if
    it shares more than 2/3 (the paper: at least 2/3).

    Parameters
    ----------
    distances : Matrix (N, N)
        Plain (not squared) distances of queries and gallery, the queries first; symmetric, none negative, 0 on the
        diagonal. All rows are read twice here, those of queries once more each time they are asked for.
    queries : int
        Q.
    k1 : int
        Neighbours for the reciprocal sets. Sets smaller than that use all nodes.
    k2 : int
        Nearest nodes (itself included) over which an encoding is averaged; 1 switches that off.
    lambda_value : float
        Weight of the original distance (squared, divided by the row's maximum), in [0, 1].

    Attributes
    ----------
    shape : (int, int)
        Q and G.

    Raises
    ------
    ValueError
        If an argument is out of its range, shapes do not fit together, or a distance is negative or not
        finite.
    """

    def __init__(self, distances: Matrix, queries: int, k1: int = 20, k2: int = 6, lambda_value: float = 0.3) -> None:
        _check(distances.shape, queries, k1, k2, lambda_value)
        nodes = distances.shape[0]
        nearest = np.stack([_nearest(row, max(k1 + 1, k2)) for row in _rows(distances, slice(nodes))])
        encodings = _encode(distances, nearest, k1)
        if k2 > 1:
            encodings = [_average([encodings[n] for n in nearest[node, :k2]], nodes) for node in range(nodes)]
        self.shape = (queries, nodes - queries)
        self._distances, self._lambda = distances, lambda_value
        self._encodings, self._holders = encodings[:queries], _invert(encodings[queries:], nodes)

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Compute those of some queries, (B, G) float32."""
        queries, images = self.shape
        start, stop, _ = rows.indices(queries)
        result = np.empty((stop - start, images), np.float32)
        of_queries = zip(self._encodings[start:stop], _rows(self._distances, slice(start, stop)), strict=True)
        for query, (encoding, row) in enumerate(of_queries):
            jaccard = _jaccard(encoding, self._holders, images)
            result[query] = -((1 - self._lambda) * jaccard + self._lambda * row[queries:])
        return result


class Distances:
    """Distances of N images whose squares are their similarities turned round, row by row.

    Parameters
    ----------
    similarities : Matrix (N, N)
        Larger is more alike; symmetric.

    Attributes
    ----------
    shape : (int, int)
        N and N.
    """

    def __init__(self, similarities: Matrix) -> None:
        self.shape = similarities.shape
        self._similarities = similarities
        self._highest = max(float(similarities[rows].max()) for rows in _blocks(slice(self.shape[0]), self.shape))

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Distances of some images, (B, N) float32; an image is nearest to itself, whichever of its parts it shows."""
        turned = np.float32(self._highest) - self._similarities[rows]
        # Other rows at a time round otherwise: equal images may be a little more alike than the highest.
        values: NDArray[np.float32] = np.sqrt(np.maximum(turned, 0, out=turned))
        own = np.arange(self.shape[0])[rows]
        values[np.arange(len(own)), own] = 0
        return values


def _blocks(rows: slice, shape: tuple[int, ...]) -> Iterator[slice]:
    """Some rows of a matrix as slices of bearable size."""
    start, stop, _ = rows.indices(shape[0])
    step = max(1, _BLOCK_ENTRIES // shape[1])
    yield from (slice(first, min(first + step, stop)) for first in range(start, stop, step))


def _rows(distances: Matrix, rows: slice) -> Iterator[NDArray[np.float32]]:
    """Give some rows one by one: squared distances divided by the largest, (N,) float32."""
    for those in _blocks(rows, distances.shape):
        block = distances[those]
        low, high = block.min(), block.max()
        if not (low >= 0 and high < np.inf):  # false for NaN as well
            raise ValueError(f"distances must be finite and from 0 on, but span {low} to {high}")
        squared: NDArray[np.float32] = np.square(block, dtype=np.float64).astype(np.float32)
        largest = squared.max(axis=1, keepdims=True)
        np.divide(squared, largest, out=squared, where=largest > 0)
        yield from squared


def _nearest(row: NDArray[np.float32], k: int) -> Nodes:
    """Return the `k` nearest nodes (all, if there are fewer), nearest first, ties by node number."""
    k = min(k, len(row))
    within = np.flatnonzero(row <= np.partition(row, k - 1)[k - 1])
    return within[np.argsort(row[within], kind="stable")][:k]


def _reciprocal(nearest: Nodes, k: int) -> list[Nodes]:
    """For each node: those of its `k` nearest that have it among their own `k` nearest, and itself."""
    near = nearest[:, : k + 1]
    return [row[(near[row] == node).any(axis=1)] for node, row in enumerate(near)]


def _encode(distances: Matrix, nearest: Nodes, k1: int) -> list[Encoding]:
    """Encode each node by its reciprocal neighbours, weighted by exp(-distance), weights of sum 1."""
    reciprocal = _reciprocal(nearest, k1)
    narrow = _reciprocal(nearest, round(k1 / 2))
    member = np.zeros(len(nearest), np.bool_)
    encodings: list[Encoding] = []
    for neighbours, row in zip(reciprocal, _rows(distances, slice(len(nearest))), strict=True):
        # A neighbour's own narrow set joins if more than 2/3 of it are neighbours already.
        member[neighbours] = True
        joining = [narrow[n] for n in neighbours if 3 * member[narrow[n]].sum() > 2 * len(narrow[n])]
        member[neighbours] = False
        expanded = np.unique(np.concatenate([neighbours, *joining]))
        weights = np.exp(-row[expanded].astype(np.float64))
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


def _check(shape: tuple[int, ...], queries: int, k1: int, k2: int, lambda_value: float) -> None:
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 and k2 must be at least 1, not {k1} and {k2}")
    if not 0 <= lambda_value <= 1:
        raise ValueError(f"lambda_value must lie in [0, 1], not {lambda_value}")
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"distances must be a square matrix, not {shape}")
    if not 0 < queries < shape[0]:
        raise ValueError(
            f"of {shape[0]} images at least one must be a query and one in the gallery, not {queries} queries"
        )
