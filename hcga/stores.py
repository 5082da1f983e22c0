"""Zarr stores: written once by one process beside their final place, renamed at the end, read-only afterwards.

A chunk, which is what is read at least, holds one image's worth of data, or several where that is small; a shard, which
is a file, up to 64 MB of chunks: a store is tens of files. Attributes say what a store holds; they never carry times or
paths, so equal content is equal bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from hcga.errors import InputError
from hcga.files import fresh

SHARD_BYTES = 64 * 2**20
CHUNK_BYTES = 128 * 2**10  # each costs a third of a millisecond, however small it is
COMPRESSOR = ZstdCodec(level=1)  # of those compared in benchmarks/storing.py the smallest files for the time


@contextmanager
def writing(path: Path, **attributes: Any) -> Iterator[zarr.Group]:
    """Write a store: a zarr v3 group that appears at `path` when the block ends well.

    Parameters
    ----------
    path : Path
        Where the store will stand.
    **attributes
        JSON-able; what the store holds.
    """
    with fresh(path) as draft:
        yield draft_store(draft, anew=True, **attributes)


def draft_store(path: Path, anew: bool, **attributes: Any) -> zarr.Group:
    """Create a store at a path from `resumable`, or open the one that a run before has begun there."""
    if anew:
        shutil.rmtree(path, ignore_errors=True)
        return zarr.create_group(store=str(path), zarr_format=3, attributes=dict(sorted(attributes.items())))
    return zarr.open_group(store=str(path), mode="r+", zarr_format=3)


def add_array(store: zarr.Group, name: str, shape: tuple[int, ...], dtype: str, written: int = 0) -> RowWriter:
    """Create an array with one row an image and return what writes it, row after row.

    Parameters
    ----------
    store : zarr.Group
        From `writing`.
    name : str
        Of the array.
    shape : tuple of int
        Rows first.
    dtype : str
        A numpy dtype.
    written : int
        Rows that an earlier run has written, whole shards; with any the array is there already.
    """
    row_bytes = max(1, int(np.prod(shape[1:])) * np.dtype(dtype).itemsize)
    chunk = int(np.clip(min(CHUNK_BYTES, SHARD_BYTES) // row_bytes, 1, max(1, shape[0])))
    rows = chunk * max(1, min(SHARD_BYTES // row_bytes, shape[0]) // chunk)
    if written:
        _drop_shards(store, name, written // rows)
        return RowWriter(array(store, name), rows, written)
    created = store.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=(chunk, *shape[1:]),
        shards=(rows, *shape[1:]),
        compressors=COMPRESSOR,
    )
    return RowWriter(created, rows)


def _drop_shards(store: zarr.Group, name: str, first: int) -> None:
    """Remove the shards from a number on: the last may have been cut short in the middle of writing."""
    assert isinstance(store.store, LocalStore)
    for shard in (store.store.root / name / "c").iterdir():
        if int(shard.name) >= first:
            shutil.rmtree(shard)


class RowWriter:
    """Collects rows and writes whole shards; `finish` writes the last one.

    Parameters
    ----------
    array : zarr.Array
        Rows first.
    shard_rows : int
        Rows of one shard.
    written : int
        Rows that are there already.

    Attributes
    ----------
    written : int
        Rows in the store; those that wait for their shard to be full come on top.
    """

    def __init__(self, array: zarr.Array[Any], shard_rows: int, written: int = 0) -> None:
        self._array = array
        self._buffer = np.empty((shard_rows, *array.shape[1:]), array.dtype)
        self.written, self._filled = written, 0

    def append(self, rows: np.ndarray) -> None:
        """Append rows, (n, ...) of the array's row shape; cast to its dtype."""
        while len(rows):
            taken = min(len(rows), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + taken] = rows[:taken]
            self._filled += taken
            rows = rows[taken:]
            if self._filled == len(self._buffer):
                self._flush()

    def finish(self, missing: int = 0) -> None:
        """Write what is left; `RuntimeError` unless all announced rows have come, except for those known as missing."""
        self._flush()
        self._array.resize((self._array.shape[0] - missing, *self._array.shape[1:]))
        if self.written != self._array.shape[0]:
            raise RuntimeError(f"{self._array.name}: {self.written} rows written, {self._array.shape[0]} announced")

    def _flush(self) -> None:
        end = self.written + self._filled
        if self._filled:
            self._array[self.written : end] = self._buffer[: self._filled]
        self.written, self._filled = end, 0


def write_store(path: Path, arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """Write arrays that are in memory, (N, ...) each with the same N, as one store."""
    with writing(path, **attributes) as store:
        for name, values in arrays.items():
            writer = add_array(store, name, values.shape, str(values.dtype))
            writer.append(values)
            writer.finish()


def open_store(path: Path) -> zarr.Group:
    """Open a store for reading.

    Raises
    ------
    InputError
        There is none, or it is not a zarr group.
    """
    try:
        return zarr.open_group(store=str(path), mode="r", zarr_format=3)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no readable store ({error}); `dvc checkout` or `dvc repro` restores it") from None


def array(store: zarr.Group, name: str) -> zarr.Array[Any]:
    """One array of a store, by name.

    Raises
    ------
    InputError
        The store has no such array.
    """
    found = store.get(name)
    if not isinstance(found, zarr.Array):
        raise InputError(f"{store.store}: no array {name!r}; known: {', '.join(sorted(store.array_keys()))}")
    return found


def read_rows(source: zarr.Array[Any] | np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Read rows in any order, repeats allowed.

    Parameters
    ----------
    source : zarr.Array or array
        Rows first.
    rows : (n,) int64

    Returns
    -------
    (n, ...) array of the source's dtype
    """
    if isinstance(source, np.ndarray):
        return source[rows]
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):  # as of an identity: no copy
        return np.asarray(source[rows[0] : rows[0] + len(rows)])
    wanted, inverse = np.unique(rows, return_inverse=True)
    if len(wanted) and len(wanted) == wanted[-1] - wanted[0] + 1:
        return np.asarray(source[wanted[0] : wanted[-1] + 1])[inverse]
    return np.asarray(source.oindex[wanted])[inverse]
