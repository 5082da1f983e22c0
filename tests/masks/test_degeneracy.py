"""What masks lack, on masks made by hand."""

import numpy as np

from hcga.masks.degeneracy import COMMON, count_lacking, describe_degeneracy, turned_inside_out
from hcga.masks.parts import UNLABELLED


def masks(*cells: tuple[int, ...]) -> np.ndarray:
    return np.array(cells, np.uint8).reshape(len(cells), 1, -1)


def test_images_are_counted_by_what_they_lack() -> None:
    drawn = masks((0, 0), (1, 2), (0, 1), (2, UNLABELLED), (UNLABELLED, UNLABELLED))
    assert count_lacking(drawn, 3) == {"foreground": 1, "background": 2, "part1": 1, "part2": 1}


def test_what_a_common_share_lacks_is_told() -> None:
    sound, headless = (0, 1, 2), (0, 0, 2)
    common = round(10 * COMMON)
    assert describe_degeneracy(masks(*[headless] * common, *[sound] * (10 - common)), 3) == []
    found = describe_degeneracy(masks(*[headless] * (common + 1), *[sound] * (9 - common)), 3)
    assert found == [f"{common + 1} of 10 ({10 * (common + 1)} %) masks have no part1"]
    assert describe_degeneracy(masks(*[(0, 0)] * 1500), 3) == ["1,500 of 1,500 (100 %) masks have no foreground"]
    assert describe_degeneracy(masks(*[(1, 2)] * 2, sound[:2]), 3)[0] == "2 of 3 (67 %) masks have no background"


def test_images_without_a_mask_are_told_unless_all_are() -> None:
    without, sound = (UNLABELLED,) * 3, (0, 1, 2)
    assert describe_degeneracy(masks(*[without] * 3, *[sound] * 7), 3) == []
    assert describe_degeneracy(masks(*[without] * 4, *[sound] * 6), 3) == ["4 of 10 (40 %) images have no mask"]
    assert describe_degeneracy(masks(without), 3) == []


def test_masks_with_more_foreground_at_the_sides_are_turned_inside_out() -> None:
    sound, turned, even = (0, 1, 2, 0), (1, 0, 0, 2), (1, 1, 1, 1)
    half_known = (1, 0, UNLABELLED, UNLABELLED)
    drawn = masks(sound, turned, even, half_known, (UNLABELLED,) * 4, (0, 0, 0, 0))
    assert turned_inside_out(drawn).tolist() == [False, True, False, True, False, False]
    told = describe_degeneracy(masks(*[turned] * 4, *[sound] * 6), 3)
    assert told == ["4 of 10 (40 %) masks have more foreground at the sides than in the middle"]
    assert describe_degeneracy(masks(*[turned] * 3, *[sound] * 7), 3) == []


def test_parts_are_named_in_words() -> None:
    drawn = masks((0, 1), (0, 1))
    told = "2 of 2 (100 %) masks have no "
    assert describe_degeneracy(drawn, 4) == [f"{told}upper body", f"{told}lower body"]
