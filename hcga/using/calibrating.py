"""Learn from labelled people how likely a similarity is for one person, and for two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hcga.errors import InputError
from hcga.params import Matching
from hcga.retrieval.blocks import Labels, Mates
from hcga.retrieval.pairs import PairCounts, count_pairs, threshold_at
from hcga.retrieval.similarity import Embeddings, Similarities
from hcga.samples import JUNK
from hcga.using.calibration import Bin, Calibration, Line, Threshold, sigmoid
from hcga.using.model import Model

FOLDS = 5  # of the people, for the figures of how good it is
BINS = 10  # of the probability
EXPONENTS = (2, 3)  # k of the false positive rates 10**-k that have a threshold
SEED = 0  # of the folds


class People(NamedTuple):
    """Labelled people, as queries and gallery of a ranking; pairs are those of `hcga.retrieval.pairs`."""

    query: Embeddings
    gallery: Embeddings
    labels: Labels
    source: str  # who they are, in words, for the card
    place: str  # where they are, for messages


class Quality(NamedTuple):
    """How good stated probabilities are, see `Calibration`."""

    cllr: float
    brier: float
    ece: float
    reliability: list[Bin]


def calibrate(people: People, matching: Matching) -> Calibration:
    """Fit a log-likelihood ratio on all pairs, and say how good such fits are for queries of people they have not seen.

    Both kinds of pairs weigh the same in a fit, so that its log odds are a log-likelihood ratio, whatever their
    numbers. For the figures people are divided into `FOLDS`: the pairs of a fold's queries are judged by a fit on the
    pairs without anybody of that fold.

    Parameters
    ----------
    people : People
    matching : Matching

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        There are too few people, or those of one person are not more alike than those of two.
    """
    asked = _people_to_find(people.labels)
    if len(asked) < FOLDS:
        raise InputError(
            f"{people.place}: {len(asked)} people have a query and images at another camera; a calibration wants "
            f"{FOLDS} at least"
        )
    try:
        counts = _count(people, matching, asked, [])
    except ValueError as error:
        raise InputError(f"{people.place}: {error}; the model computes what is no number") from None
    line = fit(counts, people.place)
    judged = []
    for fold in np.array_split(np.random.default_rng(SEED).permutation(asked), FOLDS):
        learnt = fit(_count(people, matching, np.setdiff1d(asked, fold), fold), people.place)
        of_fold = _count(people, matching, fold, [])
        judged.append((sigmoid(learnt.ratio(of_fold.similarities)), of_fold.positive, of_fold.negative))
    quality = rate(*(np.concatenate(each) for each in zip(*judged, strict=True)))
    passing = {k: threshold_at(counts.positive, counts.negative, k) for k in EXPONENTS}
    return Calibration(
        matching=matching,
        **line._asdict(),
        people=len(asked),
        source=people.source,
        thresholds={
            f"1e-{k}": Threshold(similarity=float(counts.lower_bounds[found.level]), tpr=found.tpr)
            for k, found in passing.items()
            if found
        },
        **quality._asdict(),
    )


def calibrate_model(model: Model, people: People) -> None:
    """Put what people teach into a model's card; errors as of `calibrate`."""
    model.card = model.card.with_use(calibration=calibrate(people, model.card.use.matching))


def fit(counts: PairCounts, place: str) -> Line:
    """Fit the log odds of the same person, both kinds of pairs weighing the same, to histograms of similarities.

    Targets are Platt's, a little less than 1 and more than 0, so that people who are told apart without a mistake give
    no infinite slope.
    """
    from sklearn.linear_model import LogisticRegression

    same, different = int(counts.positive.sum()), int(counts.negative.sum())
    there = np.flatnonzero(counts.positive + counts.negative)
    similarity, positive, negative = (
        values[there] for values in (counts.similarities, counts.positive / same, counts.negative / different)
    )
    hit, miss = (same + 1) / (same + 2), 1 / (different + 2)
    weights = np.append(positive * hit + negative * miss, positive * (1 - hit) + negative * (1 - miss))
    truth = np.repeat([1, 0], len(there))
    middle, spread = similarity.mean(), max(similarity.std(), 1e-6)
    scaled = np.tile((similarity - middle) / spread, 2)[:, None]
    found = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(scaled, truth, weights)
    slope = float(found.coef_[0, 0] / spread)
    if slope <= 0:
        raise InputError(f"{place}: pairs of one person are no more alike than pairs of two: nothing can be learnt")
    return Line(float(found.intercept_[0]) - slope * float(middle), slope, same, different)


def rate(probability: NDArray[np.float64], same: NDArray[np.int64], different: NDArray[np.int64]) -> Quality:
    """Rate probabilities at even odds.

    Parameters
    ----------
    probability : (n,) float64
        Of the same person, in (0, 1).
    same, different : (n,) int64
        Pairs of one person, and of two, to which it was given; at least one of each in all.
    """
    of_same, of_different = 0.5 * same / same.sum(), 0.5 * different / different.sum()
    place = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
    weight, stated, observed, pairs = (
        np.bincount(place, values, BINS)
        for values in (of_same + of_different, (of_same + of_different) * probability, of_same, same + different)
    )
    return Quality(
        cllr=-float(of_same @ np.log2(probability) + of_different @ np.log2(1 - probability)),
        brier=float(of_same @ (1 - probability) ** 2 + of_different @ probability**2),
        ece=float(np.abs(stated - observed).sum()),
        reliability=[
            Bin(stated=stated[k] / weight[k], observed=observed[k] / weight[k], pairs=int(pairs[k]))
            for k in np.flatnonzero(pairs)
        ],
    )


def _people_to_find(labels: Labels) -> NDArray[np.int64]:
    """Identities of queries that have an image in the gallery under another camera, ascending."""
    found = [len(rows) > 0 for rows in Mates(labels).sought]
    return np.unique(labels.query_pids[found])


def _count(people: People, matching: Matching, asked: ArrayLike, absent: ArrayLike) -> PairCounts:
    """Count the pairs of the queries of some people, without gallery images of others."""
    query_pids, gallery_pids, query_camids, gallery_camids = people.labels
    rows = np.flatnonzero(np.isin(query_pids, asked))
    left = np.where(np.isin(gallery_pids, absent), JUNK, gallery_pids)
    similarities = Similarities(people.query.take(rows), people.gallery, matching.features, matching.similarity)
    return count_pairs(similarities, Labels(query_pids[rows], left, query_camids[rows], gallery_camids))
