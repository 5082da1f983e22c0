"""The layouts that can be read, what was published about them, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from hcga.datasets.layouts.cuhk03 import read_cuhk03
from hcga.datasets.layouts.dukemtmc import read_dukemtmc, read_occluded_dukemtmc
from hcga.datasets.layouts.generic import read_folder, read_table
from hcga.datasets.layouts.market1501 import read_market1501
from hcga.datasets.layouts.msmt17 import read_msmt17
from hcga.datasets.layouts.occluded_reid import read_occluded_reid, read_p_dukemtmc
from hcga.datasets.layouts.partial import read_partial_ilids, read_partial_reid
from hcga.errors import InputError
from hcga.links import refuse_leaving

Counts = Mapping[str, tuple[int, int]]  # split -> images, identities; junk and distractors are no identities


@dataclass(frozen=True)
class Layout:
    """How a data set lies on disk.

    Attributes
    ----------
    read : callable
        From the root to a sample table, see `read_market1501`.
    counts : mapping
        Published numbers of images (junk left out) and of identities by split; empty for layouts of no one set.
    source : str
        Where the counts stand.
    """

    read: Callable[[Path], pd.DataFrame]
    counts: Counts = field(default_factory=dict)
    source: str = ""


DUKE_TEST = {"query": (2228, 702), "gallery": (17661, 1110)}
OCCLUDED_REID = "Zhuo et al., ICME 2018; HCGA, IV-A"
# Layouts with several protocols stand here once for each, as `layout:protocol`.
LAYOUTS: dict[str, Layout] = {
    "synthetic": Layout(read_market1501),  # Market-1501's layout, but other counts
    "market1501": Layout(
        read_market1501,
        {"train": (12936, 751), "query": (3368, 750), "gallery": (15913, 750)},
        "Zheng et al., ICCV 2015, and its archive: 19,732 gallery files, of which 3,819 are junk",
    ),
    "dukemtmc": Layout(read_dukemtmc, {"train": (16522, 702), **DUKE_TEST}, "Zheng et al., ICCV 2017"),
    "occluded_dukemtmc": Layout(
        read_occluded_dukemtmc,
        {"train": (15618, 702), "query": (2210, 519), "gallery": (17661, 1110)},
        "Miao et al., ICCV 2019; HCGA, IV-A",
    ),
    "occluded_reid:half": Layout(
        partial(read_occluded_reid, protocol="half"),
        {"train": (1000, 100), "query": (500, 100), "gallery": (500, 100)},
        OCCLUDED_REID,
    ),
    "occluded_reid:transfer": Layout(
        partial(read_occluded_reid, protocol="transfer"),
        {"query": (1000, 200), "gallery": (1000, 200)},
        OCCLUDED_REID,
    ),
    "p_dukemtmc": Layout(
        read_p_dukemtmc,
        {"train": (12927, 665), "query": (2163, 634), "gallery": (9053, 634)},
        "Zhuo et al., ICME 2018: 24,143 images of 1,299 identities; the split as in the field's loaders",
    ),
    "cuhk03:detected": Layout(
        read_cuhk03, {"train": (7365, 767), "query": (1400, 700), "gallery": (5332, 700)}, "Zhong et al., CVPR 2017"
    ),
    "cuhk03:labeled": Layout(
        read_cuhk03, {"train": (7368, 767), "query": (1400, 700), "gallery": (5328, 700)}, "Zhong et al., CVPR 2017"
    ),
    "partial_reid:partial": Layout(
        partial(read_partial_reid, protocol="partial"),
        {"query": (300, 60), "gallery": (300, 60)},
        "Zheng et al., ICCV 2015",
    ),
    "partial_reid:occluded": Layout(
        partial(read_partial_reid, protocol="occluded"),
        {"query": (300, 60), "gallery": (300, 60)},
        "Zheng et al., ICCV 2015",
    ),
    "partial_ilids": Layout(
        read_partial_ilids, {"query": (119, 119), "gallery": (119, 119)}, "Zheng et al., CVPR 2011"
    ),
    "msmt17:with_val": Layout(
        partial(read_msmt17, protocol="with_val"),
        {"train": (32621, 1041), "query": (11659, 3060), "gallery": (82161, 3060)},
        "Wei et al., CVPR 2018",
    ),
    "msmt17:train_only": Layout(
        partial(read_msmt17, protocol="train_only"),
        {"train": (30248, 1041), "query": (11659, 3060), "gallery": (82161, 3060)},
        "Wei et al., CVPR 2018",
    ),
    "table": Layout(read_table),
    "folder": Layout(read_folder),
}


def read_data_set(layout: str, root: Path) -> pd.DataFrame:
    """List a data set on disk.

    Parameters
    ----------
    layout : str
        A key of `LAYOUTS`.
    root : Path

    Returns
    -------
    DataFrame
        split, pid, camid, sequence, frame, path (relative to root, with forward slashes), unordered.

    Raises
    ------
    InputError
        The root is no folder, a link leads out of it, or see the reader.
    """
    if not root.is_dir():
        remedy = "draw it with `dvc repro synthesise`, or " if layout == "synthetic" else ""
        raise InputError(f"{root}: no such folder; {remedy}set the root of the data set to where it is")
    table = LAYOUTS[layout].read(root)
    refuse_leaving(root, table["path"])
    return table
