"""Partial-REID (Zheng et al., ICCV 2015) and Partial-iLIDS (Zheng et al., CVPR 2011), small sets to test on.

As the field does, queries are taken as camera 1 and the gallery as camera 2.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from hcga.datasets.layouts.listing import image_files, parse, row


def read_partial_reid(root: Path, protocol: str) -> pd.DataFrame:
    """List Partial-REID: flat folders of files such as `001_001.jpg`, identity and image.

    Parameters
    ----------
    root : Path
        The folder that holds `whole_body_images`, the gallery.
    protocol : {'partial', 'occluded'}
        The queries: `partial_body_images` (what is visible, cropped by hand) or `occluded_body_images`. Papers use
        either, and their figures do not compare.

    Returns, Raises
        As `read_market1501`.
    """
    pattern = re.compile(r"(?P<pid>\d+)_(?P<frame>\d+)\..+")
    folders = {f"{protocol}_body_images": "query", "whole_body_images": "gallery"}
    return _read_test_set(root, folders, pattern, "partial_reid", "001_001.jpg")


def read_partial_ilids(root: Path) -> pd.DataFrame:
    """List Partial-iLIDS: `Probe/` and `Gallery/` with one image an identity each, `001.jpg`. See `read_market1501`."""
    folders = {"Probe": "query", "Gallery": "gallery"}
    return _read_test_set(root, folders, re.compile(r"(?P<pid>\d+)\..+"), "partial_ilids", "001.jpg")


def _read_test_set(
    root: Path, folders: dict[str, str], pattern: re.Pattern[str], layout: str, example: str
) -> pd.DataFrame:
    rows = [
        row(split, path, root, {**parse(path, pattern, layout, example), "camid": camid})
        for camid, (folder, split) in enumerate(folders.items(), 1)
        for path in image_files(root / folder, layout, example)
    ]
    return pd.DataFrame(rows)
