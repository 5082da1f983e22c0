"""How the masks of two states of the pipeline differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import zarr

from hcga.artifacts import open_artifact
from hcga.errors import InputError
from hcga.masks.parts import UNLABELLED
from hcga.runs.workspace import Workspace
from hcga.samples import identities, read_samples_of
from hcga.stores import array, attribute, read_rows

BLOCK = 64  # identities of which the masks are read at once
ImageKey = tuple[str, str]  # data set and path


def compare_masks(first: Workspace, second: Workspace, round_name: str, other_round: str | None = None) -> pd.DataFrame:
    """Compare the masks of a round identity by identity.

    Parameters
    ----------
    first, second : Workspace
        Or revisions; they may be the same.
    round_name : str
        Of the first.
    other_round : str, optional
        Of the second; the same name if not given.

    Returns
    -------
    DataFrame
        A row an identity of either, those that differ most first: pid, images (in both), changed (share of the cells
        with another label), foreground_changed (share of the cells that are foreground in one alone),
        foreground_before, foreground_after (shares), only_in (`first`, `second` or empty); per cent of the cells that
        both label.

    Raises
    ------
    InputError
        One of them has no such round or no masks of it, or their masks cannot be compared, see `open_comparable`.
    """
    sides = [(first, round_name), (second, other_round or round_name)]
    stores = [open_artifact(side, "coparse", "masks", name) for side, name in sides]
    masks = open_comparable(stores)
    tables = [side.path("prepare", "samples") for side, _ in sides]
    rows_of = [_rows_by_image(read_samples_of(*each)) for each in zip(tables, stores, strict=True)]
    table = pd.DataFrame(_compare_identities(masks, rows_of)).round(3)
    return table.sort_values(["changed", "pid"], ascending=[False, True], na_position="first", ignore_index=True)


def open_comparable(stores: Sequence[zarr.Group]) -> list[zarr.Array[Any]]:
    """Open the masks (N, h, w) uint8 of two stores; `InputError` if they differ in size or in part classes."""
    masks = [array(store, "masks") for store in stores]
    sizes = [f"{height} x {width}" for height, width in (of.shape[1:] for of in masks)]
    if sizes[0] != sizes[1]:
        raise InputError(f"masks of {sizes[0]} and of {sizes[1]} cells; compare runs with images of one size")
    classes = [attribute(store, "part_classes", int) for store in stores]
    if classes[0] != classes[1]:
        raise InputError(
            f"masks of {classes[0]} and of {classes[1]} part classes, so that numbers mean other parts; compare runs "
            "with the same part_classes"
        )
    return masks


def _rows_by_image(samples: pd.DataFrame) -> dict[int, dict[ImageKey, int]]:
    """Rows of the images of each training identity."""
    keys = list(zip(samples["dataset"], samples["path"], strict=True))
    return {pid: {keys[row]: int(row) for row in rows} for pid, rows in identities(samples).items()}


def _compare_identities(
    masks: list[zarr.Array[Any]], rows_of: list[dict[int, dict[ImageKey, int]]]
) -> Iterator[dict[str, Any]]:
    """Compare the two sides a block of identities at a time: neither store is ever in memory as a whole."""
    pids = sorted(rows_of[0].keys() | rows_of[1].keys())
    for start in range(0, len(pids), BLOCK):
        pairs = {pid: [side.get(pid, {}) for side in rows_of] for pid in pids[start : start + BLOCK]}
        common = {pid: sorted(before.keys() & after.keys()) for pid, (before, after) in pairs.items()}
        ends = np.cumsum([len(keys) for keys in common.values()])[:-1]
        parts = []
        for side, of in enumerate(masks):
            rows = [pairs[pid][side][key] for pid, keys in common.items() for key in keys]
            parts.append(np.split(read_rows(of, np.array(rows, np.int64)), ends))
        for (pid, keys), before, after in zip(common.items(), *parts, strict=True):
            only_in = "" if all(pairs[pid]) else "first" if pairs[pid][0] else "second"
            yield {"pid": pid, "images": len(keys), **_shares(before, after), "only_in": only_in}


def changed_cells(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Tell which cells have another label, (n, h, w) bool; those that one of the two leaves unlabelled have not."""
    return (before != after) & (before != UNLABELLED) & (after != UNLABELLED)


def changed_shares(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Share of the cells of each image with another label.

    Parameters
    ----------
    before, after : (n, h, w) uint8

    Returns
    -------
    (n,) float64
        Per cent of the cells that both label; nan where there is none.
    """
    known = ((before != UNLABELLED) & (after != UNLABELLED)).sum((1, 2))
    changed = 100.0 * changed_cells(before, after).sum((1, 2))
    return np.divide(changed, known, out=np.full(len(known), np.nan), where=known > 0)


def _shares(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """Shares of the cells that both label, per cent; nan where there is none."""
    known = (before != UNLABELLED) & (after != UNLABELLED)
    cells = {
        "changed": before != after,
        "foreground_changed": (before > 0) != (after > 0),
        "foreground_before": before > 0,
        "foreground_after": after > 0,
    }
    return {name: 100 * float(values[known].mean()) if known.any() else float("nan") for name, values in cells.items()}


def summarise_difference(table: pd.DataFrame) -> str:
    """Sum up a table of `compare_masks` in a line."""
    both = table[(table["only_in"] == "") & table["changed"].notna()]
    differ = both[both["changed"] > 0]
    if both.empty:
        return "nothing to compare: of no identity is there a cell that both label"
    if differ.empty and len(both) == len(table):
        return f"the masks of all {len(table)} identities are the same"
    share = (both["changed"] * both["images"]).sum() / max(1, both["images"].sum())
    line = f"{len(differ)} of {len(both)} identities differ, in {share:.1f} % of the cells"
    for side in ("first", "second"):
        alone = int((table["only_in"] == side).sum())
        line += f"; {alone} only in the {side}" if alone else ""
    unlabelled = int(((table["only_in"] == "") & table["changed"].isna()).sum())
    line += f"; {unlabelled} without a cell that both label" if unlabelled else ""
    return line


def describe_difference(round_name: str, table: pd.DataFrame, top: int) -> str:
    """Sum up a table of `compare_masks` in a line and list its first rows."""
    line = f"{round_name}: {summarise_difference(table)}"
    shown = table[table["changed"] > 0].head(top).drop(columns="only_in")
    return line if shown.empty else f"{line}\n{shown.to_string(index=False, float_format=lambda value: f'{value:.1f}')}"
