"""Zarr stores: written once by one process beside their final place, renamed at the end, read-only afterwards.

A chunk, which is what is read at least, holds one image's worth of data, or several where that is small; a shard, which
is a file, up to 64 MB of chunks: a store is tens of files. Attributes say what a store holds; they never carry times or
paths, so equal content is equal bytes.

Damage is seen when a store is read: chunks carry checksums, and every shard is written, even one full of zeros, which
is what zarr takes a missing file for. The attribute `IMAGE_SET` says to which images the rows belong.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zarr
from zarr.abc.store import ByteRequest
from zarr.codecs import ZstdCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from hcga.errors import OTHER_VERSION, REMEDY, InputError, brief
from hcga.files import fresh
from hcga.resources import need_disk
from hcga.store_limits import WHOLE_BYTES, what_is_wrong

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ZeroDivisionError)
SHARD_BYTES = 64 * 2**20
CONFIG: Any = {"write_empty_chunks": True}  # else a missing chunk may be one of zeros
CHUNK_BYTES = 128 * 2**10  # each costs a third of a millisecond, however small it is
# Of those compared in benchmarks/storing.py the smallest files for the time.
COMPRESSOR = ZstdCodec(level=1, checksum=True)
log = logging.getLogger(__name__)
A = TypeVar("A")
PART_CLASSES = "part_classes"  # attribute: C, of masks of 8 bits
IMAGE_SET = "image_set"  # attribute: digest of the sample table and the images' size


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
    for description in path.rglob("zarr.json"):  # written again, as it may be damaged
        description.unlink()
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
        Rows that an earlier run has written, whole shards; what else it has left is removed.
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
    need_disk(store.store.root / name, (shape[0] - written) * row_bytes)
    _drop_shards(store, name, written // rows)
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


class _Whole(LocalStore):
    """A store to read from, in which no shard may be missing: zarr takes one that is missing for zeros."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        found = await super().get(key, prototype, byte_range)
        if found is None and "/c/" in f"/{key}":
            raise FileNotFoundError(f"{key} is missing; perhaps a stage writes the store anew at this moment")
        return found


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

    def sound(self) -> int:
        """Rows that are there already up to the first shard that is damaged, as a power cut may leave one."""
        size = len(self._buffer)
        for start in range(0, self.written, size):
            files = (_folder(self._array) / f"c/{start // size}").rglob("*")
            if not any(file.is_file() and file.stat().st_size for file in files):
                return start
            try:
                read_rows(self._array, np.arange(start, min(start + size, self.written)))
            except InputError as error:
                log.warning("going on before damage: %s", error)
                return start
        return self.written

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


def open_store(path: Path, whole: bool = True) -> zarr.Group:
    """Open a store for reading.

    Parameters
    ----------
    path : Path
    whole : bool
        As of `array`.

    Raises
    ------
    InputError
        There is none, or it is not a zarr group of version 3.
    """
    try:
        store = _Whole(path, read_only=True) if whole else str(path)
        return zarr.open_group(store=store, mode="r", zarr_format=3)
    except UNREADABLE as error:
        raise InputError(f"{path}: no readable store of zarr's format 3 ({error}); {REMEDY}") from None


def open_store_of(path: Path, images: zarr.Group) -> zarr.Group:
    """Open a store whose rows belong to the images of another.

    Parameters
    ----------
    path : Path
    images : zarr.Group
        The store of images.

    Raises
    ------
    InputError
        As of `open_store`, or it was made from another sample table or of images of another size.
    """
    store = open_store(path)
    sets = [of.attrs.get(IMAGE_SET) for of in (store, images)]
    if None not in sets and sets[0] != sets[1]:
        raise InputError(
            f"{path}: made of other images than {_folder(images)} holds now, so its rows belong to other people; "
            "`dvc repro` makes it anew"
        )
    return store


def image_set(store: zarr.Group) -> dict[str, Any]:
    """The attribute that says to which images a store's rows belong, for a store that is made from it."""
    return {IMAGE_SET: store.attrs[IMAGE_SET]} if IMAGE_SET in store.attrs else {}


