"""What sources of masks look at: the backbone's features, or the images themselves (V-B); and masks made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr

from hcga.errors import InputError
from hcga.params import Coparse
from hcga.resources import mask_copies
from hcga.stores import array, attribute, open_store_of, read_all

# Weights of Eq. (5) for features -> what stands in their place for images.
OF_IMAGES = {"local_weight": "rgb_local_weight", "back_weight": "rgb_back_weight"}


class Input(NamedTuple):
    """An array of a store: `features` (N, q, h, w) float16, or `images` (N, H, W, 3) uint8."""

    store: Path
    name: str


def as_input(values: np.ndarray) -> np.ndarray:
    """What a decoder is given of rows of an `Input`: features as they are, images as (N, 3, H, W) float32 in [0, 1]."""
    if values.dtype != np.uint8:
        return values
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def read_translated(path: Path, images: zarr.Group, part_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of another parser and those made by hand, as stage translate left them: twice (N, h, w) uint8.

    Raises
    ------
    InputError
        They are of other images, or of another number of part classes, or there is too little memory for what
        co-parsing makes of so many masks.
    """
    translated = open_store_of(path, images)
    if (classes := attribute(translated, "part_classes", int)) != part_classes:
        raise InputError(f"{path}: of {classes} part classes, not {part_classes}; `dvc repro translate` makes it anew")
    copies = mask_copies("coparse", part_classes)  # looked at here, before any of them is in memory
    return read_all(array(translated, "external"), copies), read_all(array(translated, "repairs"))


def settings_of(params: Coparse) -> Coparse:
    """The settings of HCNet for the input that they name: images have weights of their own."""
    if params.input == "features":
        return params
    return params.model_copy(update={name: getattr(params, own) for name, own in OF_IMAGES.items()})
