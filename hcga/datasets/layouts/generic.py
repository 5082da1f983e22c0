"""Data of one's own: a table of images, or folders."""

from __future__ import annotations

import csv
import difflib
import re
from itertools import islice
from pathlib import Path

import pandas as pd

from hcga.datasets.layouts.listing import LARGEST, image_files, parse, require_one_identity_a_name, row, subfolders
from hcga.errors import InputError, brief
from hcga.files import is_file, leads_below
from hcga.folders import is_image, visible
from hcga.links import refuse_leaving
from hcga.samples import SPLITS

REQUIRED, OPTIONAL = ("path", "split", "pid", "camid"), ("sequence", "frame")
TABLES = ("samples.csv", "samples.parquet")
LIMITS = {"pid": (-1, LARGEST), "camid": (0, LARGEST), "sequence": (0, LARGEST), "frame": (0, LARGEST)}
MOST_ROWS, MOST_BYTES = 10**7, 2**30  # of a table, unpacked
ROWS_AT_ONCE = 2**10
IDENTITY = re.compile(r"(?P<pid>-1|\d+)")
NAME = re.compile(r"(?P<camid>\d+)_.+")


def read_table(root: Path) -> pd.DataFrame:
    """List the images that a table names: `samples.csv` or `samples.parquet` (needs pyarrow) in the root.

    Parameters
    ----------
    root : Path
        The table's columns are path (relative to the root), split (train, query, gallery), pid, camid and, where known,
        sequence and frame (else 0). A pid of -1 is junk, 0 a distractor.

    Returns, Raises
        As `read_market1501`; also if a column is missing or a value is not what it should be: a path that is absolute,
        leaves the root, leads to no file or stands twice in a split, an unknown split, a number out of `LIMITS`.
    """
    files = [root / name for name in TABLES if (root / name).is_file()]
    if len(files) != 1:
        named = f"both {' and '.join(TABLES)}" if files else f"neither {' nor '.join(TABLES)}"
        raise InputError(f"{root}: {named}; the layout table needs one")
    (file,) = files
    refuse_leaving(root, [file.name])
    table = _load(file)
    table = table.assign(**{column: 0 for column in OPTIONAL if column not in table})
    for column, (lowest, highest) in LIMITS.items():
        numbers = pd.to_numeric(table[column], errors="coerce")
        wrong = numbers.isna() | (numbers % 1 != 0) | (numbers < lowest) | (numbers > highest)
        _refuse(file, table, column, wrong, f"is not a whole number from {lowest} to {highest}")
        table[column] = numbers.astype("int64")
    _refuse(file, table, "split", ~table["split"].isin(SPLITS), f"is not one of {', '.join(SPLITS)}")
    _refuse(
        file, table, "path", ~table["path"].map(leads_below), "must lead from the table's folder to a file below it"
    )
    _refuse(file, table, "path", ~table["path"].map(str.isprintable), "is no plain text; rename the file")
    there = table["path"].map(lambda path: is_file(root / path))
    _refuse(file, table, "path", ~there, f"is no file below {root}; write / between folders")
    _refuse(
        file,
        table,
        "path",
        table.duplicated(["split", "path"]),
        "stands in a row above in the same split; take one out",
    )
    return table[["split", "pid", "camid", *OPTIONAL, "path"]]


