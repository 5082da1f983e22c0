"""Data of one's own: a table of images, or folders."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from hcga.datasets.layouts.listing import image_files, parse, row, subfolders
from hcga.errors import InputError
from hcga.samples import SPLITS

REQUIRED, OPTIONAL = ("path", "split", "pid", "camid"), ("sequence", "frame")
TABLES = ("samples.csv", "samples.parquet")
NAME = re.compile(r"(?P<camid>\d+)_.+")


def read_table(root: Path) -> pd.DataFrame:
    """List the images that a table names: `samples.csv` or `samples.parquet` (needs pyarrow) in the root.

    Parameters
    ----------
    root : Path
        The table's columns are path (relative to the root), split (train, query, gallery), pid, camid and, where known,
        sequence and frame (else 0). A pid of -1 is junk, 0 a distractor.

    Returns, Raises
        As `read_market1501`; also if a column is missing, a number is none, or a path is absolute, leaves the root or
        leads to no file.
    """
    file = next((root / name for name in TABLES if (root / name).is_file()), None)
    if file is None:
        raise InputError(f"{root}: neither {' nor '.join(TABLES)}; the layout table needs one")
    table = _load(file)
    missing = [column for column in REQUIRED if column not in table]
    if missing:
        raise InputError(f"{file}: column {missing[0]!r} is missing; it has {', '.join(map(str, table.columns))}")
    table = table.assign(**{column: 0 for column in OPTIONAL if column not in table})
    for column in ("pid", "camid", *OPTIONAL):
        numbers = pd.to_numeric(table[column], errors="coerce")
        odd = table.index[numbers.isna() | (numbers % 1 != 0)]
        if len(odd):
            raise InputError(
                f"{file}: row {odd[0] + 1}: {column} is {str(table.loc[odd[0], column])!r}, not a whole number"
            )
        table[column] = numbers.astype("int64")
    for number, path in enumerate(table["path"].astype(str), 1):
        _check_path(file, number, path, root)
    return table[["split", "pid", "camid", *OPTIONAL, "path"]].astype({"path": str})


def _load(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    except (ValueError, OSError, ImportError) as error:
        raise InputError(f"{file}: cannot be read as a table ({error})") from None
    return table.reset_index(drop=True)  # rows are named by their place, whatever a Parquet file calls them


def _check_path(file: Path, number: int, path: str, root: Path) -> None:
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or ".." in parts:
        raise InputError(f"{file}: row {number}: path {path!r} must lead from the table's folder to a file below it")
    if not (root / path).is_file():
        raise InputError(f"{file}: row {number}: no file {root / path}")


def read_folder(root: Path) -> pd.DataFrame:
    """List `split/pid/camid_anything.jpg`: folders train, query and gallery with a folder an identity.

    See `read_market1501`. Folders of identities are named by numbers; -1 is junk, 0 a distractor. A split may be
    missing. Images of a camera are taken to follow each other in the order of their names.
    """
    rows = []
    for split in (name for name in SPLITS if (root / name).is_dir()):
        for folder in subfolders(root / split, "folder"):
            pid = parse(folder, re.compile(r"(?P<pid>-1|\d+)"), "folder", "train/0012/")
            files = image_files(folder, "folder", "3_0815.jpg")
            rows += [
                row(split, path, root, {**parse(path, NAME, "folder", "3_0815.jpg"), **pid, "frame": number})
                for number, path in enumerate(files)
            ]
    if not rows:
        raise InputError(f"{root}: no folders {', '.join(SPLITS)}; the layout is split/identity/camera_name.jpg")
    return pd.DataFrame(rows)
