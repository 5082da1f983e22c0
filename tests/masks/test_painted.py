"""A mask comes back from an editor, however it was saved, or is refused in words."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hcga.errors import InputError
from hcga.masks.painted import read_mask
from hcga.masks.parts import UNLABELLED, part_colour
from hcga.masks.pictures import palette_image

WHITE = (255, 255, 255)
MASK = np.array([[0, 1, 2, 3, UNLABELLED] * 2] * 8, np.uint8)
COLOURS = np.array([[*map(part_colour, range(4)), WHITE] * 2] * 8, np.uint8)


@pytest.mark.parametrize("mode", ["P", "P transparent", "RGB", "RGBA", "L", "LA"])
def test_editors_save_in_many_ways(tmp_path: Path, mode: str) -> None:
    """Colours count, not the order in which a palette has them; grey pictures hold the numbers themselves."""
    file = tmp_path / "mask.png"
    if mode.startswith("P"):
        order = [3, 0, 4, 1, 2]
        picture = Image.fromarray(np.array([[order.index(n) for n in range(5)] * 2] * 8, np.uint8), "P")
        picture.putpalette([channel for number in order for channel in COLOURS[0, number]] + [9, 9, 9])
        picture.save(file, **({"transparency": 5} if mode == "P transparent" else {}))  # a colour that is not used
    else:
        Image.fromarray(MASK if mode.startswith("L") else COLOURS).convert(mode).save(file)
    np.testing.assert_array_equal(read_mask(file, 4), MASK)


@pytest.mark.parametrize("mode", ["P", "L"])
def test_with_more_parts_than_colours_numbers_count(tmp_path: Path, mode: str) -> None:
    mask = np.array([[0, 7, 8, 255] * 2] * 8, np.uint8)
    picture = palette_image(mask, 9) if mode == "P" else Image.fromarray(mask)
    picture.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 9), mask)
    Image.fromarray(COLOURS).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png: mode RGB; a label image has one 8-bit channel"):
        read_mask(tmp_path / "mask.png", 9)


def with_alpha(alpha: int) -> np.ndarray:
    pixels = np.dstack([COLOURS, np.full(MASK.shape, 255, np.uint8)])
    pixels[3, 2, 3] = alpha
    return pixels


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (
            Image.fromarray(np.full((8, 8), 4, np.uint8)),
            r"number 4; with part_classes 4 parts are 0 to 3, and 255 says nothing: paint",
        ),
        (
            Image.fromarray(np.full((8, 8, 3), 9, np.uint8)),
            r"colour #090909 at row 0, column 0 is no part's; .* head #e69f00, .*, or white for what is not known",
        ),
        (Image.new("RGB", (8, 8), (255, 255, 9)), r"colour #ffff09"),  # as white in two channels, but not white
        (Image.fromarray(with_alpha(0)), r"transparent at row 3, column 2; paint what is not known white"),
        (Image.fromarray(with_alpha(254)), r"transparent at row 3, column 2"),
        (Image.fromarray(np.full((8, 8), 3, np.uint16)), r"16 bit\(s\) a channel; save it with 8"),
        (Image.fromarray(np.eye(8, dtype=bool)), r"1 bit\(s\) a channel; save it with 8"),
    ],
)
def test_other_pictures_are_refused(tmp_path: Path, picture: Image.Image, message: str) -> None:
    picture.save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=rf"mask\.png: .*{message}"):
        read_mask(tmp_path / "mask.png", 4)


def test_a_transparent_colour_of_the_palette_is_refused(tmp_path: Path) -> None:
    palette_image(MASK, 4).save(tmp_path / "mask.png", transparency=1)
    with pytest.raises(InputError, match=r"mask\.png: transparent at row 0, column 1"):
        read_mask(tmp_path / "mask.png", 4)


def test_sixteen_bits_of_colour_are_refused(tmp_path: Path) -> None:
    """Pillow neither writes them nor says that it has read them: the header of a file with 8 is changed."""
    file = tmp_path / "mask.png"
    Image.fromarray(COLOURS).save(file)
    content = bytearray(file.read_bytes())
    content[24] = 16
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"mask\.png: 16 bit\(s\) a channel; save it with 8, as RGB or with a palette"):
        read_mask(file, 4)


def test_an_animation_is_refused(tmp_path: Path) -> None:
    picture = palette_image(MASK, 4)
    picture.save(tmp_path / "mask.png", save_all=True, append_images=[palette_image(MASK[::-1] // 2, 4)])
    with pytest.raises(InputError, match=r"mask\.png: animated, 2 pictures; save the one that is meant"):
        read_mask(tmp_path / "mask.png", 4)


def test_another_format_under_the_name_is_refused(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "mask.png", "JPEG")
    with pytest.raises(InputError, match=r"mask\.png: JPEG by its content; save it as PNG"):
        read_mask(tmp_path / "mask.png", 4)
