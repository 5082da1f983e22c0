"""The figures of one round: retrieval (III-D), masks, parsing head, visibility. All in per cent."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.csv_files import read_table
from hcga.errors import InputError
from hcga.masks import UNLABELLED, agreement, confusion, foreground_share, intersection_over_union
from hcga.occluders import Occlusion, share_inside
from hcga.params import Evaluate
from hcga.quality import rate_identities
from hcga.retrieval.ranking import Ranking, rank
from hcga.retrieval.reranking import Distances, rerank
from hcga.retrieval.search import Top
from hcga.retrieval.similarity import Embeddings, Similarities
from hcga.retrieval.visibility import read_statistics, visibility_figures, visible_parts
from hcga.samples import image_names
from hcga.stores import array, attribute, read_all, read_rows

log = logging.getLogger(__name__)
RANKS = (1, 5, 10)
MAX_RANK = 50  # of the CMC curve
LISTED = 10  # gallery images listed for each query
TOLD = {  # in a log: title -> section and name of the figure
    "Rank-1": ("retrieval", "rank1"),
    "mAP": ("retrieval", "mAP"),
    "re-ranked Rank-1": ("retrieval", "reranked_rank1"),
    "re-ranked mAP": ("retrieval", "reranked_mAP"),
    "mask fg IoU": ("masks", "iou_foreground"),
    "mask part IoU": ("masks", "iou_parts"),
}
MIDDLE = 0.6  # of the columns: a mask that anybody could guess


class Evaluated(NamedTuple):
    """The figures of a round and the tables behind them."""

    figures: dict[str, Any]  # what metrics.json holds
    cmc: pd.DataFrame  # rank, cmc
    rankings: pd.DataFrame  # query, rank, gallery, similarity, hit
    identities: pd.DataFrame  # one row a training identity, see `hcga.quality.rate_identities`


class Retrieval(NamedTuple):
    """What matching the queries with the gallery gave."""

    figures: dict[str, float]
    cmc: pd.DataFrame  # rank, cmc
    rankings: pd.DataFrame  # query, rank, gallery, similarity, hit


def evaluate_retrieval(embeddings: zarr.Group, samples: pd.DataFrame, params: Evaluate) -> Retrieval:
    """Match every query with the gallery and rank.

    Parameters
    ----------
    embeddings : zarr.Group
        As `hcga.inference.embed` writes it.
    samples : DataFrame
        The arranged sample table.
    params : Evaluate

    Returns
    -------
    Retrieval
        figures: rank1, rank5, rank10, mAP, mAP_trapezoid (as the authors' code computes it), mINP, and the same
        as `reranked_...` if asked for; queries and invalid_queries are counts.

    Raises
    ------
    InputError
        No query has a valid match in the gallery, or the embeddings come from a network without parsing but parts
        or foreground are asked for.
    """
    if params.features != "I" and not attribute(embeddings, "parsing", bool):
        raise InputError(
            f"evaluate.features is {params.features!r}, but this network was trained without parsing; set it to I"
        )
    query, gallery = (np.flatnonzero(samples["split"] == split) for split in ("query", "gallery"))
    queries, others = (StoredEmbeddings(embeddings, rows, params) for rows in (query, gallery))
    pids, camids = samples["pid"].to_numpy(), samples["camid"].to_numpy()
    who = (pids[query], pids[gallery], camids[query], camids[gallery])
    try:
        similarities = Similarities(queries.take(slice(None)), others, params.features, params.similarity)
        ranking = rank(similarities, *who, MAX_RANK, LISTED)
    except ValueError as error:
        raise InputError(f"the queries cannot be ranked: {error}") from None
    figures = _retrieval_figures(ranking)
    if params.rerank:
        everyone = StoredEmbeddings(embeddings, np.append(query, gallery), params).take(slice(None))
        reranked = rank(-_reranked_distances(everyone, len(query), params), *who, MAX_RANK)
        figures |= {f"reranked_{name}": value for name, value in _retrieval_figures(reranked).items()}
    figures |= {"queries": len(query), "invalid_queries": ranking.invalid_queries}
    cmc = pd.DataFrame({"rank": np.arange(1, len(ranking.cmc) + 1), "cmc": (100 * ranking.cmc).round(4)})
    listed = _list_rankings(ranking.top, image_names(samples).to_numpy(), query, gallery)
    return Retrieval(figures, cmc, listed)


class StoredEmbeddings:
    """Some images' embeddings in a store, read when they are taken.

    Parameters
    ----------
    store : zarr.Group
        As `hcga.inference.embed` writes it.
    rows : (N,) int64
        Of the images.
    params : Evaluate
        Its features say what is read; its rule of visibility which parts are visible, see `visible_parts`.
    """

    def __init__(self, store: zarr.Group, rows: np.ndarray, params: Evaluate) -> None:
        self._store, self._rows, self._params = store, rows, params
        self._unread = "image" if "I" not in params.features else ""

    def __len__(self) -> int:
        """Return N."""
        return len(self._rows)

    def take(self, rows: slice) -> Embeddings:
        """Read those of some of the images."""
        chosen = self._rows[rows]
        image, foreground, parts = (self._read(name, chosen) for name in ("image", "foreground", "parts"))
        visible = visible_parts(read_statistics(self._store, chosen), self._params)
        return Embeddings(image, foreground, parts, visible)

    def _read(self, name: str, rows: np.ndarray) -> np.ndarray:
        stored = array(self._store, name)
        if name == self._unread:  # nothing looks at it
            return np.broadcast_to(np.float32(0), (len(rows), *stored.shape[1:]))
        return read_rows(stored, rows)


def _reranked_distances(everyone: Embeddings, queries: int, params: Evaluate) -> np.ndarray:
    """k-reciprocal re-ranking of queries and gallery, the queries first."""
    return rerank(Distances(Similarities(everyone, everyone, params.features, params.similarity)), queries)


def _retrieval_figures(ranking: Ranking) -> dict[str, float]:
    figures = {f"rank{k}": float(ranking.cmc[min(k, len(ranking.cmc)) - 1]) for k in RANKS}
    figures |= {"mAP": ranking.mean_ap, "mAP_trapezoid": ranking.mean_ap_trapezoid, "mINP": ranking.mean_inp}
    return {name: 100 * value for name, value in figures.items()}


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


def evaluate_masks(
    masks: np.ndarray,
    parsed: zarr.Array[Any],
    truth: zarr.Group,
    table: pd.DataFrame,
    occlusion: Occlusion,
    part_classes: int,
) -> dict[str, dict[str, float]]:
    """Measure pseudo-masks and parsing head.

    Parameters
    ----------
    masks : (n, h, w) uint8
        Pseudo-masks of the training rows, which come first.
    parsed : zarr.Array (N, h, w) uint8
        Most likely classes by the parsing head, of all images.
    truth : zarr.Group
        As `hcga.preparation.write_truth` writes it.
    table : DataFrame
        The per-identity table of co-parsing.
    occlusion : Occlusion
        Of all images.
    part_classes : int
        C.

    Returns
    -------
    dict of dict
        `masks`: share of foreground, agreement with the round before, share of foreground inside known occluders,
        numbers of images without a mask and of those repaired by hand, and where there is truth IoU against it, also of
        the guess that the middle 60 % of the columns of every image are foreground, `iou_guess`.
        `parsing_head`: agreement with the pseudo-masks on the training images, IoU on the test images.
    """
    known = table.dropna(subset="agreement_previous")
    agreed = float((known["agreement_previous"] * known["images"]).sum())
    figures = {
        "masks": {
            "foreground_share": foreground_share(masks),
            "agreement_previous": agreed / int(known["images"].sum()) if len(known) else float("nan"),
            "inside_occluders": share_inside(masks, occlusion.boxes),
            "images_without": int((masks == UNLABELLED).all(axis=(1, 2)).sum()),
            "images_repaired": int(table["repaired"].sum()),
        },
        "parsing_head": {"agreement": agreement(masks, read_rows(parsed, np.arange(len(masks))))},
    }
    if "truth" in truth:
        train, test = np.arange(len(masks)), np.arange(len(masks), parsed.shape[0])
        true, classes = array(truth, "truth"), (part_classes, attribute(truth, "part_classes", int))
        on_train = intersection_over_union(confusion(true, masks, train), *classes)
        on_test = intersection_over_union(confusion(true, read_rows(parsed, test), test), *classes)
        guessed = intersection_over_union(confusion(true, _middle(masks), train), 2, 0)
        figures["masks"] |= {f"iou_{name}": value for name, value in on_train.items()}
        figures["masks"]["iou_guess"] = guessed["foreground"]
        figures["parsing_head"] |= {f"test_iou_{name}": value for name, value in on_test.items()}
    return figures


def _middle(masks: np.ndarray) -> np.ndarray:
    guess = np.zeros_like(masks)
    edge = round((1 - MIDDLE) / 2 * masks.shape[2])
    guess[:, :, edge : masks.shape[2] - edge] = 1
    return guess


def tidy(figures: dict[str, Any]) -> dict[str, Any]:
    """Round to four decimals and drop what is not defined, so that the JSON holds numbers only."""
    values = {key: tidy(value) if isinstance(value, dict) else value for key, value in figures.items()}
    return {
        key: round(float(value), 4) if isinstance(value, float | np.floating) else value
        for key, value in values.items()
        if not (isinstance(value, float) and math.isnan(value))
    }


def evaluate_round(
    embeddings: zarr.Group,
    masks: zarr.Group,
    truth: zarr.Group,
    samples: pd.DataFrame,
    occlusion: Occlusion,
    table_file: Path,
    skipped_file: Path,
    params: Evaluate,
) -> Evaluated:
    """Compute all figures of a round.

    Parameters
    ----------
    embeddings, masks, truth : zarr.Group
        The stores; `truth` may hold no array.
    samples : DataFrame
        The arranged sample table.
    occlusion : Occlusion
        Of its images.
    table_file : Path
        Per-identity table of co-parsing.
    skipped_file : Path
        Table of the images that were left out.
    params : Evaluate

    Returns
    -------
    Evaluated
        Its figures: epoch, skipped_images, `retrieval` and, for a network with parsing, `masks`, `parsing_head` and
        what `visibility_figures` gives.

    Raises
    ------
    InputError
        See `evaluate_retrieval`.
    """
    found = evaluate_retrieval(embeddings, samples, params)
    skipped = len(read_table(skipped_file))
    figures: dict[str, Any] = {
        "epoch": attribute(embeddings, "epoch", int),
        "skipped_images": skipped,
        "retrieval": found.figures,
    }
    table = read_table(table_file)
    if attribute(embeddings, "parsing", bool):
        part_classes = attribute(embeddings, "part_classes", int)
        drawn, parsed = read_all(array(masks, "masks")), array(embeddings, "parsed")
        figures |= evaluate_masks(drawn, parsed, truth, table, occlusion, part_classes)
        table = rate_identities(table, samples, drawn, parsed, truth)
        statistics = read_statistics(embeddings, np.arange(len(samples)))
        visible = visible_parts(statistics, params)
        figures |= visibility_figures(visible, statistics.guided, samples, occlusion, part_classes)
    figures = tidy(figures)
    log.info("%s", summarise(figures))
    return Evaluated(figures, found.cmc, found.rankings, table)


def summarise(figures: dict[str, Any]) -> str:
    """One line of the most telling figures of a round."""
    told = [(title, figures.get(section, {}).get(name)) for title, (section, name) in TOLD.items()]
    return ", ".join(f"{title} {value:.1f} %" for title, value in told if value is not None)
