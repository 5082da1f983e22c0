"""One query against a few gallery images: what each feature that the run compares contributes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import zarr

from hcga.masks import part_names
from hcga.params import Evaluate
from hcga.retrieval.visibility import read_statistics, visible_parts
from hcga.stores import array, read_rows

WHOLE = {"I": "image", "F": "foreground"}  # letters of evaluate.features but P, and what the store calls them


class Term(NamedTuple):
    """One feature of a query and a gallery image."""

    feature: str
    cosine: float
    weight: float  # with which the similarity counts it; 0 for a part that one of the two does not show


class Matched(NamedTuple):
    """What a query shows, and how it compares."""

    seen: list[tuple[str, float]]  # parts that count as visible in the query, and how far, up to 1
    gallery: list[list[Term]]  # of each gallery image, all that are compared


def match_features(embeddings: zarr.Group, query: int, gallery: np.ndarray, params: Evaluate) -> Matched:
    """Compare the features of a query that `evaluate.features` names with those of gallery images.

    Parameters
    ----------
    embeddings : zarr.Group
        As `hcga.inference.embed` writes it; only the rows in question are read.
    query : int
        Row.
    gallery : (n,) int64
        Rows.
    params : Evaluate
        Its features, similarity and rule of visibility count. With the weights the similarity is, see
        `hcga.retrieval.similarity`, for `paper` the sum of weight * cosine by the number of whole vectors and of parts
        that both show, for `authors` the sum of weight * (cosine + 1) / 2.
    """
    rows, chosen = np.concatenate([[query], gallery]), params.features.split("+")
    names = [name for letter, name in WHOLE.items() if letter in chosen]
    vectors = [read_rows(array(embeddings, name), rows)[:, None] for name in names]
    shown = [np.ones((len(rows), len(names)))]
    factors = [1.0] * len(names)
    if "P" in chosen:
        parts = read_rows(array(embeddings, "parts"), rows)
        names += [name.replace("_", " ") for name in part_names(parts.shape[1] + 1)[1:]]
        vectors.append(parts)
        shown.append(visible_parts(read_statistics(embeddings, rows), params))
        factors += [1.0 if params.similarity == "authors" else 0.5] * parts.shape[1]
    units, visible = _units(np.concatenate(vectors, axis=1)), np.concatenate(shown, axis=1)
    cosines = (units[1:] * units[:1]).sum(2)
    weights = np.array(factors) * visible[1:] * visible[:1]
    of_query = zip(names, visible[0].tolist(), strict=True)
    return Matched(
        [(name, seen) for name, seen in of_query if seen > 0 and name not in WHOLE.values()],
        [list(map(Term, names, *pair)) for pair in zip(cosines.tolist(), weights.tolist(), strict=True)],
    )


def _units(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, V, D) at length 1, float64; a zero vector stays zero."""
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
