"""CUHK03 with the new protocol of Zhong et al. (CVPR 2017), CUHK03-NP: 767 identities train, 700 are tested.

The re-split folders, one set of them for detected and one for labelled boxes, hold files such as `0003_c1_21.png`:
identity, view (two a camera pair; the true cameras are not recorded) and running number.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from hcga.datasets.layouts.listing import read_folders
from hcga.datasets.layouts.market1501 import FOLDERS

EXAMPLE = "0003_c1_21.png"
NAME = re.compile(r"(?P<pid>\d+)_c(?P<camid>\d+)_(?P<frame>\d+)\.(png|jpg)", re.IGNORECASE)


def read_cuhk03(root: Path) -> pd.DataFrame:
    """List CUHK03-NP; `root` is its folder `detected` or `labeled`. See `read_market1501`."""
    return pd.DataFrame(read_folders(root, FOLDERS, NAME, "cuhk03", EXAMPLE))
