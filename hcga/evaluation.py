"""The figures of one round: retrieval (III-D), masks, parsing head, visibility. All in per cent."""

from __future__ import annotations

import logging
import math
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.csv_files import read_table
from hcga.files import checkout_digest
from hcga.masks.covered import parts_covered
from hcga.masks.quality import evaluate_masks, rate_identities
from hcga.occluders import Occlusion
from hcga.params import Evaluate
from hcga.resources import mask_copies
from hcga.retrieval.stored import evaluate_retrieval
from hcga.retrieval.visibility import read_statistics, visibility_figures, visible_parts
from hcga.stores import array, attribute, read_all

log = logging.getLogger(__name__)
TOLD = {  # in a log: title -> section and name of the figure
    "Rank-1": ("retrieval", "rank1"),
    "mAP": ("retrieval", "mAP"),
    "re-ranked Rank-1": ("retrieval", "reranked_rank1"),
    "re-ranked mAP": ("retrieval", "reranked_mAP"),
    "mask fg IoU": ("masks", "iou_foreground"),
    "mask part IoU": ("masks", "iou_parts"),
}


class Evaluated(NamedTuple):
    """The figures of a round and the tables behind them."""

    figures: dict[str, Any]  # what metrics.json holds
    cmc: pd.DataFrame  # rank, cmc
    rankings: pd.DataFrame  # query, rank, gallery, similarity, hit
    identities: pd.DataFrame  # one row a training identity, see `hcga.masks.quality.rate_identities`


def tidy(figures: dict[str, Any]) -> dict[str, Any]:
    """Round to four decimals and drop what is not defined, so that the JSON holds numbers only."""
    values = {key: tidy(value) if isinstance(value, dict) else value for key, value in figures.items()}
    return {
        key: round(float(value), 4) if isinstance(value, float | np.floating) else value
        for key, value in values.items()
        if not (isinstance(value, float | np.floating) and math.isnan(value))
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
        Its figures: epoch, `run` (see `describe_run`), skipped_images, `retrieval`, `verification`, `open_set` and, for
        a network with parsing, `masks`, `parsing_head` and what `visibility_figures` gives.

    Raises
    ------
    InputError
        See `evaluate_retrieval`.
    """
    found = evaluate_retrieval(embeddings, samples, params)
    skipped = len(read_table(skipped_file))
    figures: dict[str, Any] = {
        "epoch": attribute(embeddings, "epoch", int),
        "run": describe_run({**attribute(masks, "run", dict), **attribute(embeddings, "run", dict)}),
        "skipped_images": skipped,
        "retrieval": found.figures,
        "verification": found.verification,
        "open_set": found.open_set,
    }
    table = read_table(table_file)
    if attribute(embeddings, "parsing", bool):
        part_classes = attribute(embeddings, "part_classes", int)
        drawn = read_all(array(masks, "masks"), mask_copies("evaluate", part_classes))
        parsed = array(embeddings, "parsed")
        figures |= evaluate_masks(drawn, parsed, truth, table, occlusion, part_classes)
        table = rate_identities(table, samples, drawn, parsed, truth, part_classes)
        statistics = read_statistics(embeddings, np.arange(len(samples)))
        visible = visible_parts(statistics, params)
        true = "truth" in truth and attribute(truth, "part_classes", int) == part_classes
        covered = parts_covered(array(truth, "truth") if true else parsed, samples, occlusion, part_classes)
        figures |= visibility_figures(visible, statistics.guided, covered, samples, occlusion, part_classes)
    figures = tidy(figures)
    log.info("%s", summarise(figures))
    return Evaluated(figures, found.cmc, found.rankings, table)


def describe_run(recorded: dict[str, Any]) -> dict[str, Any]:
    """Say what, besides params and data, the figures of a round hang on.

    Parameters
    ----------
    recorded : dict
        What stages have written down: seed, and for extract, coparse, train and embed the environment; those of masks
        that were not computed may lack.

    Returns
    -------
    dict
        hcga, its version; code, the digest of its modules and of the stage scripts, as they are now; seed; the
        environment of the training; and of the other stages what was another there, if anything.
    """
    trained, here = recorded["train"], {"python": platform.python_version(), "numpy": np.__version__}
    recorded = recorded | {"evaluate": here}
    others = {
        stage: {name: value for name, value in recorded[stage].items() if trained.get(name) != value}
        for stage in ("extract", "coparse", "embed", "evaluate")
        if stage in recorded
    }
    about = {"hcga": metadata.version("hcga"), "code": checkout_digest()[:12], "seed": recorded["seed"]}
    return about | trained | {stage: differing for stage, differing in others.items() if differing}


def summarise(figures: dict[str, Any]) -> str:
    """One line of the most telling figures of a round."""
    told = [(title, figures.get(section, {}).get(name)) for title, (section, name) in TOLD.items()]
    return ", ".join(f"{title} {value:.1f} %" for title, value in told if value is not None)
