"""The parsing head's confidence, computed when it is looked at: the pipeline keeps the likeliest class only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hcga.errors import REMEDY, InputError, brief
from hcga.masks.parts import STRIDE
from hcga.stores import array, open_store, read_rows

BATCH = 4  # images that a network looks at at once
_one_thread = ThreadPoolExecutor(1)  # a page asks for all parts and rounds at once, and each thread would take memory


def confidence_maps(model: Path, images: Path, rows: np.ndarray) -> np.ndarray:
    """Probabilities of all classes, by one network at a time.

    Parameters
    ----------
    model : Path
        Of the round.
    images : Path
        Store of the images.
    rows : (n,) int64

    Returns
    -------
    (n, C, h, w) uint8
        255 is 1. Not to be written to: those asked for last are kept.
    """
    return _one_thread.submit(_compute, model, model.stat().st_mtime, images, tuple(rows.tolist())).result()


def part_classes_of(path: Path) -> int:
    """Part classes C of a model, of which only the beginning is read, without PyTorch; `InputError` if it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shape = file.get_slice("parsing_head.weight").get_shape()
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: damaged ({error}); {REMEDY}") from None
    if len(shape) != 4 or shape[0] not in range(2, 256):
        raise InputError(f"{path}: a parsing head of shape {brief(tuple(shape))}; {REMEDY}")
    return int(shape[0])


@lru_cache(16)
def _compute(model: Path, stamp: float, images: Path, rows: tuple[int, ...]) -> np.ndarray:
    import torch

    network, pixels = _network(model, stamp), array(open_store(images), "images")
    found = [
        np.zeros((0, network.parsing_head.out_channels, *(size // STRIDE for size in pixels.shape[1:3])), np.uint8)
    ]  # of no image
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            batch = torch.from_numpy(read_rows(pixels, np.array(rows[start : start + BATCH])))
            found.append((255 * network.parsing_head(network.maps(batch)).softmax(1)).round().to(torch.uint8).numpy())
    return np.concatenate(found)


@lru_cache(2)
def _network(model: Path, stamp: float) -> Any:
    from hcga.network.checkpoints import load_model

    return load_model(model)[0]
