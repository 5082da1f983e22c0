import numpy as np
import pytest

from hcga.masks import parts
from hcga.masks.parts import (
    PALETTE,
    UNLABELLED,
    agreement,
    confusion,
    downsample,
    foreground,
    foreground_share,
    intersection_over_union,
    mask_attributes,
    part_names,
    upsample,
)
from hcga.store_writing import write_store
from hcga.stores import array, open_store


def test_names_of_the_parts() -> None:
    assert part_names(4) == ["background", "head", "upper_body", "lower_body"]
    assert part_names(3) == ["background", "part1", "part2"]
    assert part_names(2) == ["background", "part1"]
    assert all(len(part_names(count)) == count for count in range(2, 33))


def test_colours_of_the_parts_are_distinct() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    assert PALETTE[0] == (0, 0, 0)


def test_attributes_of_a_store_of_masks_name_and_colour_each_class() -> None:
    attributes = mask_attributes(9)
    assert len(attributes["class_names"]) == len(attributes["palette"]) == attributes["part_classes"] == 9
    assert attributes["palette"][0] == [0, 0, 0]
    assert attributes["palette"][8:] == attributes["palette"][1:2], "the palette begins again, without the background"
    assert (attributes["stride"], attributes["unlabelled"]) == (4, 255)


def test_agreement_is_the_share_of_equal_labels() -> None:
    first = np.array([[[0, 1], [2, 3]]], np.uint8)
    assert agreement(first, first) == 100
    assert agreement(first, np.array([[[0, 1], [2, 0]]], np.uint8)) == 75
    assert agreement(first, 3 - first) == 0


def test_agreement_leaves_out_what_either_leaves_unlabelled() -> None:
    first = np.array([[[0, 1], [2, UNLABELLED]]], np.uint8)
    second = np.array([[[0, 2], [UNLABELLED, UNLABELLED]]], np.uint8)
    assert agreement(first, second) == agreement(second, first) == 50
    assert np.isnan(agreement(first, np.full_like(first, UNLABELLED)))


def test_a_cell_is_a_block_of_4_x_4_pixels() -> None:
    small = np.array([[[0, 1, 2], [3, 0, 255]]], np.uint8)
    large = upsample(small)
    assert (large.shape, large.dtype) == ((1, 8, 12), np.uint8)
    for y in range(8):
        for x in range(12):
            assert large[0, y, x] == small[0, y // 4, x // 4]


def test_confusion_counts_pixels_by_true_and_assigned_part() -> None:
    truth = np.zeros((3, 4, 8), np.uint8)
    truth[0, :, 4:] = 1  # the right cell
    truth[2, 0, :3] = 2  # three pixels of the left cell
    cells = np.array([[[1, 1]], [[2, 0]]], np.uint8)
    counts = confusion(truth, cells, np.array([0, 2]))
    expected = np.zeros((255, 255), np.int64)
    expected[0, 1] += 16
    expected[1, 1] += 16
    expected[2, 2] += 3
    expected[0, 2] += 13
    expected[0, 0] += 16
    np.testing.assert_array_equal(counts, expected)


def test_confusion_leaves_out_unlabelled_pixels_and_cells() -> None:
    truth = np.zeros((1, 4, 12), np.uint8)
    truth[0, :2, :4] = UNLABELLED
    cells = np.array([[[1, UNLABELLED, 0]]], np.uint8)
    counts = confusion(truth, cells, np.array([0]))
    assert counts.sum() == counts[0, 1] + counts[0, 0]
    assert (counts[0, 1], counts[0, 0]) == (8, 16)


def test_confusion_equals_a_naive_count_over_many_blocks(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "BLOCK", 3)
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2, 3, 255], (9, 8, 8)).astype(np.uint8)
    cells = rng.choice([0, 1, 2, 3, 255], (7, 2, 2)).astype(np.uint8)
    rows = rng.permutation(9)[:7]
    expected = np.zeros((255, 255), np.int64)
    for row, cell in zip(rows, cells, strict=True):
        for y in range(8):
            for x in range(8):
                true, given = truth[row, y, x], cell[y // 4, x // 4]
                if UNLABELLED not in (true, given):
                    expected[true, given] += 1
    np.testing.assert_array_equal(confusion(truth, cells, rows), expected)
    write_store(tmp_path / "truth.zarr", {"truth": truth})
    stored = array(open_store(tmp_path / "truth.zarr"), "truth")
    np.testing.assert_array_equal(confusion(stored, cells, rows), expected)


def test_intersection_over_union_by_hand() -> None:
    counts = np.zeros((255, 255), np.int64)
    counts[0, 0], counts[0, 1], counts[1, 1], counts[1, 2], counts[2, 2], counts[2, 0] = 50, 10, 20, 5, 15, 5
    figures = intersection_over_union(counts, 3, 3)
    # foreground: 20 + 5 + 15 = 40 of 40 + 10 (background taken for a part) + 5 (a part taken for background)
    assert figures["foreground"] == pytest.approx(100 * 40 / 55)
    assert figures["part1"] == pytest.approx(100 * 20 / (25 + 30 - 20))
    assert figures["part2"] == pytest.approx(100 * 15 / (20 + 20 - 15))
    assert figures["parts"] == pytest.approx((figures["part1"] + figures["part2"]) / 2)
    assert set(figures) == {"foreground", "parts", "part1", "part2"}


def test_perfect_masks_and_empty_ones() -> None:
    perfect = np.zeros((255, 255), np.int64)
    perfect[[0, 1, 2, 3], [0, 1, 2, 3]] = 4
    assert set(intersection_over_union(perfect, 4, 4).values()) == {100.0}
    nothing = np.zeros((255, 255), np.int64)
    nothing[0, 0] = 4
    assert all(np.isnan(value) for value in intersection_over_union(nothing, 4, 4).values())


def test_truth_with_other_parts_counts_as_foreground_only() -> None:
    counts = np.zeros((255, 255), np.int64)
    counts[0, 0], counts[2, 1], counts[1, 0] = 4, 3, 1
    assert intersection_over_union(counts, 4, 3) == {"foreground": pytest.approx(75.0)}
    assert intersection_over_union(counts, 3, 4) == {"foreground": pytest.approx(75.0)}


def test_a_part_too_many_in_the_masks_alone_has_no_overlap() -> None:
    counts = np.zeros((255, 255), np.int64)
    counts[1, 1], counts[1, 2] = 3, 1
    figures = intersection_over_union(counts, 3, 3)
    assert (figures["part1"], figures["part2"], figures["foreground"]) == (75.0, 0.0, 100.0)


def test_downsample_takes_what_most_pixels_of_a_cell_have() -> None:
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[0, :4, :3], labels[0, :4, 4:6], labels[0, 4, 4:], labels[1] = 7, 3, 9, UNLABELLED
    assert downsample(labels).tolist() == [[[7, 0], [0, 0]], [[UNLABELLED] * 2] * 2]  # 3 ties with 0
    random = np.random.default_rng(0).integers(0, 5, (3, 8, 12), np.uint8)
    np.testing.assert_array_equal(downsample(upsample(random)), random)
    assert downsample(labels).dtype == np.uint8


def test_foreground_leaves_background_and_unlabelled_out() -> None:
    masks = np.array([[[0, 1], [3, UNLABELLED]]], np.uint8)
    assert foreground(masks).tolist() == [[[False, True], [True, False]]]
    assert foreground_share(masks) == pytest.approx(200 / 3)
    assert np.isnan(foreground_share(np.full((1, 2, 2), UNLABELLED, np.uint8)))
