"""The sample table: one row an image, checked once, in the order that every store shares.

Row i of samples.csv is image i of images.zarr; the training rows come first, so row i is also mask i.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.csv_files import read_table
from hcga.errors import REMEDY, InputError, brief
from hcga.files import digest, leads_below
from hcga.params import NAME, Image
from hcga.stores import IMAGE_SET, folder_of

SPLITS = ("train", "query", "gallery")
COLUMNS = ("split", "pid", "camid", "sequence", "frame", "path", "dataset")
JUNK, DISTRACTOR = -1, 0
BESIDE = "-"  # between digest and size
LARGEST_PID = 10**18  # identities of several data sets are numbered on


class SplitCounts(NamedTuple):
    """What a split consists of; junk and distractors are images, but no identities."""

    split: str
    images: int
    identities: int
    cameras: int
    distractors: int
    junk: int


def arrange(samples: pd.DataFrame) -> pd.DataFrame:
    """Put a sample table into the order of the stores.

    Parameters
    ----------
    samples : DataFrame
        Columns split, pid, camid, sequence, frame, path (below the root of its data set), dataset (its name), and any
        others. A pid of -1 is junk, 0 a distractor. What may be wrong with it, `hcga.datasets.check` finds.

    Returns
    -------
    DataFrame
        Sorted by split (train, query, gallery), pid, camid, sequence, frame, path; new index from 0.

    Raises
    ------
    InputError
        A split is empty or unknown.
    """
    unknown = set(samples["split"]) - set(SPLITS)
    if unknown:
        raise InputError(f"unknown split {sorted(unknown)[0]!r}; known: {', '.join(SPLITS)}")
    for split in SPLITS:
        if not (samples["split"] == split).any():
            raise InputError(f"split {split} holds no image; look at the roots and splits of datasets")
    return sort_samples(samples)


def sort_samples(samples: pd.DataFrame) -> pd.DataFrame:
    """Sort as `arrange`, whatever splits there are."""
    return (
        samples.assign(order=samples["split"].map(SPLITS.index))
        .sort_values(["order", "pid", "camid", "sequence", "frame", "path", "dataset"], ignore_index=True)
        .drop(columns="order")
    )


def write_samples(samples: pd.DataFrame, path: Path) -> None:
    """Write an arranged sample table as CSV; columns beyond `COLUMNS` are left out."""
    samples[list(COLUMNS)].to_csv(path, index=False, lineterminator="\n")


def read_samples(path: Path) -> pd.DataFrame:
    """Read the samples.csv that `write_samples` wrote.

    Raises
    ------
    InputError
        The file is missing, cannot be read, or see `require_samples`.
    """
    table = read_table(path, COLUMNS, dtype={"path": str, "dataset": str}, keep_default_na=False)
    require_samples(path, table, REMEDY)
    return table


def read_samples_of(path: Path, store: zarr.Group) -> pd.DataFrame:
    """Read the sample table to whose rows the rows of a store belong.

    Raises
    ------
    InputError
        As of `read_samples`, or the store was made of another table.
    """
    samples = read_samples(path)
    table, size = str(store.attrs.get(IMAGE_SET, "")).partition(BESIDE)[::2]
    if size and table != _digest(samples):
        raise InputError(
            f"{path}: not the table of which {folder_of(store)} was made, so its rows belong to other people; "
            "`dvc repro --force prepare` makes both anew"
        )
    return samples


def describe_image_set(samples: pd.DataFrame, size: Image) -> dict[str, str]:
    """The attribute by which stores know each other's rows: a digest of the sample table and the images' size."""
    return {IMAGE_SET: f"{_digest(samples)}{BESIDE}{size.height}x{size.width}"}


def _digest(samples: pd.DataFrame) -> str:
    return digest(samples[list(COLUMNS)].to_csv(index=False).encode())


def require_samples(file: Path, table: pd.DataFrame, remedy: str) -> None:
    """Refuse a table that no stage has written so: it comes from elsewhere, or has been edited.

    Parameters
    ----------
    file : Path
        For the message.
    table : DataFrame
        Columns `COLUMNS`.
    remedy : str
        For the message.

    Raises
    ------
    InputError
        A column is missing, a number is none, a split is unknown, a path leads out of its data set or is no plain text,
        or a data set's name is none.
    """
    for column in COLUMNS:
        if column not in table:
            raise InputError(f"{file}: no column {column!r}; {remedy}")
        fine = _is_fine(table[column])
        if not fine.all():
            row = int(fine.to_numpy().argmin())
            raise InputError(f"{file}: row {row + 1}: {column} is {brief(table[column].iloc[row])}; {remedy}")


def _is_fine(values: pd.Series[Any]) -> pd.Series[bool]:
    """Which values of a column of `COLUMNS` may be there."""
    if values.name == "split":
        return values.isin(SPLITS)
    if values.name == "path":
        return values.map(lambda path: leads_below(path) and path.isprintable()).astype(bool)
    if values.name == "dataset":
        return values.map(lambda name: re.fullmatch(NAME, name) is not None).astype(bool)
    return pd.to_numeric(values, errors="coerce").between(JUNK, LARGEST_PID) & (values.dtype.kind == "i")


def count_splits(table: pd.DataFrame) -> list[SplitCounts]:
    """Count what each split of a table (columns split, pid, camid) consists of; splits without images are left out."""
    counts = []
    for split in SPLITS:
        part = table[table["split"] == split]
        if len(part):
            people = part["pid"][part["pid"] > DISTRACTOR].nunique()
            others = [int((part["pid"] == pid).sum()) for pid in (DISTRACTOR, JUNK)]
            counts.append(SplitCounts(split, len(part), people, part["camid"].nunique(), *others))
    return counts


def identities(samples: pd.DataFrame) -> dict[int, np.ndarray]:
    """Rows of each training identity.

    Returns
    -------
    dict of int to (N,) int64
        pid to its rows, ascending pid; rows are in the order of camera, sequence, frame.
    """
    train = samples[samples["split"] == "train"]
    return {int(pid): rows.to_numpy() for pid, rows in train.index.to_series().groupby(train["pid"])}


def image_names(samples: pd.DataFrame) -> pd.Series:
    """Name each image: its path below the name of its data set, which two data sets may have in common."""
    return samples["dataset"] + "/" + samples["path"]


def rows_of_identity(rows_of: Mapping[int, np.ndarray], pid: int) -> np.ndarray:
    """Rows of one of the training identities that `identities` has found, (n,) int64.

    Raises
    ------
    InputError
        There is no such identity; the message names the nearest.
    """
    if pid not in rows_of:
        near = ", ".join(str(known) for known in sorted(rows_of, key=lambda known: abs(known - pid))[:3])
        raise InputError(f"identity {pid} is not among the {len(rows_of)} training identities; nearest: {near}")
    return rows_of[pid]


def shows_identity(samples: pd.DataFrame) -> np.ndarray:
    """Which are test images of identities, (N,) bool: junk and distractors may show nobody."""
    return ((samples["split"] != "train") & (samples["pid"] > 0)).to_numpy()
