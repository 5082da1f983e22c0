"""Matching of queries with the gallery (III-D), by embeddings in a store."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.errors import InputError
from hcga.params import Evaluate, Matching
from hcga.resources import need_memory
from hcga.retrieval.blocks import Labels
from hcga.retrieval.open_set import WatchLists, open_set_figures
from hcga.retrieval.pairs import PairCounts, verification_figures
from hcga.retrieval.pooling import pool
from hcga.retrieval.ranking import Ranking, rank
from hcga.retrieval.reranking import Distances, Reranked
from hcga.retrieval.search import Top
from hcga.retrieval.similarity import Embeddings, Similarities
from hcga.retrieval.visibility import read_statistics, visible_parts
from hcga.samples import DISTRACTOR, image_names
from hcga.stores import array, attribute, read_finite
from hcga.wording import counted

RANKS = (1, 5, 10)
MAX_RANK = 50  # of the CMC curve
COPIES, FLOAT = 2, 4  # of vectors in memory: as they are, and scaled; bytes
LISTED = 10  # gallery images listed for each query
VECTORS = {"I": "image", "F": "foreground", "P": "parts"}


class Retrieval(NamedTuple):
    """What matching the queries with the gallery gave."""

    figures: dict[str, float]
    verification: dict[str, float]  # see `verification_figures`
    open_set: dict[str, float]  # see `open_set_figures`
    cmc: pd.DataFrame  # rank, cmc
    rankings: pd.DataFrame  # query, rank, gallery, similarity, hit


def evaluate_retrieval(embeddings: zarr.Group, samples: pd.DataFrame, params: Evaluate) -> Retrieval:
    """Match every query with the gallery and rank.

    Parameters
    ----------
    embeddings : zarr.Group
        As `hcga.network.inference.embed` writes it.
    samples : DataFrame
        The arranged sample table.
    params : Evaluate

    Returns
    -------
    Retrieval
        figures: rank1, rank5, rank10, mAP, mAP_trapezoid (as the authors' code computes it), mINP, and the same
        as `reranked_...` and `multi_query_...` if asked for; queries and invalid_queries are counts.

    Raises
    ------
    InputError
        No query has a valid match in the gallery, an identity both trained and is tested, or the embeddings
        come from a network without parsing but parts or foreground are asked for.
    """
    if params.features != "I" and not attribute(embeddings, "parsing", bool):
        raise InputError(
            f"evaluate.features is {params.features!r}, but this network was trained without parsing; set it to I"
        )
    _refuse_known(samples)
    query, gallery = (np.flatnonzero(samples["split"] == split) for split in ("query", "gallery"))
    queries, others = (StoredEmbeddings(embeddings, rows, params) for rows in (query, gallery))
    pids, camids = samples["pid"].to_numpy(), samples["camid"].to_numpy()
    who = Labels(pids[query], pids[gallery], camids[query], camids[gallery])
    try:
        similarities = Similarities(queries.take(slice(None)), others, params.features, params.similarity)
        ranking, pairs, lists = rank_all(similarities, who)
    except ValueError as error:
        raise InputError(f"the queries cannot be ranked: {error}") from None
    figures = ranking_figures(ranking)
    if params.rerank:
        everyone = StoredEmbeddings(embeddings, np.append(query, gallery), params).take(slice(None))
        distances = Distances(Similarities(everyone, everyone, params.features, params.similarity))
        reranked = rank(Reranked(distances, len(query)), *who, MAX_RANK)
        figures |= {f"reranked_{name}": value for name, value in ranking_figures(reranked).items()}
    if params.multi_query:
        pooled = _pooled_queries(embeddings, samples, params)
        several = rank(Similarities(pooled, others, params.features, params.similarity), *who, MAX_RANK)
        figures |= {f"multi_query_{name}": value for name, value in ranking_figures(several).items()}
    figures |= {"queries": len(query), "invalid_queries": ranking.invalid_queries}
    cmc = pd.DataFrame({"rank": np.arange(1, len(ranking.cmc) + 1), "cmc": (100 * ranking.cmc).round(4)})
    listed = _list_rankings(ranking.top, image_names(samples).to_numpy(), query, gallery)
    decided = verification_figures(pairs.positive, pairs.negative), open_set_figures(lists)
    return Retrieval(figures, *decided, cmc, listed)


def rank_all(similarities: Similarities, who: Labels) -> tuple[Ranking, PairCounts, WatchLists]:
    """Rank, and count what decisions are judged by, in one go through all similarities."""
    pairs, lists = PairCounts(who, similarities.bounds), WatchLists(who)
    return rank(similarities, *who, MAX_RANK, LISTED, (pairs, lists)), pairs, lists


def ranking_figures(ranking: Ranking) -> dict[str, float]:
    """CMC at `RANKS`, average precision by both rules and mINP, in per cent."""
    figures = {f"rank{k}": float(ranking.cmc[min(k, len(ranking.cmc)) - 1]) for k in RANKS}
    figures |= {"mAP": ranking.mean_ap, "mAP_trapezoid": ranking.mean_ap_trapezoid, "mINP": ranking.mean_inp}
    return {name: 100 * value for name, value in figures.items()}


class StoredEmbeddings:
    """Some images' embeddings in a store, read when they are taken; vectors that are not compared are zeros.

    Parameters
    ----------
    store : zarr.Group
        As `hcga.network.inference.embed` writes it.
    rows : (N,) int64
        Of the images.
    params : Matching
        Its features say what is read; its rule of visibility which parts are visible, see `visible_parts`.
    """

    def __init__(self, store: zarr.Group, rows: np.ndarray, params: Matching) -> None:
        self._store, self._rows, self._params = store, rows, params
        compared = params.features.split("+")
        self._vectors = {name: (array(store, name), letter in compared) for letter, name in VECTORS.items()}

    def __len__(self) -> int:
        """Return N."""
        return len(self._rows)

    def take(self, rows: slice) -> Embeddings:
        """Read those of some of the images; `InputError` if the store is damaged or has numbers that are not finite."""
        chosen = self._rows[rows]
        numbers = sum(math.prod(stored.shape[1:]) for stored, compared in self._vectors.values() if compared)
        need_memory(COPIES * FLOAT * numbers * len(chosen), f"the vectors of {len(chosen):,} images at once")
        vectors = {
            name: read_finite(stored, chosen) if compared else _zeros(stored, chosen)
            for name, (stored, compared) in self._vectors.items()
        }
        visible = visible_parts(read_statistics(self._store, chosen), self._params)
        return Embeddings(**vectors, visible=visible)


def _zeros(stored: zarr.Array[Any], rows: np.ndarray) -> np.ndarray:
    """Vectors that nothing looks at."""
    return np.broadcast_to(np.float32(0), (len(rows), *stored.shape[1:]))


def _refuse_known(samples: pd.DataFrame) -> None:
    train = samples["split"] == "train"
    known = samples[~train & samples["pid"].isin(samples["pid"][train]) & (samples["pid"] > DISTRACTOR)]
    if len(known):
        raise InputError(
            f"{counted(known['pid'].nunique(), 'identity')} trained and would be tested, such as "
            f"{known['pid'].iloc[0]} on {image_names(known).iloc[0]}: `dvc repro -f prepare` makes the table anew"
        )


def _pooled_queries(store: zarr.Group, samples: pd.DataFrame, params: Evaluate) -> Embeddings:
    """Pool each query with all images of its identity at its camera; those of the gallery its ranking ignores."""
    place = samples.groupby(["pid", "camid"]).ngroup().to_numpy()
    asked, owner = np.unique(place[samples["split"] == "query"], return_inverse=True)
    rows = np.flatnonzero(np.isin(place, asked))
    everyone = StoredEmbeddings(store, rows, params).take(slice(None))
    return pool(everyone, np.searchsorted(asked, place[rows])).take(owner)


def _list_rankings(found: Top, names: np.ndarray, query: np.ndarray, gallery: np.ndarray) -> pd.DataFrame:
    rows = found.rows
    table = pd.DataFrame(
        {
            "query": np.repeat(names[query], rows.shape[1]),
            "rank": np.tile(np.arange(1, rows.shape[1] + 1), len(query)),
            "gallery": names[gallery[rows.ravel()]],
            "similarity": found.similarity.ravel().round(5),
            "hit": found.hits.ravel(),
        }
    )
    return table[rows.ravel() >= 0]
