"""Embeddings of one's own crops in a zarr store, with the names of the files, for search again and again.

What the arrays hold, `hcga.using.embedded.Embedded` says; names are rows of UTF-8, filled up with zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr

from hcga.errors import InputError, brief, remedy
from hcga.files import leads_below
from hcga.links import refuse_leaving_below
from hcga.masks.parts import part_names
from hcga.resources import need_disk, shrunk
from hcga.store_writing import add_array, writing
from hcga.stores import array, attribute, folder_of, open_store, read_finite, read_rows
from hcga.using.crops import Crops
from hcga.using.embedded import NAMES, VECTORS, Dtype, Embedded
from hcga.using.model import Model

MODEL, FOLDER, CLASSES, PATHS = "model", "folder", "class_names", "paths"  # attributes; the last is an array
LONGEST = 4096  # bytes of a name
ANEW = "make it anew with `hcga embed`"
Sink = Callable[[list[str], Embedded], None]  # takes rows: names and embeddings


class Gallery(NamedTuple):
    """An opened store."""

    store: zarr.Group
    names: list[str]
    folder: Path | None  # where the files of these names are, if that is known
    problems: list[str]  # of images that were left out on the way, if it was made just now


def describe_store(target: Path, model: Model, crops: Crops) -> dict[str, Any]:
    """Say of which model and folder a store is; the folder only if it lies beside the store or below, as a path."""
    home, root = target.absolute().parent, crops.root.absolute()
    below = root.relative_to(home).as_posix() if root.is_relative_to(home) else None
    return {MODEL: model.digest, FOLDER: below, CLASSES: part_names(model.card.part_classes)}


@contextmanager
def zarr_sink(target: Path, model: Model, crops: Crops, dtype: Dtype) -> Iterator[Sink]:
    """Give what writes rows into a zarr store."""
    about = describe_store(target, model, crops)
    with zarr_rows(target, about, len(crops.names), crops.names, model, dtype) as write:
        yield write


@contextmanager
def zarr_rows(
    target: Path, about: dict[str, Any], most: int, names: Iterable[str], model: Model, dtype: Dtype = "float32"
) -> Iterator[Sink]:
    """Give what writes at most so many rows into a zarr store whose names are among some."""
    shapes, dtypes = _shapes(model), _dtypes(dtype)
    length = max(len(name.encode()) for name in names)
    with writing(target, **about) as store:
        need_disk(target, most * (row_bytes(model, dtype, packed=True) + length))
        writers = {name: add_array(store, name, (most, *shape), dtypes[name]) for name, shape in shapes.items()}
        writers[PATHS] = add_array(store, PATHS, (most, length), "uint8")
        written = 0

        def write(rows: list[str], embedded: Embedded) -> None:
            nonlocal written
            for name, values in {**embedded.quantised(dtype).arrays(), PATHS: _pack(rows, length)}.items():
                writers[name].append(values)
            written += len(rows)

        yield write
        for writer in writers.values():
            writer.finish(missing=most - written)


def row_bytes(model: Model, dtype: Dtype, packed: bool) -> float:
    """Bytes of an image's embedding, in a store, where it is packed, or as it is kept for another run."""
    sizes = {name: math.prod(shape) * np.dtype(_dtypes(dtype)[name]).itemsize for name, shape in _shapes(model).items()}
    return sum(shrunk(name, size) if packed else size for name, size in sizes.items())


def open_gallery(path: Path, model: Model, pictures: Path | None = None) -> Gallery:
    """Open a zarr store that `hcga embed` has written.

    Parameters
    ----------
    path : Path
    model : Model
    pictures : Path, optional
        Where the files are that it names; if not given, where it says itself, if it does.

    Raises
    ------
    InputError
        It is none, is damaged, or was made by another model.
    """
    refuse_leaving_below(path)
    with remedy(ANEW):
        store = open_store(path)
        require_model(path, attribute(store, MODEL, str), model, ANEW)
        packed = array(store, PATHS)
        if packed.ndim != 2 or packed.dtype != np.uint8 or 0 in packed.shape or packed.shape[1] > LONGEST:
            raise InputError(f"{path}/{PATHS}: holds no names; {ANEW}")
        for name, shape in _shapes(model).items():
            wanted = (packed.shape[0], *shape)
            if (found := array(store, name).shape) != wanted:
                raise InputError(f"{path}/{name}: has shape {found}, its names and the model ask for {wanted}; {ANEW}")
        names = [name for start in range(0, packed.shape[0], 2**14) for name in _unpack(packed, start, start + 2**14)]
    return Gallery(store, names, pictures or folder_beside(path, store.attrs.get(FOLDER)), [])


def require_pictures_folder(pictures: Path | None) -> None:
    """Refuse a folder of pictures that is none, `InputError`."""
    if pictures and not pictures.is_dir():
        raise InputError(f"--pictures {pictures}: no such folder; name the one that was embedded")


def read_embedded(store: zarr.Group, rows: np.ndarray) -> Embedded:
    """Read some rows, (n,) int64, of a store; `InputError` if it is damaged or has numbers that are not finite."""
    with remedy(ANEW):
        return Embedded(*(read_finite(array(store, name), rows) for name in NAMES))


def require_model(path: Path, made: str, model: Model, anew: str) -> None:
    """Refuse a store that another model has made."""
    if made != model.digest:
        raise InputError(
            f"{path}: made by model {brief(made[:12])}, but --model is {model.digest[:12]}; embeddings of two models "
            f"cannot be compared: give the other model, or {anew}"
        )


def folder_beside(path: Path, told: object) -> Path | None:
    """Where a store says that its pictures are: the folder in which it lies, or one below that."""
    if told == ".":
        return path.absolute().parent
    return path.absolute().parent / str(told) if leads_below(told) else None


def _shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Shape of a row of each array."""
    channels, parts = model.card.channels, model.card.part_classes - 1
    return dict(zip(NAMES, [(channels,), (channels,), (parts, channels), *[(parts,)] * 3], strict=True))


def _dtypes(dtype: Dtype) -> dict[str, str]:
    return dict.fromkeys(NAMES, "float32") | dict.fromkeys(VECTORS, dtype)


def is_store(path: Path) -> bool:
    """Whether a folder is a store of embeddings."""
    try:
        store = open_store(path)
        return isinstance(store.attrs.get(MODEL), str) and PATHS in store
    except InputError:
        return False


def _pack(names: list[str], length: int) -> np.ndarray:
    """Names as rows of bytes, (n, length) uint8."""
    padded = b"".join(name.encode().ljust(length, b"\0") for name in names)
    return np.frombuffer(padded, np.uint8).reshape(len(names), length)


def _unpack(packed: zarr.Array[Any], start: int, stop: int) -> list[str]:
    rows = read_rows(packed, np.arange(start, min(stop, packed.shape[0])))
    try:
        return [row.tobytes().rstrip(b"\0").decode() for row in rows]
    except UnicodeDecodeError as error:
        raise InputError(f"{folder_of(packed)}: no names in UTF-8 ({error}); {ANEW}") from None
