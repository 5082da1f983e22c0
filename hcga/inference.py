"""A trained network over all images: features for co-parsing, embeddings for matching."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
import zarr

from hcga.ahead import load_ahead
from hcga.devices import precision
from hcga.environment import environment
from hcga.errors import InputError
from hcga.files import note_beside, read_note, resumable, write_note
from hcga.masks import STRIDE, mask_attributes
from hcga.prnet import Card, PRNet
from hcga.progress import track
from hcga.resources import need_disk
from hcga.store_writing import SHARD_BYTES, RowWriter, add_array, draft_store
from hcga.stores import IMAGE_SET, array, image_set, read_rows

BATCH = 64
BATCHES = 64  # in a shard, at most
log = logging.getLogger(__name__)


def extract(network: PRNet, card: Card, images: zarr.Group, count: int, path: Path, key: str = "") -> None:
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
    key : str, optional
        Of `hcga.files.resumable`, to go on from what a run with the same key has left.

    Raises
    ------
    InputError
        The network was trained on other images than these.
    FloatingPointError
        What it computes is not finite.
    """
    size = (card.height // STRIDE, card.width // STRIDE)
    shapes = {"features": ((card.channels, *size), "float16")}
    here = environment(network.mean.device).model_dump()
    attributes = {"epoch": card.epoch, "stride": STRIDE, "run": {"extract": here}}
    _refuse_others(card, images)
    _stream(images, count, path, key, shapes, lambda batch: (network.maps(batch),), network, **attributes)


def embed(
    network: PRNet,
    card: Card,
    images: zarr.Group,
    t: float | None,
    path: Path,
    key: str = "",
    binary: bool = True,
    flip: bool = False,
) -> None:
    """Write the features of all images for matching (III-D).

    Parameters
    ----------
    network, card, images
        As in `extract`.
    t : float or None
        Of GAM.
    path : Path
        Store to write: `image` and `foreground` (N, q) float32, `parts` (N, C - 1, q) float32, `likely`,
        `guided` and `peak` (N, C - 1) float32, `parsed` (N, h, w) uint8; see `hcga.prnet.Embedding`. Its attribute
        `run` says with which seed the network was trained and in which environment it was trained and used.
    key : str, optional
        As in `extract`.
    binary, flip : bool
        See `hcga.prnet.PRNet.embed`.

    Raises
    ------
    InputError, FloatingPointError
        As of `extract`.
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
    attributes = {
        "epoch": card.epoch,
        "parsing": card.parsing,
        "run": _describe_run(card, network.mean.device),
        **mask_attributes(card.part_classes),
    }
    _refuse_others(card, images)
    count = array(images, "images").shape[0]

    def compute(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return network.embed(batch, t, binary, flip)

    _stream(images, count, path, key, shapes, compute, network, **attributes)


def _describe_run(card: Card, device: torch.device) -> dict[str, Any]:
    trained = card.environment.model_dump() if card.environment else {}
    return {"seed": card.seed, "train": trained, "embed": environment(device).model_dump()}


def _refuse_others(card: Card, images: zarr.Group) -> None:
    """Refuse images of another set than the one that a network was trained on: its identities may be tested there."""
    if card.image_set and image_set(images) not in ({}, {IMAGE_SET: card.image_set}):
        raise InputError("the model was trained on other images than there are now; `dvc repro` trains it anew")


def _stream(
    images: zarr.Group,
    count: int,
    path: Path,
    key: str,
    shapes: Mapping[str, tuple[tuple[int, ...], str]],
    compute: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
    network: PRNet,
    **attributes: Any,
) -> None:
    """Read, compute and write batch after batch, all three at once; memory does not grow with the number of images."""
    device, pixels = network.mean.device, array(images, "images")
    rows = _shard_rows(shapes)
    with resumable(path, key or uuid4().hex) as draft, ThreadPoolExecutor(1) as disk:
        note = note_beside(draft)

        def begin(done: int) -> list[RowWriter]:
            store = draft_store(draft, anew=not done, **attributes, **image_set(images))
            return [add_array(store, name, (count, *shape), kind, done, rows) for name, (shape, kind) in shapes.items()]

        done = _reached(note, rows, count)
        row_bytes = sum(math.prod(shape) * np.dtype(kind).itemsize for shape, kind in shapes.values())
        need_disk(draft, (count - done) * row_bytes)
        writers = begin(done)
        if (sound := min(writer.sound() for writer in writers)) < done:
            writers = begin(done := sound)

        def read(batch: slice) -> torch.Tensor:
            return torch.from_numpy(read_rows(pixels, np.arange(batch.start, batch.stop))).to(device)

        def write(results: Sequence[torch.Tensor]) -> None:
            before = writers[0].written
            for writer, values, (name, (_, dtype)) in zip(writers, results, shapes.items(), strict=True):
                if values.is_floating_point() and not values.isfinite().all():
                    raise FloatingPointError(
                        f"{path}: {name} of the images after row {before} are not finite; the training before has "
                        "diverged: lower train.learning_rate"
                    )
                writer.append(values.to(getattr(torch, dtype)).cpu().numpy())  # torch rounds faster than numpy
            if writers[0].written > before:
                write_note(note, str(writers[0].written))

        batches = [slice(start, min(start + BATCH, count)) for start in range(done, count, BATCH)]
        written: Future[None] | None = None
        first = done // BATCH
        for _, batch in track(load_ahead(batches, read), path.parent.name, first + len(batches), "batch", first):
            with torch.inference_mode(), precision(device):
                results = compute(batch)
            if written:
                written.result()  # one batch waits to be written, no more
            written = disk.submit(write, results)
        if written:
            written.result()
        for writer in writers:
            writer.finish()
        write_note(note, str(count))


def _shard_rows(shapes: Mapping[str, tuple[tuple[int, ...], str]]) -> int:
    """Rows of a shard, for all arrays of a store: whole batches, so that a run may go on after any shard."""
    largest = max(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes.values())
    return BATCH * int(np.clip(SHARD_BYTES // (BATCH * largest), 1, BATCHES))


def _reached(note: Path, rows: int, count: int) -> int:
    """How many of the rows a run that died has written, whole shards or all; 0 if that is not known."""
    text = read_note(note)
    done = int(text) if text.isdecimal() else 0
    if done > count or (done % rows and done < count):
        return 0
    if done:
        log.info("going on after %d images", done)
    return done
