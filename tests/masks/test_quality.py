"""What is known of hand-made masks, of all and of each identity's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from hcga.masks.parts import UNLABELLED
from hcga.masks.quality import evaluate_masks, rate_identities
from hcga.occluders import BOX, Occlusion
from hcga.samples import COLUMNS
from hcga.store_writing import write_store
from hcga.stores import array, open_store

NOBODY = np.zeros(10, bool)
UNKNOWN = Occlusion(NOBODY, NOBODY, pd.DataFrame(columns=["row", *BOX]))
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


TABLE = pd.DataFrame({"pid": [3, 8, 9], "images": [2, 1, 2], "warnings": np.nan})


def test_by_the_network_where_there_is_no_truth(samples: pd.DataFrame, no_truth: zarr.Group) -> None:
    rated = rate_identities(TABLE, samples, MASKS, PARSED, no_truth, 4)
    assert list(rated) == ["pid", "images", "agreement_head", "warnings"]
    assert rated["pid"].tolist() == [3, 8, 9]
    assert rated["agreement_head"].tolist() == [87.5, 100.0, 100.0]


def test_by_the_truth_where_there_is_one(samples: pd.DataFrame, truth: zarr.Group) -> None:
    rated = rate_identities(TABLE, samples, MASKS, PARSED, truth, 4)
    assert list(rated) == ["pid", "images", "agreement_head", "iou_foreground", "warnings"]
    assert rated["pid"].tolist() == [8, 3, 9]
    assert rated["iou_foreground"].tolist() == [50.0, 100.0, 100.0]


def test_of_equals_the_lower_number_comes_first(samples: pd.DataFrame, truth: zarr.Group) -> None:
    assert rate_identities(TABLE.iloc[::-1], samples, MASKS, PARSED, truth, 4)["pid"].tolist() == [8, 3, 9]


@pytest.mark.parametrize(
    ("lacking", "order"),
    [
        ({}, [3, 8, 9]),
        ({0: 1}, [3, 8, 9]),
        ({2: 3}, [8, 3, 9]),
        ({3: 1, 4: 1}, [9, 3, 8]),
        ({3: 0, 4: 0}, [9, 3, 8]),
        ({2: 1, 3: 2, 4: 2}, [8, 9, 3]),
    ],
)
def test_those_that_lack_a_class_in_all_their_images_come_first(
    samples: pd.DataFrame, truth: zarr.Group, lacking: dict[int, int], order: list[int]
) -> None:
    masks = np.tile(np.array([[0, 0], [1, 1], [2, 2], [3, 3]], np.uint8), (5, 1, 1))
    for row, part in lacking.items():
        masks[row][masks[row] == part] = 3 - part
    assert rate_identities(TABLE, samples, masks, PARSED, truth, 4)["pid"].tolist() == order


def test_iou_counts_known_pixels_only(samples: pd.DataFrame, tmp_path: Path) -> None:
    masks = np.tile(np.array([[[1, 0], [UNLABELLED, 2]]], np.uint8), (5, 1, 1))
    true = np.zeros((5, 8, 8), np.uint8)
    true[0:2, :4] = true[2, :4] = 1  # identities 3 and 8
    true[2, 4:] = UNLABELLED
    masks[3:], true[3:] = 0, 0  # identity 9 has no foreground, nor has its truth
    write_store(tmp_path / "t.zarr", {"truth": true}, part_classes=4)
    rated = rate_identities(TABLE, samples, masks, masks, open_store(tmp_path / "t.zarr"), 4).set_index("pid")
    assert rated["iou_foreground"][3] == pytest.approx(100 * 16 / 48, abs=1e-3)
    assert rated["iou_foreground"][8] == 50.0
    assert np.isnan(rated["iou_foreground"][9])


def truth_store(path: Path, truth: np.ndarray | None) -> zarr.Group:
    write_store(path / "truth.zarr", {} if truth is None else {"truth": truth}, part_classes=3)
    return open_store(path / "truth.zarr")


def test_mask_figures_by_hand(tmp_path: Path) -> None:
    masks = np.array([[[0, 1], [1, 2], [2, 2], [0, 0]], [[0, 0], [1, 0], [2, 0], [0, 0]]], np.uint8)
    truth = np.zeros((4, 16, 8), np.uint8)
    truth[0, :8, 4:] = 1
    truth[2, :4] = 1
    truth[3] = 2
    parsed = np.zeros((4, 4, 2), np.uint8)
    parsed[:2] = masks
    parsed[0, 0, 0] = 1
    parsed[2, :2] = 1
    parsed[3] = 1
    write_store(tmp_path / "e.zarr", {"parsed": parsed})
    truths = truth_store(tmp_path, truth)
    table = pd.DataFrame({"pid": [9, 10], "images": [1, 1], "agreement_previous": [50.0, 75.0], "repaired": [0, 1]})
    parsed_array = array(open_store(tmp_path / "e.zarr"), "parsed")
    trained_on = [(0, 0.5, 0, 1, 1), (1, 0, 0, 0.5, 0.5)]  # 4 cells, 2 cells
    tested_on = [(2, 0, 0, 0.5, 1), (3, 0, 0, 1, 0.25)]  # 4 cells, of which 2 are foreground; 2 cells, both
    boxes = pd.DataFrame(trained_on + tested_on, columns=["row", *BOX])
    figures = evaluate_masks(masks, parsed_array, truths, table, Occlusion(NOBODY, NOBODY, boxes), 3)
    # Training rows. True part 1: cells (0, 1) and (1, 1) of image 0; masks there: 1 and 2.
    assert figures["masks"] == pytest.approx(
        {
            "foreground_share": 100 * 7 / 16,
            "agreement_previous": 62.5,
            "inside_occluders": 100 * 4 / 6,
            "images_without": 0,
            "images_repaired": 1,
            "images_turned_inside_out": 0,
            "images_lacking_foreground": 0,
            "images_lacking_background": 0,
            "images_lacking_part1": 0,
            "images_lacking_part2": 0,
            "iou_foreground": 100 * 2 / 7,
            "iou_guess": 100 * 2 / 16,
            "truth_inside_occluders": 100 * 2 / (4 + 2),
            "iou_part1": 100 * 1 / (3 + 2 - 1),
            "iou_part2": 0,
            "iou_parts": 12.5,
        }
    )
    # Test rows: 2 of 4 parsed cells are right for part 1 of image 2; image 3 is all part 2, parsed as part 1.
    assert figures["parsing_head"] == pytest.approx(
        {
            "agreement": 100 * 15 / 16,
            "test_inside_occluders": 100 * 4 / 6,
            "train_iou_foreground": 100 * 2 / 8,  # as the masks, and a cell more of part 1 that is wrong
            "train_iou_part1": 100 * 1 / 5,
            "train_iou_part2": 0,
            "train_iou_parts": 10,
            "test_iou_foreground": 100 * (2 + 8) / (4 + 8),
            "test_iou_part1": 100 * 2 / (4 + 8),
            "test_iou_part2": 0,
            "test_iou_parts": 100 * 2 / 12 / 2,
        }
    )
    five = evaluate_masks(masks, parsed_array, truths, table, UNKNOWN, 5)
    assert {name for name in five["masks"] if name.startswith("iou")} == {"iou_foreground", "iou_guess"}, (
        "not 5 classes"
    )


def test_agreement_with_the_round_before_is_weighed_by_images(tmp_path: Path) -> None:
    masks = np.zeros((4, 2, 2), np.uint8)
    table = pd.DataFrame({"pid": [1, 2], "images": [1, 3], "agreement_previous": [0.0, 100.0], "repaired": 0})
    truth = truth_store(tmp_path, None)
    figures = evaluate_masks(masks, masks, truth, table, UNKNOWN, 4)
    lacking = {f"images_lacking_{name}": 0 for name in ("background", "head", "upper_body", "lower_body")}
    counts = {"images_without": 0, "images_repaired": 0, "images_turned_inside_out": 0, "inside_occluders": np.nan}
    counts |= {"images_lacking_foreground": 4, **lacking}
    expected = {"foreground_share": 0, "agreement_previous": 75.0, **counts}
    assert figures["masks"] == pytest.approx(expected, nan_ok=True)
    assert figures["parsing_head"] == pytest.approx({"agreement": 100.0, "test_inside_occluders": np.nan}, nan_ok=True)


def test_unlabelled_images_are_counted_and_left_out_of_shares(tmp_path: Path) -> None:
    masks = np.zeros((4, 2, 2), np.uint8)
    masks[0], masks[1, 0] = UNLABELLED, 2
    masks[2, 0, 0] = UNLABELLED
    table = pd.DataFrame({"pid": [1, 2], "images": [1, 3], "agreement_previous": [np.nan, 80.0], "repaired": 0})
    truth = truth_store(tmp_path, None)
    figures = evaluate_masks(masks, masks, truth, table, UNKNOWN, 4)["masks"]
    assert figures["foreground_share"] == pytest.approx(100 * 2 / 11)
    assert (figures["images_without"], figures["agreement_previous"]) == (1, 80.0)
