"""Rank a gallery for each query and score the ranking: CMC, mean average precision, mINP.

The protocol is Market-1501's, which all data sets of the paper share. For one query

- gallery images of its identity AND its camera are ignored, as if they were not in the gallery;
- junk (pid -1) is ignored as well; distractors (pid 0) stay, as images of nobody that is asked for;
- what is left is ordered by decreasing similarity, ties by gallery order (a stable sort), and an image of the
  query's identity is a hit.

A query without any hit is invalid: it enters no mean, and `Ranking.invalid_queries` counts such queries.

Letters: Q queries, G gallery images, B queries of one block, H hits of all queries together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Entries of the similarity matrix that are sorted at a time: bounds the memory beyond the matrix itself to
#: about 30 bytes an entry.
_BLOCK_ENTRIES = 2**21


@dataclass(frozen=True, eq=False)
class Ranking:
    """Scores of a ranking. Entries of an invalid query are NaN, and no mean contains them.

    Attributes
    ----------
    cmc : (min(max_rank, G),) float64
        Share of the valid queries with a hit among the first 1, 2, ... ranked images. A query whose ranked
        list is shorter than that (images were ignored) has had its hit by then and goes on counting as 1.
    average_precision : (Q,) float64
        Standard, non-interpolated: mean over the hits of (hits so far / rank).
    average_precision_trapezoid : (Q,) float64
        Area under the precision-recall curve by the trapezoid rule, as the published implementation of HCGA
        (and the first evaluation code of Market-1501) computes it; usually below the standard one.
    inverse_negative_penalty : (Q,) float64
        Number of hits / rank of the last hit (Ye et al., "Deep Learning for Person Re-identification: A
        Survey and Outlook", TPAMI 2022).
    """

    cmc: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    average_precision_trapezoid: NDArray[np.float64]
    inverse_negative_penalty: NDArray[np.float64]

    @property
    def mean_ap(self) -> float:
        """Mean of the standard average precision over the valid queries (mAP)."""
        return float(np.nanmean(self.average_precision))

    @property
    def mean_ap_trapezoid(self) -> float:
        """Mean of the trapezoidal average precision over the valid queries."""
        return float(np.nanmean(self.average_precision_trapezoid))

    @property
    def mean_inp(self) -> float:
        """Mean of the inverse negative penalty over the valid queries (mINP)."""
        return float(np.nanmean(self.inverse_negative_penalty))

    @property
    def invalid_queries(self) -> int:
        """Number of queries that have nothing to find."""
        return int(np.isnan(self.average_precision).sum())


@dataclass(frozen=True, eq=False)
class Top:
    """The first k ranked gallery images of each query, ignored ones dropped.

    Attributes
    ----------
    rows : (Q, k) int64
        Row number in the gallery; -1 where the ranked list is shorter than k.
    hits : (Q, k) bool
        Whether the image shows the query's identity; False where `rows` is -1.
    """

    rows: NDArray[np.int64]
    hits: NDArray[np.bool_]


def rank(
    similarity: NDArray[Any],
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike,
    gallery_camids: ArrayLike,
    max_rank: int = 50,
) -> Ranking:
    """Score the ranking that a similarity matrix makes, by the protocol above.

    Parameters
    ----------
    similarity : (Q, G) float
        Larger is more alike; pass the negative of a distance. float32 is several times faster than others.
    query_pids, query_camids : (Q,) int
        Identity (positive) and camera of each query.
    gallery_pids, gallery_camids : (G,) int
        Identity (-1 junk, 0 distractor) and camera of each gallery image.
    max_rank : int
        Length of the CMC curve, at most G.

    Returns
    -------
    Ranking

    Raises
    ------
    ValueError
        If shapes do not fit, the similarity holds NaN, a query's identity is not positive, `max_rank` is
        below 1, or no query is valid.
    """
    if max_rank < 1:
        raise ValueError(f"max_rank must be at least 1, not {max_rank}")
    pairs = _Pairs.checked(similarity, query_pids, gallery_pids, query_camids, gallery_camids)
    queries, images = pairs.similarity.shape
    query, position = _hits(pairs)
    count = np.bincount(query, minlength=queries)
    if not count.any():
        raise ValueError(
            f"none of the {queries} queries has an image of its identity under another camera among the "
            f"{images} gallery images: there is nothing to measure"
        )
    number = np.arange(len(query)) - (count.cumsum() - count)[query] + 1  # (H,) from 1 within each query
    precision = number / position
    # Precision just before the hit; before the first image of all it is taken as 1.
    before = np.where(position > 1, (number - 1) / np.maximum(position - 1, 1), 1.0)
    first_positions = np.bincount(position[number == 1] - 1, minlength=images)
    last = number == count[query]

    def per_query(values: NDArray[np.float64], of: NDArray[np.int64]) -> NDArray[np.float64]:
        total = np.bincount(of, values, minlength=queries)
        return np.where(count > 0, total, np.nan)

    share = 1 / count[query]
    return Ranking(
        cmc=first_positions.cumsum()[:max_rank] / (count > 0).sum(),
        average_precision=per_query(precision * share, query),
        average_precision_trapezoid=per_query((before + precision) / 2 * share, query),
        inverse_negative_penalty=per_query(precision[last], query[last]),
    )


def top(
    similarity: NDArray[Any],
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike,
    gallery_camids: ArrayLike,
    k: int = 10,
) -> Top:
    """Return the first `k` ranked gallery images of each query, by the protocol above.

    Invalid queries are ranked like the others; they have no hits. To show a few queries pass their rows only.

    Parameters
    ----------
    similarity, query_pids, gallery_pids, query_camids, gallery_camids
        As for `rank`.
    k : int
        How many images; may exceed G.

    Returns
    -------
    Top

    Raises
    ------
    ValueError
        As `rank`, but for a lack of valid queries; or if `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    pairs = _Pairs.checked(similarity, query_pids, gallery_pids, query_camids, gallery_camids)
    rows = np.full((len(pairs.similarity), k), -1, np.int64)
    hits = np.zeros(rows.shape, np.bool_)
    for block in _ranked_blocks(pairs):
        query, column = ((block.position > 0) & (block.position <= k)).nonzero()
        place = (query + block.start, block.position[query, column] - 1)
        rows[place] = block.order[query, column]
        hits[place] = block.hit[query, column]
    return Top(rows, hits)


class _Pairs(NamedTuple):
    """The checked input: `similarity` (Q, G) and who is who."""

    similarity: NDArray[Any]
    query_pids: NDArray[Any]
    gallery_pids: NDArray[Any]
    query_camids: NDArray[Any]
    gallery_camids: NDArray[Any]

    @staticmethod
    def checked(similarity: NDArray[Any], *labels: ArrayLike) -> _Pairs:
        matrix = np.asarray(similarity)
        if matrix.ndim != 2:
            raise ValueError(f"similarity must have 2 dimensions, not {matrix.ndim}: shape {matrix.shape}")
        pairs = _Pairs(matrix, *(np.asarray(label) for label in labels))
        for name, array, length in zip(pairs._fields[1:], pairs[1:], (*matrix.shape, *matrix.shape), strict=True):
            if array.shape != (length,):
                raise ValueError(f"{name} has shape {array.shape}, but similarity {matrix.shape} asks for ({length},)")
        # max is NaN as soon as one entry is: no (Q, G) array of flags.
        if matrix.size and np.isnan(matrix.max()):
            raise ValueError(f"similarity holds NaN in {np.isnan(matrix).sum()} of {matrix.size} entries")
        if (pairs.query_pids <= 0).any():
            raise ValueError(
                "query pids must be positive (0 is a distractor, -1 junk), but the smallest is "
                f"{pairs.query_pids.min()}"
            )
        return pairs


class _Block(NamedTuple):
    """B queries from `start` on; columns in ranked order, the ignored images still among them.

    `order` (B, G) int64: row in the gallery. `position` (B, G) int32: rank from 1 once the ignored images are
    dropped, 0 for an ignored one. `hit` (B, G) bool.
    """

    start: int
    order: NDArray[np.int64]
    position: NDArray[np.int32]
    hit: NDArray[np.bool_]


def _ranked_blocks(pairs: _Pairs) -> Iterator[_Block]:
    queries, images = pairs.similarity.shape
    step = max(1, _BLOCK_ENTRIES // max(images, 1))
    for start in range(0, queries, step):
        rows = slice(start, start + step)
        same_pid = pairs.query_pids[rows, None] == pairs.gallery_pids
        same_camera = pairs.query_camids[rows, None] == pairs.gallery_camids
        kept = ~(same_pid & same_camera) & (pairs.gallery_pids != -1)
        order = _decreasing(pairs.similarity[rows])
        kept_ranked = np.take_along_axis(kept, order, axis=1)
        position = kept_ranked.cumsum(axis=1, dtype=np.int32)
        position *= kept_ranked
        yield _Block(start, order, position, np.take_along_axis(same_pid & kept, order, axis=1))


def _decreasing(similarity: NDArray[Any]) -> NDArray[np.int64]:
    """Return the stable order (B, G) int64 of decreasing similarity along each row.

    numpy sorts plain integers some ten times faster than it finds a stable order. So a float32 becomes the
    int32 that sorts like it (for negative floats the bits below the sign run the other way), with the column
    below it in the same int64: sorted, the low half is the order, and columns break ties.
    """
    if similarity.dtype != np.float32:
        return np.argsort(-similarity.astype(np.float64), axis=1, kind="stable")
    distance = np.float32(0) - similarity  # not -x: 0.0 and -0.0 are a tie and must get the same bits
    bits = distance.view(np.int32)
    bits = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    keys = bits.astype(np.int64) << 32 | np.arange(similarity.shape[1])
    keys.sort(axis=1)
    return keys & 0xFFFFFFFF


def _hits(pairs: _Pairs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List all hits: query (H,) and rank from 1 (H,), both int64, sorted by query, then rank."""
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for block in _ranked_blocks(pairs):
        query, column = block.hit.nonzero()
        found.append((query + block.start, block.position[query, column].astype(np.int64)))
    query, position = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return query, position
