"""A trained network over all images: features for co-parsing, embeddings for matching."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
import zarr

from hcga.errors import InputError
from hcga.files import flush, note_beside, read_note, resumable, write_note
from hcga.masks.parts import STRIDE, mask_attributes
from hcga.network.forward import Pass, Remote, Shapes, environment_of, forward
from hcga.network.memory import refuse_large_images
from hcga.network.prnet import Card, Embedding, PRNet
from hcga.resources import need_disk, shrunk
from hcga.runs.environment import Environment
from hcga.runs.progress import track
from hcga.runs.stopping import stop_requests
from hcga.store_writing import SHARD_BYTES, RowWriter, add_array, draft_store
from hcga.stores import IMAGE_SET, array, image_set

BATCH = 64
BATCHES = 64  # in a shard, at most
log = logging.getLogger(__name__)


def extract(network: PRNet | Remote, card: Card, images: zarr.Group, count: int, path: Path, key: str = "") -> None:
    """Write the shared maps V of the first images: step 1 of a round (III-A), no augmentation, eval mode.

    Parameters
    ----------
    network : PRNet or Remote
        In eval mode, on the device to use; or one that workers of a cluster compute, which changes no byte.
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
    Stopped
        Somebody has asked the process to; all batches that are done are kept.
    InputError
        The network was trained on other images than these.
    FloatingPointError
        What it computes is not finite.
    """
    size = (card.height // STRIDE, card.width // STRIDE)
    shapes = {"features": ((card.channels, *size), "float16")}
    here = environment_of(network).model_dump()
    attributes = {"epoch": card.epoch, "stride": STRIDE, "run": {"extract": here}}
    _refuse_others(card, images)
    _stream(network, _maps, images, count, path, key, shapes, **attributes)


def _maps(network: PRNet, images: torch.Tensor) -> tuple[torch.Tensor]:
    return (network.maps(images),)


def embed(
    network: PRNet | Remote,
    card: Card,
    images: zarr.Group,
    t: float | None,
    path: Path,
    key: str = "",
    binary: float | None = 1,
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
        `guided` and `peak` (N, C - 1) float32, `parsed` (N, h, w) uint8; see `hcga.network.prnet.Embedding`. Its
        attribute `run` says with which seed the network was trained and in which environment it was trained and used.
    key : str, optional
        As in `extract`.
    binary : float or None
    flip : bool
        See `hcga.network.prnet.PRNet.embed`.

    Raises
    ------
    Stopped, InputError, FloatingPointError
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
        "run": _describe_run(card, environment_of(network)),
        **mask_attributes(card.part_classes),
    }
    _refuse_others(card, images)
    count = array(images, "images").shape[0]
    _stream(network, partial(_embed, t=t, binary=binary, flip=flip), images, count, path, key, shapes, **attributes)


def _embed(network: PRNet, images: torch.Tensor, t: float | None, binary: float | None, flip: bool) -> Embedding:
    return network.embed(images, t, binary, flip)


def _describe_run(card: Card, here: Environment) -> dict[str, Any]:
    trained = card.environment.model_dump() if card.environment else {}
    return {"seed": card.seed, "train": trained, "embed": here.model_dump()}


def _refuse_others(card: Card, images: zarr.Group) -> None:
    """Refuse images of another set than the one that a network was trained on: its identities may be tested there."""
    if card.image_set and image_set(images) not in ({}, {IMAGE_SET: card.image_set}):
        raise InputError("the model was trained on other images than there are now; `dvc repro` trains it anew")


def _stream(
    network: PRNet | Remote,
    compute: Pass,
    images: zarr.Group,
    count: int,
    path: Path,
    key: str,
    shapes: Shapes,
    **attributes: Any,
) -> None:
    """Read, compute and write batch after batch, all three at once; memory does not grow with the number of images."""
    with resumable(path, key or uuid4().hex) as draft, ThreadPoolExecutor(1) as disk:
        if isinstance(network, PRNet):
            height, width = array(images, "images").shape[1:3]
            refuse_large_images(network, min(BATCH, count), (height, width))
        rows = _Rows(draft, count, shapes, {**attributes, **image_set(images)})
        batches = [slice(start, min(start + BATCH, count)) for start in range(rows.first, count, BATCH)]
        computed = forward(network, compute, images, batches, shapes, path)
        written: Future[None] | None = None
        first = rows.first // BATCH
        with stop_requests() as stop:
            for results in track(computed, path.parent.name, first + len(batches), "batch", first):
                if written:
                    written.result()  # one batch waits to be written, no more
                written = disk.submit(rows.write, results)
                if stop():
                    break
            if written:
                written.result()
            if stop():
                rows.keep()
        rows.finish()


class _Rows:
    """The rows of a store that is being written; a note beside it says how far a run before this one came.

    Attributes
    ----------
    first : int
        The first row that is still to be written, of a whole batch.
    """

    def __init__(self, draft: Path, count: int, shapes: Shapes, attributes: dict[str, Any]) -> None:
        self._draft, self._count, self._shapes, self._attributes = draft, count, shapes, attributes
        self._note = note_beside(draft)
        self._shard = _shard_rows(shapes)
        self.first = _reached(self._note, count)
        row_bytes = sum(shrunk(name, math.prod(row) * np.dtype(kind).itemsize) for name, (row, kind) in shapes.items())
        need_disk(draft, (count - self.first) * row_bytes)
        self._writers = self._begin()
        if (sound := min(writer.sound() for writer in self._writers)) < self.first:
            self.first = sound
            self._writers = self._begin()

    def _begin(self) -> list[RowWriter]:
        store = draft_store(self._draft, anew=not self.first, **self._attributes)
        return [
            add_array(store, name, (self._count, *shape), kind, self.first, self._shard)
            for name, (shape, kind) in self._shapes.items()
        ]

    def write(self, results: Callable[[], list[np.ndarray]]) -> None:
        """Take a batch of rows, of each array."""
        before = self._writers[0].written
        for writer, values in zip(self._writers, results(), strict=True):
            writer.append(values)
        if self._writers[0].written > before:
            if before % self._shard:  # after a power cut the shard of before it might come back, and be believed
                flush(self._draft)
            self._tell()

    def keep(self) -> None:
        """Bring all rows to disk, also those of a shard that is not full, for a run to come."""
        for writer in self._writers:
            writer.flush()
        flush(self._draft)
        self._tell()
        log.info("kept after %d images", self._writers[0].written)

    def finish(self) -> None:
        """Write what is left."""
        for writer in self._writers:
            writer.finish()
        self._tell()

    def _tell(self) -> None:
        write_note(self._note, str(self._writers[0].written))


def _shard_rows(shapes: Shapes) -> int:
    """Rows of a shard, for all arrays of a store: whole batches, so that a run may go on after any shard."""
    largest = max(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes.values())
    return BATCH * int(np.clip(SHARD_BYTES // (BATCH * largest), 1, BATCHES))


def _reached(note: Path, count: int) -> int:
    """How many of the rows a run that ended early has written, whole batches or all; 0 if that is not known."""
    text = read_note(note)
    done = int(text) if text.isdecimal() else 0
    if done > count or (done % BATCH and done < count):
        return 0
    if done:
        log.info("going on after %d images", done)
    return done
