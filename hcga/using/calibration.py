"""How likely two images show the same person, by their similarity: a section of a model's card.

The log-likelihood ratio is linear in the similarity (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).
It says how much likelier a similarity is for one person than for two; a probability it gives together with a prior: how
likely, before one looks, two images show the same person. Only who asks knows that.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from hcga.errors import InputError
from hcga.network.prnet import Number
from hcga.params import Matching, Positive

EVEN = 0.5  # prior of even odds
Pairs = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[str, Field(pattern="^1e-[1-9]$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Line(NamedTuple):
    """A log-likelihood ratio that is linear in the similarity."""

    intercept: float
    slope: float
    same: int  # pairs of one person that it was learnt on
    different: int  # of two

    def ratio(self, similarity: ArrayLike) -> NDArray[np.float64]:
        """Natural logarithm of how much likelier similarities are for one person than for two.

        No more is claimed than one pair among as many as it was learnt on could show: at most log `different`, at
        least -log `same`.
        """
        ratio = self.intercept + self.slope * np.asarray(similarity, np.float64)
        return np.clip(ratio, -np.log(self.same), np.log(self.different))


class Threshold(_Frozen):
    """A similarity from which on pairs count as one person."""

    similarity: Number
    tpr: Share  # of the pairs of one person that pass, on the people who chose it


class Bin(_Frozen):
    """Pairs to which about the same probability was given, at even odds."""

    stated: Share  # its mean
    observed: Share  # how many of them, both kinds weighing the same, are of one person
    pairs: Pairs


class Calibration(_Frozen):
    """What was learnt on people who have not trained the model; those that a round holds out are also who tests it."""

    matching: Matching  # whose similarities it is of
    intercept: Number
    slope: Positive
    same: Pairs  # pairs of one person that it was learnt on
    different: Pairs  # of two
    people: Pairs
    source: Annotated[str, Field(max_length=200)]  # who they are
    thresholds: Annotated[dict[Rate, Threshold], Field(max_length=10)]  # by false positive rate, such as 1e-2
    cllr: Number  # bits a pair at even odds, 0 is best, 1 says nothing; this and the rest of queries not learnt from
    brier: Share
    ece: Share  # expected calibration error: of the stated probabilities, mean over the pairs
    reliability: Annotated[list[Bin], Field(max_length=100)]

    def log_likelihood_ratio(self, similarity: ArrayLike) -> NDArray[np.float64]:
        """See `Line.ratio`."""
        return Line(self.intercept, self.slope, self.same, self.different).ratio(similarity)

    def probability(self, similarity: ArrayLike, prior: float | None = None) -> NDArray[np.float64]:
        """Probability of the same person, with a prior in (0, 1), `InputError` if it is not; even odds without one."""
        prior = EVEN if prior is None else prior
        if not 0 < prior < 1:
            raise InputError(f"prior {prior}: give a number above 0 and below 1; 0.5 are even odds")
        return sigmoid(self.log_likelihood_ratio(similarity) + np.log(prior / (1 - prior)))


def sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of log odds, whatever they are."""
    probability: NDArray[np.float64] = 0.5 + 0.5 * np.tanh(log_odds / 2)
    return probability


def describe_calibration(calibration: Calibration) -> str:
    """Say in lines of text what it was learnt on and how good it is."""
    of = calibration
    rows = [
        f"log-likelihood ratio {of.slope:.2f} * similarity {of.intercept:+.2f}",
        f"learnt on {of.same:,} pairs of one person and {of.different:,} of two; {of.people:,} people, {of.source}",
        f"of queries of people not learnt from: Cllr {of.cllr:.3f} bits, and at even odds Brier score "
        f"{of.brier:.3f}, expected calibration error {of.ece:.3f}",
    ]
    rows += [
        f"similarity from {threshold.similarity:.4f} on: at most {_per_cent(rate)} of the pairs of two, "
        f"{100 * threshold.tpr:.1f} % of those of one person, on the people that it was learnt from"
        for rate, threshold in of.thresholds.items()
    ]
    return "\n".join(rows)


def describe_prior(prior: float | None) -> str:
    """Say what prior probabilities have; None was given for even odds."""
    return "at even odds, as no --prior was given" if prior is None else f"at a prior of {prior:g}"


def describe_probability(probability: float) -> str:
    """Write a probability with three significant digits; what they would make 1 is said to be above 0.999."""
    digits = f"{probability:.3g}"
    return "> 0.999" if digits == "1" else digits


def describe_decision(calibration: Calibration, similarity: float, prior: float | None) -> str:
    """Say in lines of text what a similarity means, at even odds without a prior."""
    ratio = float(calibration.log_likelihood_ratio(similarity))
    probability = float(calibration.probability(similarity, prior))
    rows = [
        f"probability {describe_probability(probability)}  of one person, {describe_prior(prior)}",
        f"{np.exp(abs(ratio)):,.1f} times likelier for {'one person' if ratio >= 0 else 'two people'}",
    ]
    rows += [
        f"{'above' if similarity >= threshold.similarity else 'below'} {threshold.similarity:.3f}, which at most "
        f"{_per_cent(rate)} of the pairs of two people pass"
        for rate, threshold in calibration.thresholds.items()
    ]
    return "\n".join(rows)


def _per_cent(rate: str) -> str:
    return f"{100 * float(rate):g} %"