def attribute(store: zarr.Group, name: str, kind: type[A]) -> A:
    """What a store says of itself; `InputError` if it has no attribute of this name and kind."""
    value = store.attrs.get(name)
    if not isinstance(value, kind):
        known = ", ".join(sorted(store.attrs)) or "none"
        raise InputError(
            f"{_folder(store)}: no attribute {name!r} ({kind.__name__}); it has: {known}. Perhaps {OTHER_VERSION}"
        )
    if name == PART_CLASSES and value not in range(2, 256):
        raise InputError(f"{_folder(store)}: {name} is {brief(value)}, it can be 2 to 255. Perhaps {OTHER_VERSION}")
    return value


def array(store: zarr.Group, name: str, whole: bool = True) -> zarr.Array[Any]:
    """One array of a store, by name.

    Parameters
    ----------
    store : zarr.Group
    name : str
    whole : bool
        Whether all its files must be there; other programs leave out those that hold nothing but zeros.

    Raises
    ------
    InputError
        The store has no such array or lacks a file of it, or it is none of ours (`hcga.store_limits`).
    """
    try:
        found = store.get(name)
    except UNREADABLE as error:
        raise InputError(f"{_folder(store)}/{name}: damaged ({error}); {REMEDY}") from None
    if not isinstance(found, zarr.Array):
        known = ", ".join(sorted(store.array_keys())) or "none"
        raise InputError(f"{_folder(store)}: no array {name!r}; it has: {known}. {REMEDY}")
    if wrong := what_is_wrong(found, name):
        raise InputError(f"{_folder(found)}: {wrong}; {REMEDY if whole else 'write it anew'}")
    missing = _missing_files(found) if whole else 0
    if missing:
        raise InputError(f"{_folder(found)}: damaged, {missing} of its files are missing or empty; {REMEDY}")
    return found


def _missing_files(found: zarr.Array[Any]) -> int:
    """How many shards have no file, or an empty one; zarr would read them as zeros."""
    sides = zip(found.shape, found.shards or found.chunks, strict=True)
    there = sum(path.is_file() and path.stat().st_size > 0 for path in (_folder(found) / "c").rglob("*"))
    return math.prod(math.ceil(length / side) for length, side in sides) - there


def _folder(of: zarr.Group | zarr.Array[Any]) -> Path:
    """Where a group or an array lies."""
    assert isinstance(of.store, LocalStore)
    return of.store.root / of.path


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

    Raises
    ------
    InputError
        The store is damaged, or has fewer rows.
    """
    if isinstance(source, np.ndarray):
        return source[rows]
    if len(rows) and rows.max() >= source.shape[0]:
        raise InputError(
            f"{_folder(source)}: has {source.shape[0]} rows and no row {rows.max()}, so it is of other images; {REMEDY}"
        )
    try:
        return _read_rows(source, rows)
    except (*UNREADABLE, RuntimeError, MemoryError) as error:  # checksums, decompression
        raise InputError(f"{_folder(source)}: damaged ({error}); {REMEDY}") from None


def read_all(source: zarr.Array[Any]) -> np.ndarray:
    """Read an array as a whole; `InputError` if it is damaged, or too large for that."""
    if source.nbytes > WHOLE_BYTES:
        raise InputError(f"{_folder(source)}: {source.nbytes:,} bytes, more than masks can take; {REMEDY}")
    return read_rows(source, np.arange(source.shape[0]))


def _read_rows(source: zarr.Array[Any], rows: np.ndarray) -> np.ndarray:
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):  # as of an identity: no copy
        return np.asarray(source[rows[0] : rows[0] + len(rows)])
    wanted, inverse = np.unique(rows, return_inverse=True)
    if len(wanted) and len(wanted) == wanted[-1] - wanted[0] + 1:
        return np.asarray(source[wanted[0] : wanted[-1] + 1])[inverse]
    return np.asarray(source.oindex[wanted])[inverse]
