"""Which images have an occluder, and where: `occluders.csv` of a data set says so, or nothing is known."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hcga.csv_files import read_table
from hcga.errors import InputError
from hcga.images import size_shown

FILE = "occluders.csv"
BOX = ["left", "top", "right", "bottom"]
UNKNOWN, WHOLE = "", "whole"
KEY = ["dataset", "path"]
MOST_BYTES = 2**30  # of a file


class Occlusion(NamedTuple):
    """Of N images; `known` where a data set says which of its images are occluded."""

    known: np.ndarray  # (N,) bool
    occluded: np.ndarray  # (N,) bool
    boxes: pd.DataFrame  # row of the image; left, top, right, bottom as shares of its width and height


def list_occluders(root: Path, paths: pd.Series) -> list[str]:
    """Say of each image what covers it.

    Parameters
    ----------
    root : Path
        Of the data set. Its `occluders.csv`, if it has one, names all images that are occluded: image (path below the
        root), left, top, right, bottom (pixels of the file; right and bottom exclusive), and any other columns.
    paths : Series of str
        Images.

    Returns
    -------
    list of str
        UNKNOWN without such a file, WHOLE for an image that it does not name, else the boxes: left, top, right, bottom
        as shares of width and height, apart by a space, box after box.

    Raises
    ------
    InputError
        The file is no such table, or a box lies outside its image.
    """
    file = root / FILE
    if not file.is_file():
        return [UNKNOWN] * len(paths)
    try:
        if (size := file.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{size:,} bytes; {MOST_BYTES:,} are the most")
        table = pd.read_csv(file, dtype={"image": str} | dict.fromkeys(BOX, float))
    except (ValueError, OverflowError) as error:  # pandas' own kinds are ValueErrors
        raise InputError(f"{file}: no table of boxes ({error}); mend or remove it") from None
    if lacking := [name for name in ["image", *BOX] if name not in table]:
        raise InputError(f"{file}: column {lacking[0]} is missing; wanted are image, {', '.join(BOX)}")
    boxes: dict[str, list[str]] = {}
    wanted = set(paths)
    for image, *box in table[["image", *BOX]].itertuples(index=False, name=None):
        if image in wanted:
            boxes.setdefault(image, []).append(_relative(file, root / image, box))
    return [" ".join(boxes.get(path, [WHOLE])) for path in paths]


def _relative(file: Path, image: Path, box: list[float]) -> str:
    width, height = size_shown(image)
    left, top, right, bottom = box
    if not (0 <= left <= right <= width and 0 <= top <= bottom <= height):
        numbers = ", ".join(f"{value:g}" for value in box)
        raise InputError(
            f"{file}: the box {numbers} of {image} is not within its {width} x {height} pixels; correct it"
        )
    return " ".join(f"{value:.6g}" for value in (left / width, top / height, right / width, bottom / height))


def write_occlusion(samples: pd.DataFrame, path: Path) -> None:
    """Write what `list_occluders` said of the samples (column occluder) as CSV.

    One row a box, and one without a box for an image known to be whole; nothing of images of which nothing is known.
    """
    rows = []
    for dataset, image, text in samples[[*KEY, "occluder"]].itertuples(index=False, name=None):
        values = [] if text in (UNKNOWN, WHOLE) else text.split(" ")
        boxes = [values[start : start + 4] for start in range(0, len(values), 4)] or [[""] * 4]
        rows += [(dataset, image, *box) for box in boxes if text != UNKNOWN]
    pd.DataFrame(rows, columns=[*KEY, *BOX]).to_csv(path, index=False, lineterminator="\n")


def read_occlusion(path: Path, samples: pd.DataFrame) -> Occlusion:
    """Read what `write_occlusion` wrote, for the images of a sample table; `InputError` if that is no such file."""
    table = read_table(path, [*KEY, *BOX], dtype=dict.fromkeys(KEY, str) | dict.fromkeys(BOX, float))
    row_of = {key: row for row, key in enumerate(samples[KEY].itertuples(index=False, name=None))}
    rows = np.array([row_of.get(key, -1) for key in table[KEY].itertuples(index=False, name=None)], dtype=np.int64)
    table = table.assign(row=rows)[rows >= 0]
    boxes = table.dropna(subset=BOX)[["row", *BOX]]
    known, occluded = (np.zeros(len(samples), bool) for _ in range(2))
    known[table["row"]], occluded[boxes["row"]] = True, True
    return Occlusion(known, occluded, boxes)