def _load(file: Path) -> pd.DataFrame:
    """The table, rows numbered from 0, with the required columns and at least one row."""
    try:
        table = _read_csv(file) if file.suffix == ".csv" else _read_parquet(file)
    except (ValueError, OSError, ImportError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as a table ({error}); write CSV with commas, in UTF-8") from None
    missing = [column for column in REQUIRED if column not in table]
    if missing:
        raise InputError(
            f"{file}: column {missing[0]!r} is missing; it has {', '.join(map(str, table.columns))} (commas separate "
            "columns)"
        )
    for column in map(str, table.columns):
        near = difflib.get_close_matches(column, OPTIONAL, n=1)
        if near and near[0] not in table:
            raise InputError(f"{file}: column {column!r}: did you mean {near[0]!r}?")
    if table.empty:
        raise InputError(f"{file}: has no rows; write one an image")
    return table.reset_index(drop=True)  # whatever a Parquet file calls its rows


def _read_csv(file: Path) -> pd.DataFrame:
    """Values as they stand: 'NA' is a name, not a gap. A comma at the end of each row is let pass."""
    if (size := file.stat().st_size) > MOST_BYTES:
        raise ValueError(f"{size:,} bytes; {MOST_BYTES:,} are the most")
    with file.open(encoding="utf-8-sig", newline="") as text:
        header, *values = list(islice((line for line in csv.reader(text) if line), 1 + MOST_ROWS + 1)) or [[]]
    if len(values) > MOST_ROWS:
        raise ValueError(f"more than {MOST_ROWS:,} rows")
    for number, line in enumerate(values, 1):
        if len(line) < len(header) or any(line[len(header) :]):
            raise ValueError(f"row {number} has {len(line)} values below {len(header)} columns")
    if len(set(header)) < len(header):
        raise ValueError(f"two columns have one name: {', '.join(header)}")
    return pd.DataFrame([line[: len(header)] for line in values], columns=header, dtype=str)


def _read_parquet(file: Path) -> pd.DataFrame:
    """A table, some rows at a time: a small file may unpack to any size, whatever its own description says."""
    from pyarrow import Table  # a dependency of this alone
    from pyarrow.parquet import ParquetFile

    table = ParquetFile(file)
    told = table.metadata
    size = sum(told.row_group(number).total_byte_size for number in range(told.num_row_groups))
    batches, rows = [], 0
    if max(told.num_rows, size) <= MOST_BYTES:
        size = 0
        for batch in table.iter_batches(ROWS_AT_ONCE):
            batches.append(batch)
            rows, size = rows + len(batch), size + batch.nbytes
            if rows > MOST_ROWS or size > MOST_BYTES:
                break
    if max(rows, told.num_rows) > MOST_ROWS or size > MOST_BYTES:
        raise ValueError(f"{told.num_rows:,} rows, {size:,} bytes; {MOST_ROWS:,} and {MOST_BYTES:,} are the most")
    return Table.from_batches(batches, table.schema_arrow).to_pandas()


def _refuse(file: Path, table: pd.DataFrame, column: str, wrong: pd.Series[bool], problem: str) -> None:
    """Name the first row in which a column is wrong; the row below the header is row 1."""
    rows = table.index[wrong]
    if len(rows):
        value = str(table.loc[rows[0], column])
        raise InputError(f"{file}: row {rows[0] + 1}: {column} {brief(value)} {problem}")


def read_folder(root: Path) -> pd.DataFrame:
    """List `split/pid/camid_anything.jpg`: folders train, query and gallery with a folder an identity.

    See `read_market1501`. Folders of identities are named by numbers; -1 is junk, 0 a distractor. A split may be
    missing. Images of a camera are taken to follow each other in the order of their names, numbers in them as numbers.
    Images that would not be read, in the root, in a split or in a folder that is none, are refused.
    """
    for path in visible(root):
        if is_image(path) or (path.is_dir() and path.name not in SPLITS and _has_images_of_its_own(path)):
            raise InputError(f"{path}: would not be read; the layout folder has {', '.join(SPLITS)}: rename or move it")
    rows, people = [], []
    for split in (name for name in SPLITS if (root / name).is_dir()):
        for folder in subfolders(root / split, "folder"):
            pid = parse(folder, IDENTITY, "folder", "train/0012/")
            people.append((f"{split}/{folder.name}", pid["pid"]))
            files = sorted(image_files(folder, "folder", "3_0815.jpg"), key=_by_number)
            rows += [
                row(split, path, root, {**parse(path, NAME, "folder", "3_0815.jpg"), **pid, "frame": number})
                for number, path in enumerate(files)
            ]
    for split in SPLITS:
        of_split = (pair for pair in people if pair[0].startswith(f"{split}/"))
        require_one_identity_a_name(of_split, root, "folder")
    if not rows:
        raise InputError(f"{root}: no folders {', '.join(SPLITS)}; the layout is split/identity/camera_name.jpg")
    return pd.DataFrame(rows)


def _has_images_of_its_own(folder: Path) -> bool:
    """Tell whether a folder holds images, and not label images that mirror the splits."""
    mirrors = any((folder / split).is_dir() for split in SPLITS)
    return not mirrors and any(is_image(path) for path in folder.rglob("*"))


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Key by which 1_9.jpg comes before 1_10.jpg."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path.name)]
