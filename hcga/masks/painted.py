"""A mask from a picture that an editor has saved in its own way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from hcga.errors import InputError
from hcga.images import load_label_image, opened
from hcga.masks.label_images import refuse_other_numbers
from hcga.masks.parts import PALETTE, UNLABELLED, part_colour, part_names
from hcga.masks.pictures import PAPER

INDEXED = 3  # PNG's number for pictures with a palette


def read_mask(file: Path, part_classes: int) -> np.ndarray:
    """Read a mask from an edited picture.

    Parameters
    ----------
    file : Path
        A PNG of 8 bits, or with a palette, opaque, not animated. Grey: its numbers are part classes. Else its colours
        are those of the parts, white is unlabelled; with more part classes than there are colours, only a palette's
        numbers can be read.
    part_classes : int
        C.

    Returns
    -------
    (H, W) uint8

    Raises
    ------
    InputError
        It cannot be read, is another kind of picture, or has a number or a colour that is no part's.
    """
    with opened(file) as image:
        _refuse_other_kinds(file, image)
        if image.mode not in ("L", "LA") and part_classes <= len(PALETTE):
            return _by_colour(file, np.asarray(image.convert("RGB")), part_classes)
        mask = np.asarray(image.getchannel("L")) if image.mode == "LA" else load_label_image(file)
    refuse_other_numbers(file, mask, part_classes)
    return mask


def name_colours(part_classes: int) -> str:
    """What to paint with, in words; with more part classes than colours, numbers."""
    names = part_names(part_classes)
    if part_classes > len(PALETTE):
        return f"the palette's numbers 0 to {part_classes - 1}, or {UNLABELLED} for what is not known"
    colours = ", ".join("{} #{:02x}{:02x}{:02x}".format(name, *part_colour(part)) for part, name in enumerate(names))
    return f"{colours}, or white for what is not known"


def _refuse_other_kinds(file: Path, image: Image.Image) -> None:
    if image.format != "PNG":
        raise InputError(f"{file}: {image.format} by its content; save it as PNG, which keeps colours as they are")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise InputError(f"{file}: animated, {frames} pictures; save the one that is meant, without layers as frames")
    depth, kind = file.read_bytes()[24:26]  # Pillow does not tell: 16 bits of colour become 8
    if depth != 8 and kind != INDEXED:
        raise InputError(f"{file}: {depth} bit(s) a channel; save it with 8, as RGB or with a palette")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = np.asarray(image.convert("RGBA").getchannel("A")) < 255
        if clear.any():
            row, column = np.unravel_index(clear.argmax(), clear.shape)
            raise InputError(
                f"{file}: transparent at row {row}, column {column}; paint what is not known white, and the rest with "
                "an opaque brush"
            )


def _by_colour(file: Path, pixels: np.ndarray, part_classes: int) -> np.ndarray:
    mask = np.full(pixels.shape[:2], UNLABELLED, np.uint8)
    unknown = (pixels != PAPER).any(-1)
    for part in range(part_classes):
        here = (pixels == part_colour(part)).all(-1)
        mask[here] = part
        unknown &= ~here
    if unknown.any():
        row, column = np.unravel_index(unknown.argmax(), unknown.shape)
        raise InputError(
            f"{file}: the colour #{bytes(pixels[row, column].tolist()).hex()} at row {row}, column {column} is no "
            f"part's; paint with a hard brush in {name_colours(part_classes)}"
        )
    return mask
