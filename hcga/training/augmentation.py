"""Augmentation of IV-A: flip, pad and crop, random erasing, on image and mask together."""

from __future__ import annotations

import numpy as np

from hcga.masks.parts import STRIDE, UNLABELLED
from hcga.params import Train

ERASED_AREA = (0.02, 0.4)  # share of the image (Zhong et al., AAAI 2020)
ERASED_ASPECT = (0.3, 1 / 0.3)  # height over width
ATTEMPTS = 100


def augment(
    image: np.ndarray, mask: np.ndarray, params: Train, fill: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Augment one image and its mask alike.

    The authors' code crops the image only, so that its masks are up to 10 pixels off; here geometry acts on both,
    and erased pixels become background in the mask. A cell of the mask takes the label of the pixel at its centre. A
    mask that says nothing at all stays so: it would teach background alone.

    Parameters
    ----------
    image : (H, W, 3) uint8
    mask : (h, w) uint8
        Cells of `STRIDE` pixels.
    params : Train
        flip and erasing (probabilities), padding (pixels; black in the image, background in the mask).
    fill : (3,) uint8
        Colour of erased pixels: the mean that the network subtracts, so that they become 0.
    rng : numpy Generator

    Returns
    -------
    image : (H, W, 3) uint8
    mask : (h, w) uint8
        New arrays.
    """
    labels = mask.repeat(STRIDE, 0).repeat(STRIDE, 1)
    background = UNLABELLED if (mask == UNLABELLED).all() else 0
    if rng.random() < params.flip:
        image, labels = image[:, ::-1], labels[:, ::-1]
    top, left = rng.integers(0, 2 * params.padding, 2, endpoint=True) - params.padding
    image, labels = _shift(image, top, left, 0), _shift(labels, top, left, background)
    if rng.random() < params.erasing:
        rows, columns = _rectangle(image.shape[0], image.shape[1], rng)
        image[rows, columns] = fill
        labels[rows, columns] = background
    centre = STRIDE // 2
    return image, np.ascontiguousarray(labels[centre::STRIDE, centre::STRIDE])


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
    return slice(0, 0), slice(0, 0)
