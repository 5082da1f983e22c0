"""Open-set identification: is this person on the watch list, and who is it?

Data sets ask for people who are all in the gallery. So a watch list is made of them: half of the queried identities
are enrolled, the images of the others are taken out of the gallery, and their queries are those of strangers. People
whom nobody asks for, and distractors, stay. The mean over several such lists is given, with the deviation; they are
the same for every model of a data set.

The figure is the detection and identification rate at rank 1 (Phillips, Grother and Micheals, Handbook of Face
Recognition, 2005, ch. 14; for people: Liao et al., "Open-set Person Re-identification", 2014): the share of the
enrolled queries whose best image is of their own identity and above the threshold. The threshold is the lowest at
which at most a given share of the strangers has any image above it, the false alarm rate.
"""

from __future__ import annotations

import numpy as np

from hcga.retrieval.blocks import Block, Labels, Mates, places
from hcga.samples import JUNK

LISTS = 10
SEED = 0  # fixed, so that models are asked about the same strangers
EXPONENTS = (1, 2)  # k of the false alarm rates 10**-k
LEAST_ALARMS = 5  # that may be raised at a rate, or else one of them decides too much and no figure is given


class WatchLists:
    """The best image of each query's identity and of any other enrolled one, found block by block.

    Parameters
    ----------
    labels : Labels

    Attributes
    ----------
    enrolled : (LISTS, Q) bool
        Whether the query's identity is on a list.
    own : (Q,) float64
        Similarity of the best image of the query's identity under another camera; -inf where there is none.
    others : (LISTS, Q) float64
        Of the best image of anybody else on a list.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels, self._mates = labels, Mates(labels)
        can_be_found = [len(rows) > 0 for rows in self._mates.sought]
        self._people = np.unique(labels.query_pids[can_be_found])
        rng = np.random.default_rng(SEED)
        order = np.stack([rng.permutation(len(self._people)) for _ in range(LISTS)])
        listed = [self._people[of_list < len(self._people) // 2] for of_list in order]
        self._absent = [np.setdiff1d(self._people, of_list) for of_list in listed]
        self.enrolled = np.stack([np.isin(labels.query_pids, of_list) for of_list in listed])
        self.own = np.full(len(labels.query_pids), -np.inf)
        self.others = np.full((LISTS, len(labels.query_pids)), -np.inf)

    def __call__(self, block: Block) -> None:
        """Look at a block: first at the best image of each identity, then at who is on the lists."""
        pids = self._labels.gallery_pids[block.columns]
        order = np.argsort(pids, kind="stable")
        names, first = np.unique(pids[order], return_index=True)
        values = block.similarity[:, order]
        best = np.maximum.reduceat(values, first, axis=1)  # (B, identities of the block)
        queries = slice(block.start, block.start + len(values))
        row, column = places(self._mates.sought, block)
        np.maximum.at(self.own[queries], row, block.similarity[row, column])
        best[names == self._labels.query_pids[queries, None]] = -np.inf
        for absent, others in zip(self._absent, self.others, strict=True):
            there = ~np.isin(names, np.append(absent, JUNK))
            np.maximum(others[queries], best[:, there].max(1, initial=-np.inf), out=others[queries])


def open_set_figures(lists: WatchLists) -> dict[str, float]:
    """Detection and identification rates at false alarm rates.

    Returns
    -------
    dict
        In per cent, mean over the lists and standard deviation (`..._std`): `dir_at_far_1e-k`, for those rates at which
        at least `LEAST_ALARMS` alarms may be raised on every list, and `rank1`, which it comes to without a threshold.
        `lists`, and as means `enrolled_queries` and `strangers`, are counts. Queries without an image of their identity
        under another camera are left out; nothing if fewer than two identities have any others.
    """
    asked = np.isfinite(lists.own)
    known, strange = lists.enrolled & asked, ~lists.enrolled & asked
    if not known.any():
        return {}
    alarms = np.sort(np.where(strange, lists.others, -np.inf))[:, ::-1]  # (LISTS, Q)
    thresholds = {"rank1": np.full(LISTS, -np.inf)}
    for exponent in EXPONENTS:
        allowed = strange.sum(1) // 10**exponent
        if allowed.min() >= LEAST_ALARMS:
            thresholds[f"dir_at_far_1e-{exponent}"] = alarms[np.arange(LISTS), allowed]
    figures: dict[str, float] = {}
    for name, threshold in thresholds.items():
        right = known & (lists.own > np.maximum(lists.others, threshold[:, None]))
        rates = 100 * right.sum(1) / known.sum(1)
        figures |= {name: float(rates.mean()), f"{name}_std": float(rates.std(ddof=1))}
    counts = {"enrolled_queries": float(known.sum(1).mean()), "strangers": float(strange.sum(1).mean())}
    return figures | {"lists": LISTS} | counts
