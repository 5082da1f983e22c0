"""The layouts of Occluded-REID and P-DukeMTMC-reid (Zhuo et al., ICME 2018), which give no cameras.

Both hold `occluded_body_images/` and `whole_body_images/` with a folder an identity, `001/001_01.tif`. As the field
does, the occluded images are taken as camera 1 and the whole ones as camera 2.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import pandas as pd

from hcga.datasets.layouts.listing import Row, image_files, parse, require_one_identity_a_name, row, subfolders
from hcga.errors import InputError

CAMERAS = {"occluded_body_images": 1, "whole_body_images": 2}
EXAMPLE = "001/001_01.tif"
FOLDER = re.compile(r"\d+")
NAME = re.compile(r"(?P<pid>\d+)_(?P<frame>\d+)\..+")
P_DUKEMTMC = re.compile(r"(?P<pid>\d+)_.+")
TEST_OFFSET = 10_000  # P-DukeMTMC-reid numbers training and test identities alike, but they are different people


def read_occluded_reid(root: Path, protocol: str) -> pd.DataFrame:
    """List Occluded-REID.

    Parameters
    ----------
    root : Path
        The folder that holds `occluded_body_images` and `whole_body_images`.
    protocol : {'half', 'transfer'}
        half: half of the identities, drawn at random, train with all their images; of the others the occluded images
        are queries, the whole ones the gallery (the HCGA paper). transfer: all identities are tested, none trains.

    Returns, Raises
        As `read_market1501`.
    """
    table = pd.DataFrame(_read_both(root, "occluded_reid", NAME))
    for path, pid in zip(table["path"], table["pid"], strict=True):
        if int(PurePosixPath(path).parent.name) != pid:
            raise InputError(f"{root / path}: of identity {pid} by its name, but in another's folder; move it")
    table["split"] = table["camid"].map({1: "query", 2: "gallery"})
    if protocol == "half":
        drawn = sorted(table["pid"].unique(), key=_lot)
        table.loc[table["pid"].isin(drawn[: len(drawn) // 2]), "split"] = "train"
    return table


def _lot(pid: int) -> bytes:
    """What an identity draws; no list of the halves was published, and this one holds whatever the version of numpy."""
    return hashlib.blake2b(str(pid).encode()).digest()


def read_p_dukemtmc(root: Path) -> pd.DataFrame:
    """List P-DukeMTMC-reid: `train/` and `test/`, each with occluded and whole images and numbers of its own.

    The occluded test images are queries, the whole ones the gallery. See `read_market1501`; test identities are
    numbered from 10,000 on.
    """
    train = pd.DataFrame(_read_both(root / "train", "p_dukemtmc", P_DUKEMTMC)).assign(split="train")
    test = pd.DataFrame(_read_both(root / "test", "p_dukemtmc", P_DUKEMTMC))
    test = test.assign(split=test["camid"].map({1: "query", 2: "gallery"}), pid=test["pid"] + TEST_OFFSET)
    joined = pd.concat([train.assign(folder="train"), test.assign(folder="test")], ignore_index=True)
    joined["path"] = joined["folder"] + "/" + joined["path"]
    return joined.drop(columns="folder")


def _read_both(root: Path, layout: str, pattern: re.Pattern[str]) -> list[Row]:
    """Rows of both kinds of images. File names say who is on an image, and folders must agree."""
    rows, people = [], []
    for kind, camid in CAMERAS.items():
        for folder in subfolders(root / kind, layout):
            parse(folder, FOLDER, layout, EXAMPLE)
            for number, path in enumerate(image_files(folder, layout, EXAMPLE), 1):
                fields = {"frame": number, "camid": camid, **parse(path, pattern, layout, EXAMPLE)}
                rows.append(row("test", path, root, fields))
                people.append((folder.name, fields["pid"]))
    require_one_identity_a_name(people, root, "folder")
    return rows
