"""A data set on disk as a table: who is on which image, and what each file holds, down to the byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from hcga.datasets.check import NO_FILE
from hcga.datasets.readers import read_data_set
from hcga.datasets.truth import refuse_strays, truth_file
from hcga.errors import InputError
from hcga.files import file_digest
from hcga.links import refuse_leaving
from hcga.occluders import FILE, list_occluders
from hcga.runs.progress import track
from hcga.samples import require_samples

TEXTS = ("path", "digest", "occluder", "truth_digest")  # columns


def catalogue(layout: str, root: Path, splits: Sequence[str], truth: str | None) -> pd.DataFrame:
    """List the images of a data set with the digests of their files.

    The digests make the table change whenever a file does, and show files that are there twice.

    Parameters
    ----------
    layout : str
        A key of `LAYOUTS`.
    root : Path
    splits : sequence of str
        Those that are wanted.
    truth : str or None
        Folder of true part masks below the root; see `truth_file`.

    Returns
    -------
    DataFrame
        split, pid, camid, sequence, frame, path, digest, occluder (see `list_occluders`), truth_digest ('' where there
        is no label image), in the order of split, pid, camid, sequence, frame, path.

    Raises
    ------
    InputError
        See `read_data_set` and `list_occluders`; a wanted split is not in the data set, or the truth folder holds no
        label image of it, or one of no image.
    """
    table = read_data_set(layout, root)
    lacking = [split for split in splits if split not in set(table["split"])]
    if lacking:
        raise InputError(f"{root}: the layout {layout} has no split {lacking[0]} there; look for it, or change splits")
    if truth is not None:
        refuse_strays(root, truth, table)
    table = table[table["split"].isin(splits)]
    table = table.sort_values(["split", "pid", "camid", "sequence", "frame", "path"], ignore_index=True)
    table["digest"] = _digests([root / path for path in table["path"]], f"reading {root.name}")
    refuse_leaving(root, [FILE])
    table["occluder"] = list_occluders(root, table["path"])
    if truth is None:
        return table.assign(truth_digest=NO_FILE)
    labels = [truth_file(root, truth, path) for path in table["path"]]
    refuse_leaving(root, (file.relative_to(root).as_posix() for file in labels if file.is_file()))
    table["truth_digest"] = _digests(labels, "reading true masks")
    if (table["truth_digest"] == NO_FILE).all():
        raise InputError(f"truth: {root / truth} holds no label image such as {labels[0]}; set it to null")
    return table


def _digests(files: list[Path], what: str) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return list(track(pool.map(digest_if_there, files), what, len(files), "file"))


def digest_if_there(file: Path) -> str:
    """Digest of a file as a catalogue has it, `NO_FILE` if there is none."""
    try:
        return file_digest(file)
    except FileNotFoundError:
        return NO_FILE


def write_catalogue(table: pd.DataFrame, path: Path) -> None:
    """Write a catalogue as CSV."""
    table.to_csv(path, index=False, lineterminator="\n")


def read_catalogues(files: Mapping[str, Path]) -> dict[str, pd.DataFrame]:
    """Read catalogues, name of the data set to file; `InputError` if one is missing or damaged."""
    tables = {}
    for name, file in files.items():
        remedy = f"run `dvc repro catalogue@{name}`"
        try:
            texts = dict.fromkeys(TEXTS, str)
            tables[name] = pd.read_csv(file, dtype=texts, keep_default_na=False)
        except FileNotFoundError:
            raise InputError(f"{file}: no such file; {remedy}") from None
        except (ValueError, OSError) as error:  # pandas' own kinds are ValueErrors
            raise InputError(f"{file}: no readable table ({error}); {remedy}") from None
        require_samples(file, tables[name].assign(dataset=name), remedy)
    return tables


def join_tables(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put catalogues below each other, with the data set's name in column `dataset`.

    Identities of different data sets are different people: those of the second, third, ... set are numbered on from a
    power of ten above all identities, so that the number in their file names can still be read. Junk and distractors
    stay.
    """
    step = 10 ** len(str(max(int(table["pid"].max()) for table in tables.values())))
    return pd.concat(
        [
            table.assign(dataset=name, pid=table["pid"] + (table["pid"] > 0) * number * step)
            for number, (name, table) in enumerate(tables.items())
        ],
        ignore_index=True,
    )
