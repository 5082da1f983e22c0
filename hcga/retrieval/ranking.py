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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hcga.retrieval.blocks import Labels, Matrix, Watcher
from hcga.retrieval.search import Top, find_hits


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
    watchers: Sequence[Watcher] = (),
) -> Ranking:
    """Score the ranking that a similarity matrix makes, by the protocol above.

    Rows are asked for block by block, so a matrix that computes them is never there as a whole; of one that also gives
    `Columns`, neither is what it computes them from. Then every block is computed twice if there are several blocks of
    columns: a rank counts what is more alike than a hit, so all hits must be known first. Equal images in blocks of
    different widths may differ in the last bit and then are no tie.

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
    watchers : sequence of callable
        What else is to see each block of the matrix, junk and ignored images too.

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
    labels = Labels.checked(similarity.shape, query_pids, gallery_pids, query_camids, gallery_camids)
    queries, images = similarity.shape
    query, position, first = find_hits(similarity, labels, listed, watchers)
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
    labels = Labels.checked(similarity.shape, query_pids, gallery_pids, query_camids, gallery_camids)
    return find_hits(similarity, labels, k).top
