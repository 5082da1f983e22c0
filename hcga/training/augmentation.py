"""Augmentation of IV-A: flip, pad and crop, random erasing, on image and mask together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hcga.masks.parts import STRIDE, UNLABELLED
from hcga.params import Train

ERASED_AREA = (0.02, 0.4)  # share of the image (Zhong et al., AAAI 2020)
ERASED_ASPECT = (0.3, 1 / 0.3)  # height over width
ATTEMPTS = 100
NOTHING = slice(0, 0), slice(0, 0)


class Change(NamedTuple):
    """What is done to an image and to its mask."""

    flipped: bool
    top: int  # the crop, pixels from the upper left corner of the image
    left: int
    erased: tuple[slice, slice]  # rows and columns, which may be none


def draw_change(size: tuple[int, int], params: Train, rng: np.random.Generator) -> Change:
    """Draw what is done to an image of H x W pixels.

    Parameters
    ----------
    size : (int, int)
        H and W.
    params : Train
        flip and erasing (probabilities), padding (pixels; black in the image, background in the mask).
    rng : numpy Generator
    """
    flipped = rng.random() < params.flip
    top, left = rng.integers(0, 2 * params.padding, 2, endpoint=True) - params.padding
    erased = _rectangle(*size, rng) if rng.random() < params.erasing else NOTHING
    return Change(flipped, int(top), int(left), erased)


def change_image(image: np.ndarray, change: Change, fill: np.ndarray) -> np.ndarray:
    """Augment an image, (H, W, 3) uint8, to a new array.

    `fill` is the colour of erased pixels, (3,) uint8: the mean that the network subtracts, so that they become 0.
    """
    changed = _shift(image[:, ::-1] if change.flipped else image, change.top, change.left, 0)
    changed[change.erased] = fill
    return changed


def change_mask(mask: np.ndarray, change: Change) -> np.ndarray:
    """Augment a mask, (h, w) uint8 with cells of `STRIDE` pixels, like its image, to a new array.

    The authors' code crops the image only, so that its masks are up to 10 pixels off; here geometry acts on both,
    and erased pixels become background in the mask. A cell of the mask takes the label of the pixel at its centre. A
    mask that says nothing at all stays so: it would teach background alone.
    """
    background = UNLABELLED if (mask == UNLABELLED).all() else 0
    labels = mask.repeat(STRIDE, 0).repeat(STRIDE, 1)
    labels = _shift(labels[:, ::-1] if change.flipped else labels, change.top, change.left, background)
    labels[change.erased] = background
    centre = STRIDE // 2
    return np.ascontiguousarray(labels[centre::STRIDE, centre::STRIDE])


def _shift(values: np.ndarray, top: int, left: int, padding: int) -> np.ndarray:
    """Crop at (top, left) from padded values; the same as padding by P and cropping at P + top, P + left."""
    height, width = values.shape[:2]
    result = np.full_like(values, padding)
    result[max(0, -top) : height - max(0, top), max(0, -left) : width - max(0, left)] = values[
        max(0, top) : height + min(0, top), max(0, left) : width + min(0, left)
    ]
    return result


def _rectangle(height: int, width: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draw a rectangle that fits; an empty one if none does in `ATTEMPTS` draws."""
    for _ in range(ATTEMPTS):
        area = rng.uniform(*ERASED_AREA) * height * width
        aspect = rng.uniform(*ERASED_ASPECT)
        rows, columns = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < rows < height and 0 < columns < width:
            top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
            return slice(top, top + rows), slice(left, left + columns)
    return NOTHING
