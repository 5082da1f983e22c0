"""One query against a few gallery images: what each feature that the run compares contributes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.masks import part_names
from hcga.params import Evaluate
from hcga.retrieval.ranking import rank
from hcga.retrieval.similarity import Similarities
from hcga.retrieval.stored import StoredEmbeddings
from hcga.retrieval.visibility import read_statistics, visible_parts
from hcga.stores import array, read_rows

WHOLE = {"I": "image", "F": "foreground"}  # letters of evaluate.features but P, and what the store calls them


class Term(NamedTuple):
    """One feature of a query and a gallery image."""

    feature: str
    cosine: float
    weight: float  # with which the similarity counts it; 0 for a part that one of the two does not show
    empty: int  # in how many of the two it is a part of which GAM leaves no cell: its vector says nothing of the image


class Seen(NamedTuple):
    """A part that counts as visible."""

    part: str
    far: float  # how far it is visible, up to 1
    empty: bool  # whether GAM leaves no cell of it


class Matched(NamedTuple):
    """What a query and some gallery images show, and how they compare."""

    seen: list[list[Seen]]  # of the query, then of each
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
    whole = [name for letter, name in WHOLE.items() if letter in chosen]
    names = list(whole)
    vectors = [read_rows(array(embeddings, name), rows)[:, None] for name in names]
    shown = [np.ones((len(rows), len(names)))]
    empty = [np.zeros((len(rows), len(names)), bool)]
    factors = [1.0] * len(names)
    if "P" in chosen:
        parts = read_rows(array(embeddings, "parts"), rows)
        names += [name.replace("_", " ") for name in part_names(parts.shape[1] + 1)[1:]]
        vectors.append(parts)
        statistics = read_statistics(embeddings, rows)
        shown.append(visible_parts(statistics, params))
        empty.append(statistics.guided == 0)
        factors += [1.0 if params.similarity == "authors" else 0.5] * parts.shape[1]
    units, visible, nothing = _units(np.concatenate(vectors, axis=1)), np.hstack(shown), np.hstack(empty)
    cosines = (units[1:] * units[:1]).sum(2)
    weights = np.array(factors) * visible[1:] * visible[:1]
    seen = [
        [Seen(*of) for of in zip(names[len(whole) :], *image, strict=True) if of[1]]
        for image in zip(visible[:, len(whole) :].tolist(), nothing[:, len(whole) :].tolist(), strict=True)
    ]
    empties = nothing[1:].astype(int) + nothing[:1]
    pairs = zip(cosines.tolist(), weights.tolist(), empties.tolist(), strict=True)
    return Matched(seen, [list(map(Term, names, *pair)) for pair in pairs])


def rank_of_first_match(embeddings: zarr.Group, samples: pd.DataFrame, query: int, params: Evaluate) -> int | None:
    """Find a query's first match, however late in the gallery, which is read block by block.

    Parameters
    ----------
    embeddings : zarr.Group
        As of `match_features`.
    samples : DataFrame
        The arranged sample table.
    query : int
        Row.
    params : Evaluate

    Returns
    -------
    int or None
        Its rank, from 1; None if the gallery has no image of the identity under another camera.
    """
    gallery = np.flatnonzero(samples["split"] == "gallery")
    pids, camids = samples["pid"].to_numpy(), samples["camid"].to_numpy()
    if not ((pids[gallery] == pids[query]) & (camids[gallery] != camids[query])).any():
        return None
    asked, others = (StoredEmbeddings(embeddings, rows, params) for rows in (np.array([query]), gallery))
    similarities = Similarities(asked.take(slice(None)), others, params.features, params.similarity)
    ranking = rank(similarities, pids[[query]], pids[gallery], camids[[query]], camids[gallery], len(gallery), 1)
    return 1 + int((ranking.cmc == 0).sum())


def _units(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, V, D) at length 1, float64; a zero vector stays zero."""
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
