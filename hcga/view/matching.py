"""One query against a few gallery images: what each feature that the run compares contributes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import zarr

from hcga.params import Evaluate
from hcga.retrieval.ranking import rank
from hcga.retrieval.similarity import Similarities
from hcga.retrieval.stored import StoredEmbeddings
from hcga.retrieval.visibility import read_statistics
from hcga.terms import Matched, match


def match_features(embeddings: zarr.Group, query: int, gallery: np.ndarray, params: Evaluate) -> Matched:
    """Compare the features of a query that `evaluate.features` names with those of gallery images.

    Parameters
    ----------
    embeddings : zarr.Group
        As `hcga.network.inference.embed` writes it; only the rows in question are read.
    query : int
        Row.
    gallery : (n,) int64
        Rows.
    params : Evaluate
        See `hcga.terms.match`.
    """
    rows = np.concatenate([[query], gallery])
    stored = StoredEmbeddings(embeddings, rows, params).take(slice(None))
    return match(stored, read_statistics(embeddings, rows).guided, params)


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
