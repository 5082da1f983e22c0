"""Decide pair by pair whether two images show the same person, by a threshold: the ROC of all query-gallery pairs.

The pairs are those that ranking looks at, see `hcga.retrieval.ranking`: a pair of one identity at two cameras is
positive, a pair of two identities, or with a distractor, negative; junk, and pairs of one identity and camera, are
ignored.
"""

from __future__ import annotations

import logging
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcga.retrieval.blocks import Block, Labels, Mates, places
from hcga.retrieval.similarity import Similarities

log = logging.getLogger(__name__)
LEVELS = 2**18  # similarities are told apart to this part of their range, 0.000008 of [-1, 1]
BLOCK_ENTRIES = 2**22  # similarities at a time
EXPONENTS = (1, 2, 3, 4)  # k of the false positive rates 10**-k
LEAST_PASSING = 5  # negatives that may pass at a rate, or else one of them decides too much and no figure is given


class PairCounts:
    """Histograms of the similarities of positive and negative pairs, filled block by block.

    Parameters
    ----------
    labels : Labels
    bounds : (float, float)
        Smallest and largest similarity that there can be.

    Attributes
    ----------
    positive, negative : (LEVELS,) int64
        Number of pairs by similarity, ascending.
    """

    def __init__(self, labels: Labels, bounds: tuple[float, float]) -> None:
        self._mates, self._junk = Mates(labels), np.flatnonzero(labels.gallery_pids == -1)
        self._low, self._step = np.float32(bounds[0]), np.float32((bounds[1] - bounds[0]) / LEVELS)
        self._lock = Lock()
        self.positive, self.negative = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)

    def __call__(self, block: Block) -> None:
        """Count the pairs of a block; `ValueError` if a similarity is NaN."""
        if np.isnan(block.similarity.max(initial=-np.inf)):
            raise ValueError("a similarity is NaN")
        levels = ((block.similarity - self._low) / self._step).astype(np.intp)
        np.clip(levels, 0, LEVELS - 1, out=levels)  # the last bit may lead beyond the bounds
        junk = self._junk[(self._junk >= block.columns.start) & (self._junk < block.columns.stop)]
        counted = [
            levels,
            levels[places(self._mates.sought, block)],
            levels[places(self._mates.own_camera, block)],
            levels[:, junk - block.columns.start],
        ]
        everything, sought, own_camera, left_out = (np.bincount(each.ravel(), minlength=LEVELS) for each in counted)
        with self._lock:
            self.positive += sought
            self.negative += everything - sought - own_camera - left_out

    @property
    def lower_bounds(self) -> NDArray[np.float64]:
        """Similarity at which each level begins, and the last one ends, (LEVELS + 1,) float64."""
        return np.linspace(float(self._low), float(self._low) + LEVELS * float(self._step), LEVELS + 1)

    @property
    def similarities(self) -> NDArray[np.float64]:
        """Similarity in the middle of each level, (LEVELS,) float64."""
        return self.lower_bounds[:-1] + float(self._step) / 2


def count_pairs(similarities: Similarities, labels: Labels) -> PairCounts:
    """Count all pairs, a block of queries at a time."""
    counts = PairCounts(labels, similarities.bounds)
    queries, images = similarities.shape
    step = max(1, BLOCK_ENTRIES // max(1, images))
    for start in range(0, queries, step):
        counts(Block(similarities[start : start + step], start, slice(0, images)))
    return counts


class Passing(NamedTuple):
    """What passes a threshold."""

    level: int  # the lowest that passes
    tpr: float  # share of the positive pairs


def threshold_at(positive: NDArray[np.int64], negative: NDArray[np.int64], exponent: int) -> Passing | None:
    """Find the lowest threshold that lets pass at most 10**-exponent of the negatives.

    Parameters
    ----------
    positive, negative : (L,) int64
        Numbers of pairs by similarity, ascending.
    exponent : int

    Returns
    -------
    Passing or None
        None where fewer than `LEAST_PASSING` negatives may pass.
    """
    true, false = (np.append(0, counts[::-1].cumsum()) for counts in (positive, negative))
    allowed = false[-1] // 10**exponent
    if allowed < LEAST_PASSING:
        return None
    levels = int(np.searchsorted(false, allowed, side="right")) - 1
    return Passing(len(positive) - levels, float(true[levels] / true[-1]))


def verification_figures(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> dict[str, float]:
    """Figures of the decision "same person" at every threshold.

    Parameters
    ----------
    positive, negative : (L,) int64
        Numbers of pairs by similarity, ascending.

    Returns
    -------
    dict
        In per cent: `auc`, the probability that a positive pair is more alike than a negative one, ties half; `eer`,
        where as many negatives pass as positives do not, linear between thresholds; `tpr_at_fpr_1e-k`, the positives
        that pass at the lowest threshold which lets pass at most that share of the negatives, for those rates at which
        at least `LEAST_PASSING` may pass. `positive_pairs` and `negative_pairs` are counts; they are all there is if
        there are no pairs of one kind.
    """
    true, false = (np.append(0, counts[::-1].cumsum()) for counts in (positive, negative))
    positives, negatives = int(true[-1]), int(false[-1])
    if not (positives and negatives):
        log.warning("no figures of verification: %d pairs of one person, %d of two", positives, negatives)
        return {"positive_pairs": positives, "negative_pairs": negatives}
    tpr, fpr = true / positives, false / negatives
    figures = {"auc": 100 * float(np.trapezoid(tpr, fpr)), "eer": 100 * _equal_error(tpr, fpr)}
    for exponent in EXPONENTS:
        if passing := threshold_at(positive, negative, exponent):
            figures[f"tpr_at_fpr_1e-{exponent}"] = 100 * passing.tpr
    return figures | {"positive_pairs": positives, "negative_pairs": negatives}


def _equal_error(tpr: NDArray[np.float64], fpr: NDArray[np.float64]) -> float:
    """Where the line from one threshold to the next crosses fpr = 1 - tpr."""
    excess = fpr - (1 - tpr)  # from -1 up to 1
    after = int(np.argmax(excess >= 0))
    share = -excess[after - 1] / (excess[after] - excess[after - 1])
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))
