"""The figures of all rounds side by side."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from hcga.csv_files import read_table
from hcga.errors import OTHER_VERSION, REMEDY, InputError, brief

# Title in the printed table -> column of `collect_figures`.
SHOWN = {
    "epoch": "epoch",
    "mask fg IoU": "masks_iou_foreground",
    "guess": "masks_iou_guess",
    "mask part IoU": "masks_iou_parts",
    "foreground": "masks_foreground_share",
    "in occluders": "masks_inside_occluders",
    "truth in occl.": "masks_truth_inside_occluders",
    "agree prev": "masks_agreement_previous",
    "agree head": "parsing_head_agreement",
    "head train IoU": "parsing_head_train_iou_foreground",
    "head fg IoU": "parsing_head_test_iou_foreground",
    "head in occl.": "parsing_head_test_inside_occluders",
    "empty parts": "visibility_query_empty",
    "Rank-1": "retrieval_rank1",
    "Rank-5": "retrieval_rank5",
    "mAP": "retrieval_mAP",
    "mINP": "retrieval_mINP",
    "re-ranked Rank-1": "retrieval_reranked_rank1",
    "re-ranked mAP": "retrieval_reranked_mAP",
    "multi-q. Rank-1": "retrieval_multi_query_rank1",
    "multi-q. mAP": "retrieval_multi_query_mAP",
    "TPR 1e-3": "verification_tpr_at_fpr_1e-3",
    "DIR 1e-1": "open_set_dir_at_far_1e-1",
}


def read_metrics(path: Path) -> dict[str, Any]:
    """Read one round's metrics.json.

    Raises
    ------
    InputError
        It is missing, or no mapping of numbers in JSON.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        flat = _flatten(_without_run(values)) if isinstance(values, dict) else {}
    except FileNotFoundError:
        raise InputError(f"{path}: no figures of this round yet; run `dvc repro`") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no valid JSON ({error}); `dvc repro` writes it anew") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds {type(values).__name__}, not figures by name; perhaps {OTHER_VERSION}")
    for name, value in flat.items():
        if not isinstance(value, int | float | None):
            raise InputError(f"{path}: {brief(name)} is {brief(value)}, no figure; perhaps {OTHER_VERSION}")
    return values


def strays(folder: Path, rounds: Collection[str]) -> list[Path]:
    """Files of a folder that belong to no round of params.yaml: a round that was taken out leaves them."""
    return sorted(path for path in folder.iterdir() if path.stem not in rounds and not path.name.startswith("."))


def collect_figures(metrics: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Put the figures of rounds side by side.

    Parameters
    ----------
    metrics : dict of dict
        Round name to its metrics.json.

    Returns
    -------
    DataFrame
        One row a round, one column a figure, named `section_figure` (a dot would be a path to plotting tools); not
        `run`, which says how they came about;
        figures of no round are absent, save for those of `SHOWN`, which programs plot: they are empty.
    """
    table = pd.DataFrame([{**_flatten(_without_run(values)), "round": name} for name, values in metrics.items()])
    table = table[["round", *(column for column in table if column != "round")]]
    return table.reindex(columns=[*table, *(key for key in SHOWN.values() if key not in table)])


def telling_figures(figures: pd.DataFrame) -> pd.DataFrame:
    """The figures of `SHOWN` under their titles, one row a round; without those that no round has."""
    known = {key: title for title, key in SHOWN.items() if figures[key].notna().any()}
    return figures[["round", *known]].rename(columns=known)


def format_figures(figures: pd.DataFrame) -> str:
    """Format the most telling figures as a text table, a row a figure, a column a round; per cent but for the epoch."""
    table = telling_figures(figures)
    written = {name: [_write_figure(value) for value in table[name]] for name in table}
    return pd.DataFrame(written, dtype=str).T.to_string(header=False)


def _write_figure(value: str | float) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _without_run(values: dict[str, Any]) -> dict[str, Any]:
    """Figures alone, without what says how they came about."""
    return {key: value for key, value in values.items() if key != "run"}


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}_") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def collect_curves(files: dict[str, Path]) -> pd.DataFrame:
    """Put one CSV a round below each other, with the round's name in the first column."""
    tables = [_read_curves(file).assign(round=name) for name, file in files.items()]
    joined = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    return joined[["round", *(column for column in joined if column != "round")]]


def _read_curves(file: Path) -> pd.DataFrame:
    table = read_table(file, ("epoch", "loss"))
    for name in ("epoch", "loss"):
        if len(table) and table[name].dtype.kind not in "iuf":
            raise InputError(f"{file}: {name} holds what is no number; {REMEDY}")
    return table
