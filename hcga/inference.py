"""A trained network over all images: features for co-parsing, embeddings for matching."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

from hcga.ahead import load_ahead
from hcga.devices import precision
from hcga.masks import STRIDE, mask_attributes
from hcga.prnet import Card, PRNet
from hcga.progress import track
from hcga.stores import add_array, array, image_set, read_rows, writing

BATCH = 64


def extract(network: PRNet, card: Card, images: zarr.Group, count: int, path: Path) -> None:
    """Write the shared maps V of the first images: step 1 of a round (III-A), no augmentation, eval mode.

    Parameters
    ----------
    network : PRNet
        In eval mode, on the device to use.
    card : Card
    images : zarr.Group
        The store of images.
    count : int
        How many; the training images come first.
    path : Path
        Store to write: array `features`, (count, q, h, w) float16.
    """
    size = (card.height // STRIDE, card.width // STRIDE)
    shapes = {"features": ((card.channels, *size), "float16")}
    _stream(images, count, path, shapes, lambda batch: (network.maps(batch),), network, epoch=card.epoch, stride=STRIDE)


def embed(network: PRNet, card: Card, images: zarr.Group, t: float | None, path: Path) -> None:
    """Write the features of all images for matching (III-D).

    Parameters
    ----------
    network, card, images
        As in `extract`.
    t : float or None
        Of GAM.
    path : Path
        Store to write: `image` and `foreground` (N, q) float32, `parts` (N, C - 1, q) float32, `likely`,
        `guided` and `peak` (N, C - 1) float32, `parsed` (N, h, w) uint8; see `hcga.prnet.Embedding`.
    """
    parts = card.part_classes - 1
    size = (card.height // STRIDE, card.width // STRIDE)
    shapes = {
        "image": ((card.channels,), "float32"),
        "foreground": ((card.channels,), "float32"),
        "parts": ((parts, card.channels), "float32"),
        "likely": ((parts,), "float32"),
        "guided": ((parts,), "float32"),
        "peak": ((parts,), "float32"),
        "parsed": (size, "uint8"),
    }
    attributes = {"epoch": card.epoch, "parsing": card.parsing, **mask_attributes(card.part_classes)}
    count = array(images, "images").shape[0]
    _stream(images, count, path, shapes, lambda batch: network.embed(batch, t), network, **attributes)


def _stream(
    images: zarr.Group,
    count: int,
    path: Path,
    shapes: Mapping[str, tuple[tuple[int, ...], str]],
    compute: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
    network: PRNet,
    **attributes: Any,
) -> None:
    """Read, compute and write batch after batch, all three at once; memory does not grow with the number of images."""
    device, pixels = network.mean.device, array(images, "images")
    with writing(path, **attributes, **image_set(images)) as store, ThreadPoolExecutor(1) as disk:
        writers = [add_array(store, name, (count, *shape), dtype) for name, (shape, dtype) in shapes.items()]

        def read(rows: slice) -> torch.Tensor:
            return torch.from_numpy(read_rows(pixels, np.arange(rows.start, rows.stop))).to(device)

        def write(results: Sequence[torch.Tensor]) -> None:
            for writer, values, (_, dtype) in zip(writers, results, shapes.values(), strict=True):
                writer.append(values.to(getattr(torch, dtype)).cpu().numpy())  # torch rounds faster than numpy

        batches = [slice(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
        written: Future[None] | None = None
        for _, batch in track(load_ahead(batches, read), path.parent.name, len(batches), "batch"):
            with torch.inference_mode(), precision(device):
                results = compute(batch)
            if written:
                written.result()  # one batch waits to be written, no more
            written = disk.submit(write, results)
        if written:
            written.result()
        for writer in writers:
            writer.finish()
