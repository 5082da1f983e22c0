"""What each feature that is compared says of two images, beside their similarity (III-D).

Letters: N images, Q queries, G gallery images, P body parts (background left out).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hcga.masks.parts import part_names
from hcga.params import Matching
from hcga.retrieval.similarity import WEIGHT, Embeddings, scale_to_unit
from hcga.retrieval.visibility import VISIBLE_FROM

WHOLE = {"I": "image", "F": "foreground"}  # letters of evaluate.features but P, and what embeddings call them


class Term(NamedTuple):
    """One feature of a query and a gallery image."""

    feature: str
    cosine: float
    weight: float  # with which the similarity counts it; 0 for a part that one of the two does not show
    empty: int  # in how many of the two it is a part of which GAM leaves no cell: its vector says nothing of the image


class Seen(NamedTuple):
    """A part that counts as visible."""

    part: str
    visibility: float  # up to 1
    empty: bool  # whether GAM leaves no cell of it

    @property
    def shown(self) -> bool:
        """Whether the part is called visible."""
        return self.visibility >= VISIBLE_FROM


class Matched(NamedTuple):
    """What a query and some gallery images show, and how they compare."""

    seen: list[list[Seen]]  # of the query, then of each
    gallery: list[list[Term]]  # of each gallery image, all that are compared


def features_compared(features: str, parts: int) -> list[str]:
    """Name what a value of `evaluate.features` compares, whole vectors first, of `parts` parts."""
    chosen = features.split("+")
    of_body = [name.replace("_", " ") for name in part_names(parts + 1)[1:]] if "P" in chosen else []
    return [name for letter, name in WHOLE.items() if letter in chosen] + of_body


def cosines(query: Embeddings, gallery: Embeddings, features: str) -> dict[str, np.ndarray]:
    """Compare each feature by itself.

    Parameters
    ----------
    query, gallery : Embeddings
        Of Q and G images.
    features : str
        As of `evaluate.features`.

    Returns
    -------
    dict of str to (Q, G) float32
        The cosines by the feature's name, whole vectors first; of parts whether they are visible or not.
    """
    parts = query.parts.shape[1]
    names = features_compared(features, parts)
    whole = [name for name in names if name in WHOLE.values()]
    vectors = {name: [getattr(of, name) for of in (query, gallery)] for name in whole}
    vectors |= {name: [of.parts[:, part] for of in (query, gallery)] for part, name in enumerate(names[len(whole) :])}
    return {name: scale_to_unit(one) @ scale_to_unit(other).T for name, (one, other) in vectors.items()}


def match(embeddings: Embeddings, guided: np.ndarray, params: Matching) -> Matched:
    """Compare the features of an image that `evaluate.features` names with those of others.

    Parameters
    ----------
    embeddings : Embeddings
        Of the query, then of n gallery images.
    guided : (1 + n, P) float32
        See `hcga.retrieval.visibility.PartStatistics`.
    params : Matching
        Its features, similarity and rule of visibility count. With the weights the similarity is, see
        `hcga.retrieval.similarity`, for `paper` the sum of weight * cosine by the number of whole vectors and of parts
        that both show, for `mean` by the sum of the weights, for `authors` the sum of weight * (cosine + 1) / 2.
    """
    found = cosines(embeddings.take(slice(0, 1)), embeddings.take(slice(1, None)), params.features)
    whole = sum(name in WHOLE.values() for name in found)
    parts = len(found) - whole
    visible = embeddings.visible[:, :parts]
    nothing = guided[:, :parts] == 0
    factors = [1.0] * whole + [WEIGHT[params.similarity]] * parts
    both = np.hstack([np.ones((len(visible) - 1, whole)), visible[1:].astype(float) * visible[:1]])
    empties = np.hstack([np.zeros((len(visible) - 1, whole), int), nothing[1:].astype(int) + nothing[:1]])
    columns = np.stack([values[0] for values in found.values()], axis=1)
    pairs = zip(columns.tolist(), (both * factors).tolist(), empties.tolist(), strict=True)
    names = list(found)
    seen = [
        [Seen(*of) for of in zip(names[whole:], *image, strict=True) if of[1]]
        for image in zip(visible.tolist(), nothing.tolist(), strict=True)
    ]
    return Matched(seen, [list(map(Term, names, *pair)) for pair in pairs])
