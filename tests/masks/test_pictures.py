from colorsys import rgb_to_hsv
from itertools import pairwise

import numpy as np
import pytest

from hcga.masks.parts import PALETTE, UNLABELLED
from hcga.masks.pictures import (
    CAPTION,
    MARGIN,
    PAPER,
    SHEET_IDENTITIES,
    colour_labels,
    contact_sheet,
    label_rows,
    legend_strip,
    overlay,
    stack,
)


def pictures(count: int, height: int = 16, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def test_an_overlay_has_a_colour_a_part_and_a_dark_background() -> None:
    images = np.full((1, 4, 16, 3), 200, np.uint8)
    masks = np.array([[[0, 1, 2, 3]]], np.uint8)
    result = overlay(images, masks)
    assert (result.shape, result.dtype) == (images.shape, np.uint8)
    cells = result[0, 0, ::4]
    assert (result[0] == result[0, :1]).all()
    assert cells[0].tolist() == [80, 80, 80]
    for part in (1, 2, 3):
        assert cells[part].tolist() == [int(0.5 * 200 + 0.5 * c) for c in PALETTE[part]]


def test_what_is_unlabelled_is_hatched() -> None:
    images, masks = np.zeros((2, 16, 8, 3), np.uint8), np.full((2, 4, 2), UNLABELLED, np.uint8)
    images[..., 1] = 100
    masks[1, :2] = 0
    result = overlay(images, masks)
    down, right = np.indices((16, 8))
    hatched = np.where(((down + right) % 8 < 2)[..., None], 255, images[0])
    np.testing.assert_array_equal(result[0], hatched)
    np.testing.assert_array_equal(result[1, 8:], hatched[8:])
    assert (result[1, :8] < 20).all()


def test_masks_in_cells_and_in_pixels_look_the_same() -> None:
    images, cells = pictures(3), np.random.default_rng(1).integers(0, 4, (3, 4, 2), np.uint8)
    np.testing.assert_array_equal(overlay(images, cells), overlay(images, cells.repeat(4, 1).repeat(4, 2)))


def test_opacity_goes_from_image_to_colour() -> None:
    images, masks = pictures(1), np.ones((1, 4, 2), np.uint8)
    np.testing.assert_array_equal(overlay(images, masks, 0.0), images)
    assert np.unique(overlay(images, masks, 1.0).reshape(-1, 3), axis=0).tolist() == [list(PALETTE[1])]


def test_many_parts_have_colours_too() -> None:
    images, masks = np.zeros((1, 4, 4 * 31, 3), np.uint8), np.arange(1, 32, dtype=np.uint8).reshape(1, 1, 31)
    colours = [tuple(colour) for colour in overlay(images, masks, 1.0)[0, 0, ::4].tolist()]
    assert colours[:7] == list(PALETTE[1:]), "as many as the paper's largest C has parts"
    assert all(one != other for one, other in pairwise(colours))
    assert PALETTE[0] not in colours


def test_each_decoder_label_has_a_colour_of_its_own() -> None:
    numbers = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    coloured = colour_labels(numbers)
    assert (coloured.shape, coloured.dtype) == ((1, 16, 16, 3), np.uint8)
    colours = coloured[0].reshape(256, 3).astype(int)
    assert len({tuple(colour) for colour in colours[:64].tolist()}) == 64
    assert len({tuple(colour) for colour in colours.tolist()}) > 250
    assert np.abs(np.diff(colours, axis=0)).sum(1).min() > 60
    hues = np.array([rgb_to_hsv(*colour)[0] for colour in colours / 255])
    apart = np.abs(np.diff(hues))
    assert np.minimum(apart, 1 - apart).min() > 0.3  # neighbours, around the circle of hues


def test_a_stack_keeps_the_images_apart() -> None:
    rows = [pictures(3), pictures(3)[::-1]]
    result = stack(*rows)
    assert result.shape == (2 * (16 + MARGIN), 3 * (8 + MARGIN), 3)
    for line, row in enumerate(rows):
        for number, image in enumerate(row):
            top, left = line * (16 + MARGIN), number * (8 + MARGIN)
            np.testing.assert_array_equal(result[top : top + 16, left : left + 8], image)
    assert (result[16 : 16 + MARGIN] == 255).all()
    assert (result[:, 8 : 8 + MARGIN] == 255).all()


def test_rows_are_labelled_at_their_left() -> None:
    picture = stack(pictures(2), pictures(2))
    result = label_rows(picture, ["image", "masks"], "round r1")
    inner = result[CAPTION + MARGIN :, -picture.shape[1] :]
    np.testing.assert_array_equal(inner, picture)
    assert (result[: CAPTION + MARGIN] != PAPER).any()
    names = result[CAPTION + MARGIN :, : -picture.shape[1]]
    assert all((half != PAPER).any() for half in np.split(names, 2))


def test_a_title_wider_than_the_picture_is_not_cut() -> None:
    narrow = label_rows(stack(pictures(1)), ["a"], "a title that is much wider than the picture below it")
    assert narrow.shape[1] > 200


@pytest.mark.parametrize("part_classes", [2, 4, 7, 9])
def test_the_legend_shows_the_colour_of_each_part(part_classes: int) -> None:
    strip = legend_strip(part_classes, 10)
    colours = {tuple(colour) for colour in strip.reshape(-1, 3).tolist()}
    assert {PALETTE[(part - 1) % 6 + 1] for part in range(1, part_classes)} <= colours
    if part_classes < 7:
        assert not {PALETTE[part] for part in range(part_classes, 7)} & colours
    assert legend_strip(part_classes, 2000).shape[1] == 2000


@pytest.mark.parametrize(
    "caption", ["", "identity 7: 8 % foreground, 2 labels (no head; one image; and much more to say)"]
)
@pytest.mark.parametrize("counts", [[1], [1, 1], [3, 1, 2], [8] * SHEET_IDENTITIES, [2] * 5])
def test_a_contact_sheet_shows_each_image_above_its_overlay(counts: list[int], caption: str) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (count, 16, 8, 3), np.uint8) for count in counts]
    masks = [rng.integers(0, 4, (count, 4, 2), np.uint8) for count in counts]
    sheet = contact_sheet(images, masks, [caption * (n % 2) for n in range(len(counts))], "r1", 4)
    assert sheet.ndim == 3
    assert sheet.dtype == np.uint8
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (16, 8, 3))[:, :, 0]
    for pair in zip(images, masks, strict=True):
        for image, overlaid in zip(pair[0], overlay(*pair), strict=True):
            corners = np.argwhere((windows[:, :, 0, 0] == image[0, 0]).all(2))  # few: the whole is compared there only
            ((top, left),) = (place for place in corners if (windows[*place] == image).all())
            np.testing.assert_array_equal(sheet[top + 16 + MARGIN : top + 32 + MARGIN, left : left + 8], overlaid)


def test_a_long_caption_takes_lines_and_widens_no_column() -> None:
    images, masks = [pictures(1, 16, 400)] * 3, [np.zeros((1, 4, 100), np.uint8)] * 3
    short, long = (
        contact_sheet(images, masks, ["a", caption, "a"], "r1", 4)
        for caption in ("a", "12 image(s) repaired by hand; " * 6)
    )
    assert long.shape == (short.shape[0] + 2 * CAPTION, *short.shape[1:])


def test_a_title_wider_than_a_contact_sheet_is_not_cut() -> None:
    sheet = contact_sheet([pictures(1)], [np.zeros((1, 4, 2), np.uint8)], ["a"], "a long title " * 9, 4)
    assert sheet.shape[1] > 400
