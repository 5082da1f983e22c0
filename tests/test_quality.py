"""What is known of each identity's masks, on hand-made masks: the worst first."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from hcga.masks import UNLABELLED
from hcga.quality import rate_identities
from hcga.samples import COLUMNS
from hcga.stores import open_store, write_store

PEOPLE = [(3, 1), (3, 2), (8, 1), (9, 1), (9, 2)]
MASKS = np.zeros((5, 4, 2), np.uint8)
MASKS[0:2, :2], MASKS[2, 0], MASKS[3:5, 1:] = 1, 2, 3
PARSED = MASKS.copy()
PARSED[0, 3] = 2


@pytest.fixture
def samples() -> pd.DataFrame:
    rows = [("train", pid, camid, 1, 1, f"train/{pid}_{camid}.jpg", "main") for pid, camid in PEOPLE]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def truth(tmp_path: Path) -> zarr.Group:
    true = np.zeros((5, 16, 8), np.uint8)
    true[:3, :8] = 1
    true[3:5, 4:] = 3
    write_store(tmp_path / "truth.zarr", {"truth": true}, part_classes=4)
    return open_store(tmp_path / "truth.zarr")


@pytest.fixture
def no_truth(tmp_path: Path) -> zarr.Group:
    write_store(tmp_path / "empty.zarr", {})
    return open_store(tmp_path / "empty.zarr")


def table(*warnings: object) -> pd.DataFrame:
    return pd.DataFrame({"pid": [3, 8, 9], "images": [2, 1, 2], "warnings": warnings or [np.nan] * 3})


def test_by_the_network_where_there_is_no_truth(samples: pd.DataFrame, no_truth: zarr.Group) -> None:
    rated = rate_identities(table(), samples, MASKS, PARSED, no_truth)
    assert list(rated) == ["pid", "images", "agreement_head", "warnings"]
    assert rated["pid"].tolist() == [3, 8, 9]
    assert rated["agreement_head"].tolist() == [87.5, 100.0, 100.0]


def test_by_the_truth_where_there_is_one(samples: pd.DataFrame, truth: zarr.Group) -> None:
    rated = rate_identities(table(), samples, MASKS, PARSED, truth)
    assert list(rated) == ["pid", "images", "agreement_head", "iou_foreground", "warnings"]
    assert rated["pid"].tolist() == [8, 3, 9]
    assert rated["iou_foreground"].tolist() == [50.0, 100.0, 100.0]


def test_of_equals_the_lower_number_comes_first(samples: pd.DataFrame, truth: zarr.Group) -> None:
    assert rate_identities(table().iloc[::-1], samples, MASKS, PARSED, truth)["pid"].tolist() == [8, 3, 9]


@pytest.mark.parametrize(
    ("warnings", "order"),
    [
        ((np.nan, np.nan, "no head"), [9, 8, 3]),
        ((np.nan, np.nan, "one image; no foreground"), [9, 8, 3]),
        (("no lower_body", np.nan, "no head"), [3, 9, 8]),
        (("no pair of images for the background loss", "one image", "2 image(s) all background"), [8, 3, 9]),
    ],
)
def test_those_that_lack_a_part_come_first(
    samples: pd.DataFrame, truth: zarr.Group, warnings: tuple[object, ...], order: list[int]
) -> None:
    assert rate_identities(table(*warnings), samples, MASKS, PARSED, truth)["pid"].tolist() == order


def test_iou_counts_known_pixels_only(samples: pd.DataFrame, tmp_path: Path) -> None:
    masks = np.tile(np.array([[[1, 0], [UNLABELLED, 2]]], np.uint8), (5, 1, 1))
    true = np.zeros((5, 8, 8), np.uint8)
    true[0:2, :4] = true[2, :4] = 1  # identities 3 and 8
    true[2, 4:] = UNLABELLED
    masks[3:], true[3:] = 0, 0  # identity 9 has no foreground, nor has its truth
    write_store(tmp_path / "t.zarr", {"truth": true}, part_classes=4)
    rated = rate_identities(table(), samples, masks, masks, open_store(tmp_path / "t.zarr")).set_index("pid")
    assert rated["iou_foreground"][3] == pytest.approx(100 * 16 / 48, abs=1e-3)
    assert rated["iou_foreground"][8] == 50.0
    assert np.isnan(rated["iou_foreground"][9])
