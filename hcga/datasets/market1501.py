"""Market-1501's layout (Zheng et al., ICCV 2015).

`bounding_box_train/`, `query/` and `bounding_box_test/` (the gallery) hold files such as
`0002_c1s1_000451_03.jpg`: identity, camera, sequence, frame, detection box. Identity -1 is junk, 0000 a
distractor. Sets converted to this layout read alike.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from hcga.errors import InputError

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
NAME = re.compile(
    r"(?P<pid>-1|\d+)_c(?P<camid>\d+)s(?P<sequence>\d+)_(?P<frame>\d+)_(?P<box>\d+)\.jpg(\.jpg)?"
)  # some of Market-1501's distractors end in .jpg.jpg
BYSTANDERS = {"Thumbs.db", ".DS_Store", "desktop.ini"}  # Market-1501 ships with a Thumbs.db in each folder


def read_market1501(root: Path) -> pd.DataFrame:
    """List a data set in Market-1501's layout.

    Parameters
    ----------
    root : Path
        The folder that holds the three folders.

    Returns
    -------
    DataFrame
        split, pid, camid, sequence, frame, path (relative to root, with forward slashes), unordered.

    Raises
    ------
    InputError
        A folder is missing or empty, or a file has a name outside the layout.
    """
    if not root.is_dir():
        raise InputError(f"dataset.root: {root} is not a folder; set it to the folder that holds bounding_box_train")
    rows = []
    for split, folder in FOLDERS.items():
        files = _image_files(root / folder)
        rows += [_parse(split, path, root) for path in files]
    return pd.DataFrame(rows)


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; Market-1501's layout has {', '.join(FOLDERS.values())}")
    files = sorted(path for path in folder.iterdir() if path.name not in BYSTANDERS)
    if not files:
        raise InputError(f"{folder}: empty; it should hold files such as 0002_c1s1_000451_03.jpg")
    return files


def _parse(split: str, path: Path, root: Path) -> dict[str, object]:
    match = NAME.fullmatch(path.name)
    if not match:
        raise InputError(f"{path}: name outside Market-1501's layout (0002_c1s1_000451_03.jpg); rename or remove it")
    numbers = {key: int(match[key]) for key in ("pid", "camid", "sequence", "frame")}
    return {"split": split, **numbers, "path": path.relative_to(root).as_posix()}
