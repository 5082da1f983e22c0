"""What sources of masks look at: the backbone's features, or the images themselves (V-B)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hcga.params import Coparse

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


def settings_of(params: Coparse) -> Coparse:
    """The settings of HCNet for the input that they name: images have weights of their own."""
    if params.input == "features":
        return params
    return params.model_copy(update={name: getattr(params, own) for name, own in OF_IMAGES.items()})
