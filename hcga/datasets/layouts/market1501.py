"""Market-1501's layout (Zheng et al., ICCV 2015).

`bounding_box_train/`, `query/` and `bounding_box_test/` (the gallery) hold files such as
`0002_c1s1_000451_03.jpg`: identity, camera, sequence, frame, detection box. Identity -1 is junk, 0000 a
distractor. Sets converted to this layout read alike.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from hcga.datasets.layouts.listing import read_folders

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
EXAMPLE = "0002_c1s1_000451_03.jpg"
NAME = re.compile(
    r"(?P<pid>-1|\d+)_c(?P<camid>\d+)s(?P<sequence>\d+)_(?P<frame>\d+)_(?P<box>\d+)\.jpg(\.jpg)?", re.IGNORECASE
)  # some of Market-1501's distractors end in .jpg.jpg


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
    return pd.DataFrame(read_folders(root, FOLDERS, NAME, "market1501", EXAMPLE))
