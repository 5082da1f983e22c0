"""What PRNet is trained on, batch by batch."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import zarr

from hcga.params import Train
from hcga.samples import read_samples_of
from hcga.stores import IMAGE_SET, array, attribute, image_set, open_store, open_store_of, read_all, read_rows
from hcga.training.augmentation import change_image, change_mask, draw_change

log = logging.getLogger(__name__)
HELD_BYTES = 2 * 2**30  # of images: over 20,000 of 256 x 128 pixels


@dataclass(frozen=True)
class TrainingSet:
    """What PRNet is trained on; rows as in the sample table."""

    images: zarr.Array[Any] | np.ndarray  # (N, H, W, 3) uint8; from `hold_images`
    masks: np.ndarray  # (n, h, w) uint8, pseudo-masks of the n training rows
    samples: pd.DataFrame
    parsing: bool  # False: the baseline without parsing, on the image loss alone
    image_set: str | None = None  # see `hcga.stores.IMAGE_SET`


def read_training_set(samples: Path, images: Path, masks: Path) -> TrainingSet:
    """Read the sample table and the stores of images and of a round's masks."""
    pictures = open_store(images)
    store = open_store_of(masks, pictures)
    drawn = read_all(array(store, "masks"))
    pixels = hold_images(array(pictures, "images"), len(drawn))
    parsing = attribute(store, "source", str) != "none"
    return TrainingSet(pixels, drawn, read_samples_of(samples, pictures), parsing, image_set(pictures).get(IMAGE_SET))


def hold_images(images: zarr.Array[Any], count: int) -> zarr.Array[Any] | np.ndarray:
    """Read the first images into memory if they take at most `HELD_BYTES` there; else leave them on disk.

    A random image costs over a millisecond from a store, a hundred times less from memory.
    """
    wanted = count * math.prod(images.shape[1:])
    held = wanted <= HELD_BYTES
    log.info("%d images, %.2f GB, read %s", count, wanted / 1e9, "into memory" if held else "from disk batch by batch")
    return read_rows(images, np.arange(count)) if held else images


def load_batch(
    data: TrainingSet,
    rows: np.ndarray,
    params: Train,
    mean: torch.Tensor,
    rng: np.random.Generator,
    share: slice = slice(None),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read and augment one batch: all of its masks, and the images of a share.

    Parameters
    ----------
    data : TrainingSet
    rows : (B,) int64
    params : Train
    mean : (3,) float32
        RGB in [0, 1] that the network subtracts; erased pixels get it. Its device is where the batch goes.
    rng : numpy Generator
        Draws for all images, whatever the share.
    share : slice, optional
        Which b of the images are wanted.

    Returns
    -------
    images : (b, H, W, 3) uint8
    masks : (B, h, w) int64
    """
    fill = (255 * mean.cpu().numpy()).round().astype(np.uint8)
    height, width = data.images.shape[1:3]
    changes = [draw_change((height, width), params, rng) for _ in rows]
    pixels = read_rows(data.images, rows[share])
    images = [change_image(image, change, fill) for image, change in zip(pixels, changes[share], strict=True)]
    masks = [change_mask(data.masks[row], change) for row, change in zip(rows, changes, strict=True)]
    drawn, labels = (torch.from_numpy(np.stack(arrays)).to(mean.device) for arrays in (images, masks))
    return drawn, labels.long()
