"""What masks say where occluders are."""

import numpy as np
import pandas as pd
import pytest

from hcga.masks import covered as covered_cells
from hcga.masks.covered import parts_covered, share_inside
from hcga.masks.parts import UNLABELLED
from hcga.occluders import BOX, Occlusion


def test_share_inside_boxes() -> None:
    masks = np.zeros((2, 4, 2), np.uint8)
    masks[0] = [[1, 1], [1, 0], [0, 3], [2, UNLABELLED]]
    boxes = [(0, 0, 0.2, 1, 1), (0, 0, 0.5, 0.6, 1), (1, 0, 0, 0, 0)]  # rows 1 to 3; below; no cell
    table = pd.DataFrame(boxes, columns=["row", "left", "top", "right", "bottom"])
    assert share_inside(masks, table) == pytest.approx(100 * 3 / 5)
    assert np.isnan(share_inside(masks, table[2:]))


def test_a_box_bounds_rows_and_columns_each_by_its_own_sides() -> None:
    masks = np.zeros((2, 4, 2), np.uint8)
    masks[0] = [[1, 1], [1, 0], [0, 3], [2, 2]]
    boxes = [(0, 0.6, 0.2, 1, 0.6), (0, 0, 0.5, 0.4, 1), (1, 0, 0, 0, 0)]  # (1, 1); (2, 0) and (3, 0); no cell
    table = pd.DataFrame(boxes, columns=["row", "left", "top", "right", "bottom"])
    assert share_inside(masks, table) == pytest.approx(100 / 3)


def test_more_boxes_than_are_read_at_once_count_each_for_its_own_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covered_cells, "BLOCK", 2)
    masks = np.array([0, 1, 0, 1, 1, 0, 1], np.uint8).repeat(8).reshape(7, 4, 2)
    boxes = [
        (6, 0, 0, 1, 1),
        (0, 0, 0, 1, 1),
        (3, 0, 0, 1, 0.5),
        (2, 0, 0, 1, 1),
        (4, 0, 0, 1, 0.25),
        (3, 0, 0, 1, 0.25),
    ]
    table = pd.DataFrame(boxes, columns=["row", *BOX])
    assert share_inside(masks, table) == pytest.approx(100 * (4 + 2 + 8) / (8 + 8 + 4 + 2 + 8))
    assert share_inside(masks, table[table["row"] == 6]) == 100


@pytest.mark.parametrize("block", [1, 2, 100])
def test_a_part_is_covered_where_it_is_in_whole_images(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Part 1 is in the upper two rows of three whole images, part 2 in the third of one; nobody has part 3."""
    monkeypatch.setattr(covered_cells, "BLOCK", block)
    maps = np.zeros((7, 4, 2), np.uint8)
    maps[:4, :2], maps[0, 2] = 1, 2
    maps[4:] = 3  # distractor, and those that are covered
    samples = pd.DataFrame({"split": [*["query"] * 3, "train", *["gallery"] * 3], "pid": [1, 1, 1, 1, -1, 2, 2]})
    boxes = [(2, 0, 0, 1, 0.2), (2, 0, 0, 0.4, 0.5), (5, 0, 0, 0.4, 0.5), (6, 0, 0.3, 1, 0.7), (6, 0, 0.2, 0.4, 0.3)]
    table = pd.DataFrame(boxes, columns=["row", *BOX])
    known, occluded = np.ones(7, bool), np.isin(np.arange(7), table["row"])
    covered = parts_covered(maps, samples, Occlusion(known, occluded, table), 4)
    assert np.flatnonzero(covered.any(1)).tolist() == [2, 5, 6]
    assert covered[[2, 5, 6]].tolist() == [[True, False, False], [True, False, False], [True, True, False]]
    nothing = parts_covered(maps, samples, Occlusion(~known, ~known, table[:0]), 4)
    assert not nothing.any()
