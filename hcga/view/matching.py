"""One query against a few gallery images: the similarity of each part."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import zarr

from hcga.masks import part_names
from hcga.params import Evaluate
from hcga.retrieval.visibility import read_statistics, visible_parts
from hcga.stores import array, read_rows


class Matched(NamedTuple):
    """Cosines of a query with gallery images."""

    parts: list[str]  # names, the foreground first
    seen: list[str]  # parts that the query shows
    gallery: list[dict[str, list[float | None]]]  # `cosines`, None where a part is not visible in both


def match_parts(embeddings: zarr.Group, query: int, gallery: np.ndarray, params: Evaluate) -> Matched:
    """Compare foreground and parts of a query with those of gallery images, as Eq. (10) does.

    Parameters
    ----------
    embeddings : zarr.Group
        As `hcga.inference.embed` writes it; only the rows in question are read.
    query : int
        Row.
    gallery : (n,) int64
        Rows.
    params : Evaluate
        Its rule of visibility counts.
    """
    rows = np.concatenate([[query], gallery])
    foreground, parts = (read_rows(array(embeddings, name), rows) for name in ("foreground", "parts"))
    vectors = np.concatenate([foreground[:, None], parts], axis=1).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    cosines = (vectors[1:] * vectors[:1]).sum(2)
    shown = np.concatenate(
        [np.ones((len(rows), 1), bool), visible_parts(read_statistics(embeddings, rows), params) > 0], axis=1
    )
    shared = shown[1:] & shown[:1]
    entries: list[dict[str, list[float | None]]] = [
        {"cosines": [float(value) if both else None for value, both in zip(values, of, strict=True)]}
        for values, of in zip(cosines, shared, strict=True)
    ]
    names = [name.replace("_", " ") for name in part_names(parts.shape[1] + 1)[1:]]
    return Matched(
        ["foreground", *names], [name for name, seen in zip(names, shown[0, 1:], strict=True) if seen], entries
    )
