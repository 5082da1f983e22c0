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

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hcga.cores import available_cores

#: Entries of the similarity matrix that are ranked at a time: bounds the memory to about 30 bytes an entry.
_BLOCK_ENTRIES = 2**22
_IGNORED = np.iinfo(np.int64).max  # sorts behind every image


class Matrix(Protocol):
    """What has rows that can be asked for: an array, or what computes them, such as `Similarities`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Queries and gallery images."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Some rows."""


@dataclass(frozen=True, eq=False)
class Top:
    """The first k ranked gallery images of each query, ignored ones dropped.

    Attributes
    ----------
    rows : (Q, k) int64
        Row number in the gallery; -1 where the ranked list is shorter than k.
    hits : (Q, k) bool
        Whether the image shows the query's identity; False where `rows` is -1.
    similarity : (Q, k) float64
        NaN where `rows` is -1.
    """

    rows: NDArray[np.int64]
    hits: NDArray[np.bool_]
    similarity: NDArray[np.float64]


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
    top : Top
        The first ranked images.
    """

    cmc: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    average_precision_trapezoid: NDArray[np.float64]
    inverse_negative_penalty: NDArray[np.float64]
    top: Top

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


def rank(
    similarity: Matrix,
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike,
    gallery_camids: ArrayLike,
    max_rank: int = 50,
    listed: int = 10,
) -> Ranking:
    """Score the ranking that a similarity matrix makes, by the protocol above.

    Rows are asked for block by block, so a matrix that computes them is never there as a whole.

    Parameters
    ----------
    similarity : Matrix (Q, G)
        Larger is more alike; pass the negative of a distance. float32 is several times faster than others.
    query_pids, query_camids : (Q,) int
        Identity (positive) and camera of each query.
    gallery_pids, gallery_camids : (G,) int
        Identity (-1 junk, 0 distractor) and camera of each gallery image.
    max_rank : int
        Length of the CMC curve, at most G.
    listed : int
        Images of `Ranking.top`.

    Returns
    -------
    Ranking

    Raises
    ------
    ValueError
        If shapes do not fit, the similarity holds NaN, a query's identity is not positive, `max_rank` or
        `listed` is below 1, or no query is valid.
    """
    if max_rank < 1:
        raise ValueError(f"max_rank must be at least 1, not {max_rank}")
    labels = _Labels.checked(similarity.shape, query_pids, gallery_pids, query_camids, gallery_camids)
    queries, images = similarity.shape
    query, position, first = _rank_all(similarity, labels, listed)
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
        top=first,
    )


def top(
    similarity: Matrix,
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
    labels = _Labels.checked(similarity.shape, query_pids, gallery_pids, query_camids, gallery_camids)
    return _rank_all(similarity, labels, k).top


class _Labels(NamedTuple):
    """Who is who, checked."""

    query_pids: NDArray[Any]
    gallery_pids: NDArray[Any]
    query_camids: NDArray[Any]
    gallery_camids: NDArray[Any]

    @staticmethod
    def checked(shape: tuple[int, ...], *labels: ArrayLike) -> _Labels:
        if len(shape) != 2:
            raise ValueError(f"similarity must have 2 dimensions, not {len(shape)}: shape {shape}")
        known = _Labels(*(np.asarray(label) for label in labels))
        for name, array, length in zip(known._fields, known, (*shape, *shape), strict=True):
            if array.shape != (length,):
                raise ValueError(f"{name} has shape {array.shape}, but similarity {shape} asks for ({length},)")
        if (known.query_pids <= 0).any():
            raise ValueError(
                "query pids must be positive (0 is a distractor, -1 junk), but the smallest is "
                f"{known.query_pids.min()}"
            )
        return known


class _Found(NamedTuple):
    """What the ranking of queries gave; H hits."""

    query: NDArray[np.int64]  # (H,), sorted
    position: NDArray[np.int64]  # (H,), rank from 1, ascending within a query
    top: Top


def _rank_all(similarity: Matrix, labels: _Labels, listed: int) -> _Found:
    """Rank block after block of queries, on all cores."""
    if listed < 1:
        raise ValueError(f"k must be at least 1, not {listed}")
    queries, images = similarity.shape
    step = max(1, _BLOCK_ENTRIES // max(images, 1))
    order = np.argsort(labels.gallery_pids, kind="stable")
    found = [_rank_some(np.zeros((0, images), np.float32), 0, labels, order, listed)]
    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(0, queries, step):
            block = similarity[start : start + step]
            # max is NaN as soon as one entry is: no array of flags.
            if block.size and np.isnan(block.max()):
                raise ValueError(f"similarity holds NaN in {np.isnan(block).sum()} of {block.size} entries")
            share = -(-len(block) // available_cores())
            tasks = [
                pool.submit(_rank_some, block[first : first + share], start + first, labels, order, listed)
                for first in range(0, len(block), share)
            ]
            found += [task.result() for task in tasks]
    query, position = (np.concatenate(parts) for parts in zip(*((f.query, f.position) for f in found), strict=True))
    lists = [(f.top.rows, f.top.hits, f.top.similarity) for f in found]
    return _Found(query, position, Top(*(np.concatenate(parts) for parts in zip(*lists, strict=True))))


def _rank_some(similarity: NDArray[Any], start: int, labels: _Labels, order: NDArray[np.int64], listed: int) -> _Found:
    """Rank the queries from `start` on; `order` sorts the gallery by identity."""
    count = len(similarity)
    keys = _keys(similarity)
    keys[:, labels.gallery_pids == -1] = _IGNORED
    sought = labels.query_pids[start : start + count]
    first, last = (np.searchsorted(labels.gallery_pids, sought, side, sorter=order) for side in ("left", "right"))
    hits = []
    for row in range(count):
        members = order[first[row] : last[row]]
        same_camera = labels.gallery_camids[members] == labels.query_camids[start + row]
        hits.append(np.sort(keys[row, members[~same_camera]]))
        keys[row, members[same_camera]] = _IGNORED
    keys.sort(axis=1)
    position = [np.searchsorted(ranked, of_query) + 1 for ranked, of_query in zip(keys, hits, strict=True)]
    query = np.repeat(np.arange(start, start + count), [len(of_query) for of_query in hits])
    nothing = np.zeros(0, np.int64)
    return _Found(query, np.concatenate([nothing, *position]), _first(keys, similarity, sought, labels, listed))


def _first(
    ranked: NDArray[np.int64], similarity: NDArray[Any], sought: NDArray[Any], labels: _Labels, listed: int
) -> Top:
    """The first images of sorted keys; `sought` (B,) are the queries' identities."""
    count, images = similarity.shape
    rows = np.full((count, listed), -1, np.int64)
    begin = ranked[:, :listed]
    rows[:, :images] = np.where(begin == _IGNORED, -1, begin & 0xFFFFFFFF)
    there = rows >= 0
    hits, values = np.zeros(rows.shape, np.bool_), np.full(rows.shape, np.nan)
    hits[there] = (labels.gallery_pids[rows] == sought[:, None])[there] if images else False
    values[there] = np.take_along_axis(similarity, np.maximum(rows, 0), 1)[there] if images else np.nan
    return Top(rows, hits, values)


def _keys(similarity: NDArray[Any]) -> NDArray[np.int64]:
    """Integers (B, G) that sort like decreasing similarity, ties by gallery row; the low 32 bits are the row.

    numpy sorts plain integers some ten times faster than it finds a stable order. A float32 becomes the int32 that
    sorts like it: for negative floats the bits below the sign run the other way.
    """
    rows = np.arange(similarity.shape[1])
    if similarity.dtype != np.float32:
        keys = np.empty(similarity.shape, np.int64)
        order = np.argsort(-similarity.astype(np.float64), axis=1, kind="stable")
        np.put_along_axis(keys, order, rows[None] << 32, axis=1)
        return keys | rows
    distance = np.float32(0) - similarity  # not -x: 0.0 and -0.0 are a tie and must get the same bits
    bits = distance.view(np.int32)
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)
    keys = bits.astype(np.int64)
    keys <<= 32
    keys |= rows
    return keys
