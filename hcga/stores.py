"""Zarr stores, as they are read; see `hcga.store_writing` for how they are made.

Damage is seen when a store is read: chunks carry checksums, and every shard is there, even one full of zeros, which is
what zarr takes a missing file for. The attribute `IMAGE_SET` says to which images the rows belong.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zarr
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from hcga.errors import OTHER_VERSION, REMEDY, InputError, brief
from hcga.resources import blame_machine, need_memory
from hcga.store_limits import what_is_wrong

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ZeroDivisionError)
A = TypeVar("A")
PART_CLASSES = "part_classes"  # attribute: C, of masks of 8 bits
IMAGE_SET = "image_set"  # attribute: digest of the sample table, and the images' size


class Whole(Store):
    """What a store to read from inherits first: no shard may be missing or empty, which zarr takes for zeros."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As of `Store`; `FileNotFoundError` for a shard that is missing or empty."""
        found = await super().get(key, prototype or default_buffer_prototype(), byte_range)  # type: ignore[safe-super]
        if not found and "/c/" in f"/{key}":
            raise FileNotFoundError(f"{key} is missing or empty; perhaps a stage writes the store anew at this moment")
        return found


class _WholeFolder(Whole, LocalStore):
    """Of a folder."""


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
        store = _WholeFolder(path, read_only=True) if whole else str(path)
        return zarr.open_group(store=store, mode="r", zarr_format=3)
    except UNREADABLE as error:
        blame_machine(error)
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
            f"{path}: made of other images than {folder_of(images)} holds now, so its rows belong to other people; "
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
            f"{folder_of(store)}: no attribute {name!r} ({kind.__name__}); it has: {known}. Perhaps {OTHER_VERSION}"
        )
    if name == PART_CLASSES and value not in range(2, 256):
        raise InputError(f"{folder_of(store)}: {name} is {brief(value)}, it can be 2 to 255. Perhaps {OTHER_VERSION}")
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
        blame_machine(error)
        raise InputError(f"{_told(store)}/{name}: damaged ({error}); {REMEDY}") from None
    if not isinstance(found, zarr.Array):
        known = ", ".join(sorted(store.array_keys())) or "none"
        raise InputError(f"{_told(store)}: no array {name!r}; it has: {known}. {REMEDY}")
    if wrong := what_is_wrong(found, name):
        raise InputError(f"{_told(found)}: {wrong}; {REMEDY if whole else 'write it anew'}")
    missing = _missing_file(found) if whole else None
    if missing:
        raise InputError(f"{folder_of(found)}: damaged, its file {missing} is missing or empty; {REMEDY}")
    return found


def _missing_file(found: zarr.Array[Any]) -> str | None:
    """Name of the first shard that has no file, or an empty one; zarr would read it as zeros."""
    sides = zip(found.shape, found.shards or found.chunks, strict=True)
    places = np.ndindex(*(math.ceil(length / side) for length, side in sides))
    return next((found.metadata.encode_chunk_key(place) for place in places if not has_shard(found, place)), None)


def has_shard(of: zarr.Array[Any], place: tuple[int, ...]) -> bool:
    """Whether a shard has a file that is not empty; `place` is its number along each axis."""
    file = folder_of(of) / of.metadata.encode_chunk_key(place)
    return file.is_file() and file.stat().st_size > 0


def folder_of(of: zarr.Group | zarr.Array[Any]) -> Path:
    """Where a group or an array lies."""
    assert isinstance(of.store, LocalStore)
    return of.store.root / of.path


def _told(of: zarr.Group | zarr.Array[Any]) -> str:
    """Where a group or an array lies, in words: a folder, or a URL."""
    return str(folder_of(of) if isinstance(of.store, LocalStore) else of.store_path)


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
            f"{_told(source)}: has {source.shape[0]} rows and no row {rows.max()}, so it is of other images; {REMEDY}"
        )
    try:
        return _read_rows(source, rows)
    except (*UNREADABLE, RuntimeError) as error:  # checksums, decompression
        blame_machine(error)
        raise InputError(f"{_told(source)}: damaged ({error}); {REMEDY}") from None


def read_finite(source: zarr.Array[Any], rows: np.ndarray) -> np.ndarray:
    """Read rows as `read_rows` does, as float32; `InputError` also if a number is not finite."""
    values = read_rows(source, rows).astype(np.float32, copy=False)
    if not np.isfinite([values.min(initial=0), values.max(initial=0)]).all():  # no array of flags
        raise InputError(f"{_told(source)}: holds numbers that are not finite; {REMEDY}")
    return values


def read_all(source: zarr.Array[Any], copies: int = 1) -> np.ndarray:
    """Read an array as a whole.

    Parameters
    ----------
    source : zarr.Array
    copies : int
        How often its bytes will be in memory at once, with what is computed of it.

    Raises
    ------
    InputError
        It is damaged, or takes more memory than is free.
    """
    need_memory(copies * source.nbytes, f"{_told(source)}: is read as a whole (if it should be smaller: {REMEDY})")
    return read_rows(source, np.arange(source.shape[0]))


def _read_rows(source: zarr.Array[Any], rows: np.ndarray) -> np.ndarray:
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):  # as of an identity: no copy
        return np.asarray(source[rows[0] : rows[0] + len(rows)])
    wanted, inverse = np.unique(rows, return_inverse=True)
    if len(wanted) and len(wanted) == wanted[-1] - wanted[0] + 1:
        return np.asarray(source[wanted[0] : wanted[-1] + 1])[inverse]
    return np.asarray(source.oindex[wanted])[inverse]
