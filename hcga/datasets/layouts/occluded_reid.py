"""The layouts of Occluded-REID and P-DukeMTMC-reid (Zhuo et al., ICME 2018), which give no cameras.

Both hold `occluded_body_images/` and `whole_body_images/` with a folder an identity, `001/001_01.tif`. As the field
does, the occluded images are taken as camera 1 and the whole ones as camera 2.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from hcga.datasets.layouts.listing import Row, image_files, parse, row, subfolders

CAMERAS = {"occluded_body_images": 1, "whole_body_images": 2}
EXAMPLE = "001/001_01.tif"
NAME = re.compile(r"(?P<pid>\d+)_(?P<frame>\d+)\..+")
HALF_SEED = 0  # decides the identities of protocol half; no list of them was published
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
    table["split"] = table["camid"].map({1: "query", 2: "gallery"})
    if protocol == "half":
        pids = np.unique(table["pid"])
        training = np.random.default_rng(HALF_SEED).choice(pids, len(pids) // 2, replace=False)
        table.loc[table["pid"].isin(training), "split"] = "train"
    return table


def read_p_dukemtmc(root: Path) -> pd.DataFrame:
    """List P-DukeMTMC-reid: `train/` and `test/`, each with occluded and whole images and numbers of its own.

    The occluded test images are queries, the whole ones the gallery. See `read_market1501`; test identities are
    numbered from 10,000 on.
    """
    train = pd.DataFrame(_read_both(root / "train", "p_dukemtmc", None)).assign(split="train")
    test = pd.DataFrame(_read_both(root / "test", "p_dukemtmc", None))
    test = test.assign(split=test["camid"].map({1: "query", 2: "gallery"}), pid=test["pid"] + TEST_OFFSET)
    joined = pd.concat([train.assign(folder="train"), test.assign(folder="test")], ignore_index=True)
    joined["path"] = joined["folder"] + "/" + joined["path"]
    return joined.drop(columns="folder")


def _read_both(root: Path, layout: str, pattern: re.Pattern[str] | None) -> list[Row]:
    """Rows of both kinds of images; without a pattern the folder says the identity and the order the frame."""
    rows = []
    for kind, camid in CAMERAS.items():
        for folder in subfolders(root / kind, layout):
            for number, path in enumerate(image_files(folder, layout, EXAMPLE), 1):
                pid = parse(folder, re.compile(r"(?P<pid>\d+)"), layout, EXAMPLE)
                fields = parse(path, pattern, layout, EXAMPLE) if pattern else {"frame": number}
                rows.append(row("test", path, root, {**fields, **pid, "camid": camid}))
    return rows
