"""Zarr stores: written once by one process beside their final place, renamed at the end, read-only afterwards.

A chunk, which is what is read at least, holds one image's worth of data, or several where that is small; a shard, which
is a file, up to 64 MB of chunks: a store is tens of files. Attributes say what a store holds; they never carry times or
paths, so equal content is equal bytes.
"""

from __future__ import annotations

import logging
import math
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
from hcga.resources import need_disk, shrunk
from hcga.stores import has_shard, read_rows

SHARD_BYTES = 64 * 2**20
CONFIG: Any = {"write_empty_chunks": True}  # else a missing chunk may be one of zeros
CHUNK_BYTES = 128 * 2**10  # each costs a third of a millisecond, however small it is
# Of those compared in benchmarks/storing.py the smallest files for the time.
COMPRESSOR = ZstdCodec(level=1, checksum=True)
log = logging.getLogger(__name__)


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
    with fresh(path, flushed=True) as draft:
        yield draft_store(draft, anew=True, **attributes)


def draft_store(path: Path, anew: bool, **attributes: Any) -> zarr.Group:
    """Create a store at a path from `resumable`, with the shards that a run before has written there unless `anew`."""
    if anew:
        shutil.rmtree(path, ignore_errors=True)
    for file in path.rglob("*"):  # descriptions are written again, as they may be damaged
        if file.name == "zarr.json" or file.suffix == ".partial":  # so zarr names what it has not written to its end
            file.unlink()
    return zarr.create_group(store=str(path), zarr_format=3, attributes=dict(sorted(attributes.items())))


def add_array(
    store: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    written: int = 0,
    shard_rows: int | None = None,
) -> RowWriter:
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
        Rows that an earlier run has written; what shards it has left after them are removed.
    shard_rows : int, optional
        Rows of a shard; as many as `SHARD_BYTES` hold if not given.

    Raises
    ------
    InputError
        The disk cannot hold it.
    """
    row_bytes = max(1, int(np.prod(shape[1:])) * np.dtype(dtype).itemsize)
    chunk = int(np.clip(min(CHUNK_BYTES, SHARD_BYTES) // row_bytes, 1, max(1, shape[0])))
    if shard_rows:
        chunk = next(rows for rows in range(min(chunk, shard_rows), 0, -1) if shard_rows % rows == 0)
    rows = shard_rows or chunk * max(1, min(SHARD_BYTES // row_bytes, shape[0]) // chunk)
    assert isinstance(store.store, LocalStore)
    need_disk(store.store.root / name, shrunk(name, (shape[0] - written) * row_bytes))
    _drop_shards(store, name, math.ceil(written / rows))
    created = store.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=(chunk, *shape[1:]),
        shards=(rows, *shape[1:]),
        compressors=COMPRESSOR,
        config=CONFIG,
    )
    return RowWriter(created, rows, written)


def _drop_shards(store: zarr.Group, name: str, first: int) -> None:
    """Remove the shards from a number on: the last may have been cut short in the middle of writing."""
    assert isinstance(store.store, LocalStore)
    for shard in (store.store.root / name / "c").glob("*"):
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
            room = len(self._buffer) - self.written % len(self._buffer)  # to the end of a shard, which may be begun
            taken = min(len(rows), room - self._filled)
            self._buffer[self._filled : self._filled + taken] = rows[:taken]
            self._filled += taken
            rows = rows[taken:]
            if self._filled == room:
                self.flush()

    def sound(self) -> int:
        """Rows that are there already up to the first shard that is damaged, as a power cut may leave one."""
        size = len(self._buffer)
        for start in range(0, self.written, size):
            if not has_shard(self._array, (start // size, *[0] * (self._array.ndim - 1))):
                return start
            try:
                read_rows(self._array, np.arange(start, min(start + size, self.written)))
            except InputError as error:
                log.warning("going on before damage: %s", error)
                return start
        return self.written

    def finish(self, missing: int = 0) -> None:
        """Write what is left; `RuntimeError` unless all announced rows have come, except for those known as missing."""
        self.flush()
        self._array.resize((self._array.shape[0] - missing, *self._array.shape[1:]))
        if self.written != self._array.shape[0]:
            raise RuntimeError(f"{self._array.name}: {self.written} rows written, {self._array.shape[0]} announced")

    def flush(self) -> None:
        """Write the rows that wait, though their shard is not full: another writer may go on after them."""
        end = self.written + self._filled
        if self._filled:
            self._array[self.written : end] = self._buffer[: self._filled]
        self.written, self._filled = end, 0


def write_store(path: Path, arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """Write arrays that are in memory, rows first, as one store."""
    with writing(path, **attributes) as store:
        for name, values in arrays.items():
            writer = add_array(store, name, values.shape, str(values.dtype))
            writer.append(values)
            writer.finish()
