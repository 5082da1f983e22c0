"""The layouts of DukeMTMC-reID (Zheng et al., ICCV 2017) and Occluded-DukeMTMC (Miao et al., ICCV 2019).

`bounding_box_train/`, `query/` and `bounding_box_test/` (the gallery) hold files such as `0005_c2_f0046985.jpg`:
identity, camera, frame. DukeMTMC was withdrawn by its makers over privacy; this is for those who hold it lawfully.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from hcga.datasets.layouts.listing import listed_files, parse, read_folders, read_lines, row
from hcga.datasets.layouts.market1501 import FOLDERS

EXAMPLE = "0005_c2_f0046985.jpg"
NAME = re.compile(r"(?P<pid>\d+)_c(?P<camid>\d+)_f(?P<frame>\d+)\.jpg", re.IGNORECASE)
LISTS = {split: f"{split}.list" for split in FOLDERS}


def read_dukemtmc(root: Path) -> pd.DataFrame:
    """List a data set in DukeMTMC-reID's layout; see `read_market1501`."""
    return pd.DataFrame(read_folders(root, FOLDERS, NAME, "dukemtmc", EXAMPLE))


def read_occluded_dukemtmc(root: Path) -> pd.DataFrame:
    """List Occluded-DukeMTMC: its own folders, or a copy of DukeMTMC-reID with the published name lists beside them.

    Where `train.list`, `query.list` and `gallery.list` are, they decide: one file name a line, looked for in the folder
    of the split and, as in the published conversion script, in `bounding_box_test` if it is not there. Many queries
    come from DukeMTMC-reID's gallery and stay in the gallery too; matching ignores them there, being of the query's own
    camera.

    See `read_market1501`; also `InputError` if some lists are missing or name files that are not there.
    """
    if not any((root / name).exists() for name in LISTS.values()):
        return read_dukemtmc(root)
    rows = []
    for split, name in LISTS.items():
        names = read_lines(root / name, f"the name lists are {', '.join(LISTS.values())}, all or none of them")
        own, other = root / FOLDERS[split], root / FOLDERS["gallery"]
        paths = listed_files(names, (own, other), root / LISTS[split])
        rows += [row(split, path, root, parse(path, NAME, "occluded_dukemtmc", EXAMPLE)) for path in paths]
    return pd.DataFrame(rows)
