"""MSMT17 (Wei et al., CVPR 2018) with its list files.

`list_train.txt`, `list_val.txt`, `list_query.txt` and `list_gallery.txt` hold lines such as
`0000/0000_013_04_0303morning_0020_2.jpg 0`: a path below the folder of training or test images, and the identity. The
third field of the file name is the camera.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from hcga.datasets.layouts.listing import Row, listed_files, parse, read_lines, require_one_identity_a_name, row
from hcga.errors import InputError

EXAMPLE = "0000_013_04_0303morning_0020_2.jpg"
NAME = re.compile(r"\d+_(?P<sequence>\d+)_(?P<camid>\d+)_.+\.(jpg|jpeg)", re.IGNORECASE)
PID = re.compile(r"\d{1,9}")
FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}  # version 1; 2, with faces blurred
TEST_OFFSET = 10_000  # training and test identities are numbered alike, but they are different people


def read_msmt17(root: Path, protocol: str) -> pd.DataFrame:
    """List MSMT17, version 1 or 2.

    Parameters
    ----------
    root : Path
        The folder that holds the lists.
    protocol : {'with_val', 'train_only'}
        Whether the validation images, which show training identities, train too: 32,621 images (most recent papers) or
        30,248.

    Returns, Raises
        As `read_market1501`; also if a list or a listed file is missing. Identities are numbered from 1, those of the
        test from 10,001 on.
    """
    lists = {"train": ("train", 1), "query": ("test", 1 + TEST_OFFSET), "gallery": ("test", 1 + TEST_OFFSET)}
    rows = [line for split, (part, offset) in lists.items() for line in _read_list(root, split, split, part, offset)]
    if protocol == "with_val":
        rows += _read_list(root, "val", "train", "train", 1)
    table = pd.DataFrame(rows)
    # 'mask_train_v2/0000/0000_013_...jpg' -> 'mask_train_v2/0000': training and test number different people alike.
    names = table["path"].str.replace(r"^([^/]+)/.*?([^/_]+)_[^/]*$", r"\1/\2", regex=True)
    require_one_identity_a_name(zip(names, table["pid"], strict=True), root, "name")
    return table


def _read_list(root: Path, name: str, split: str, part: str, offset: int) -> list[Row]:
    file = root / f"list_{name}.txt"
    folders = [root / known for known in FOLDERS[part] if (root / known).is_dir()]
    if len(folders) != 1:
        named = f"both {' and '.join(FOLDERS[part])}" if folders else f"neither {' nor '.join(FOLDERS[part])}"
        raise InputError(f"{root}: {named}; MSMT17 has its {part} images in one, by its version: leave one there")
    lines = [line.rsplit(" ", 1) for line in read_lines(file, "MSMT17 comes with it; take it from the archive")]
    bad = next((number for number, line in enumerate(lines, 1) if len(line) != 2 or not PID.fullmatch(line[1])), None)
    if bad:
        raise InputError(f"{file}: line {bad} is not a path, a space and an identity, such as `0000/{EXAMPLE} 0`")
    paths = listed_files([path for path, _ in lines], folders, file)
    return [
        row(split, path, root, {**parse(path, NAME, "msmt17", EXAMPLE), "pid": int(pid) + offset})
        for path, (_, pid) in zip(paths, lines, strict=True)
    ]
