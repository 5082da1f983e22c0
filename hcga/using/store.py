"""Embeddings of one's own crops in a zarr store, with the names of the files, for search again and again.

What the arrays hold, `hcga.using.embedded.Embedded` says; names are rows of UTF-8, filled up with zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr

from hcga.errors import InputError, brief, remedy
from hcga.files import digest, leads_below, run_key, scratch
from hcga.kept_arrays import KeptArrays, Result
from hcga.masks.parts import part_names
from hcga.network.inference import BATCH
from hcga.outputs import require_output
from hcga.resources import need_disk, shrunk
from hcga.store_writing import add_array, writing
from hcga.stores import array, attribute, folder_of, open_store, read_finite, read_rows
from hcga.using.crops import Crops
from hcga.using.embedded import NAMES, VECTORS, Dtype, Embedded, join, quantise
from hcga.using.model import Batch, Model, OnBadImage, require_some

MODEL, FOLDER, CLASSES, PATHS = "model", "folder", "class_names", "paths"  # attributes; the last is an array
LONGEST = 4096  # bytes of a name
PART = 64 * BATCH  # images whose embeddings are kept at once
ANEW = "make it anew with `hcga embed`"
Sink = Callable[[list[str], Embedded], None]  # takes rows: names and embeddings


class Written(NamedTuple):
    """What became of files."""

    images: int  # that were embedded
    kept: int  # of them by a run before that died
    problems: list[str]  # of images left out


class Gallery(NamedTuple):
    """An opened store."""

    store: zarr.Group
    names: list[str]
    folder: Path | None  # where the files of these names are, if that is known
    problems: list[str]  # of images that were left out on the way, if it was made just now


def write_store_of(
    model: Model, crops: Crops, target: Path, on_bad_image: OnBadImage, dtype: Dtype = "float32"
) -> Written:
    """Embed crops into a store, batch after batch.

    Parameters
    ----------
    model : Model
    crops : Crops
    target : Path
        Ends in .zarr or .parquet. A store of embeddings that stands there is replaced, anything else is not.
    on_bad_image : {'error', 'skip'}
    dtype : {'float32', 'float16', 'int8'}
        Of the vectors, see `hcga.using.embedded.quantise`; a Parquet table has float32.

    Raises
    ------
    InputError
        The target cannot be written, an image cannot be decoded, or with 'skip' none can. What stood there stays, and
        what has been embedded is kept beside it for another run.
    """
    from hcga.using.parquet import is_ours, parquet_sink

    kinds: dict[str, tuple[Callable[..., Any], Callable[[Path], bool]]]
    kinds = {".zarr": (partial(zarr_sink, dtype=dtype), _is_store), ".parquet": (parquet_sink, is_ours)}
    require_output(target, *kinds)
    sink, known = kinds[target.suffix]
    if target.exists() and not known(target):
        raise InputError(f"--output {target}: is there and is no store of embeddings; remove it or give another name")
    if target.suffix == ".parquet" and dtype != "float32":
        raise InputError(f"--output {target}: a Parquet table has float32; give a name that ends in .zarr for {dtype}")
    with (
        scratch(target, run_key([], model.digest, model.environment)) as folder,
        sink(target, model, crops) as write,
    ):
        return pour(model, crops, on_bad_image, write, KeptArrays(folder))


def pour(model: Model, crops: Crops, on_bad_image: OnBadImage, write: Sink, kept: KeptArrays) -> Written:
    """Embed crops and hand them on, part after part; parts that a run which died has kept are not embedded again."""
    files = crops.files
    parts = [range(start, min(start + PART, len(files))) for start in range(0, len(files), PART)]
    states = {part: _state([files[place] for place in part]) for part in parts}
    done = {part for part in parts if _is_done(kept.get(part.start), states[part], on_bad_image)}
    left = [place for part in parts if part not in done for place in part]
    batches = model.embed_in_batches([files[place] for place in left], on_bad_image)
    images, before, problems = 0, 0, list[str]()
    for part in parts:
        result = (kept.get(part.start) if part in done else None) or _join(_of(batches, len(part)), left, states[part])
        places = result.told["places"]
        if places and part not in done:
            kept.add(part.start, *result)
        if places:
            write([crops.names[place] for place in places], Embedded(**result.arrays))
        images += len(places)
        before += len(places) if part in done else 0
        problems += result.told["problems"]
    require_some(range(images), problems)
    return Written(images, before, problems)


def _join(batches: Iterable[Batch], places: Sequence[int], state: str) -> Result:
    """What is kept of a part: `places` are those of all images that are embedded, of which the batches count."""
    made = list(batches)
    told = {
        "state": state,
        "places": [places[place] for batch in made for place in batch.places],
        "problems": [problem for batch in made for problem in batch.problems.values()],
    }
    return Result(join([batch.embedded for batch in made]).arrays(), told)


def _of(batches: Iterator[Batch], count: int) -> Iterator[Batch]:
    """The next batches, of so many images."""
    while count > 0:
        batch = next(batches)
        count -= len(batch.places) + len(batch.problems)
        yield batch


def _is_done(result: Result | None, state: str, on_bad_image: OnBadImage) -> bool:
    """Whether what was kept of a part is of the same files, and all of them unless some may be left out."""
    if result is None or result.told["state"] != state:
        return False
    return on_bad_image == "skip" or not result.told["problems"]


def _state(files: Sequence[Path]) -> str:
    """Digest of the files' names, sizes and times."""
    found = [(file, file.stat()) for file in files]
    return digest(*(f"{file} {stat.st_size} {stat.st_mtime_ns}".encode() for file, stat in found))


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
    shapes = _shapes(model)
    length = max(len(name.encode()) for name in names)
    dtypes = dict.fromkeys(NAMES, "float32") | dict.fromkeys(VECTORS, dtype)
    row = sum(shrunk(name, math.prod(shape) * np.dtype(dtypes[name]).itemsize) for name, shape in shapes.items())
    with writing(target, **about) as store:
        need_disk(target, most * (row + length))
        writers = {name: add_array(store, name, (most, *shape), dtypes[name]) for name, shape in shapes.items()}
        writers[PATHS] = add_array(store, PATHS, (most, length), "uint8")
        written = 0

        def write(rows: list[str], embedded: Embedded) -> None:
            nonlocal written
            vectors = {name: quantise(getattr(embedded, name), dtype) for name in VECTORS}
            for name, values in {**embedded.arrays(), **vectors, PATHS: _pack(rows, length)}.items():
                writers[name].append(values)
            written += len(rows)

        yield write
        for writer in writers.values():
            writer.finish(missing=most - written)


def open_gallery(path: Path, model: Model) -> Gallery:
    """Open a zarr store that `hcga embed` has written.

    Raises
    ------
    InputError
        It is none, is damaged, or was made by another model.
    """
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
    return Gallery(store, names, folder_beside(path, store.attrs.get(FOLDER)), [])


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


def _is_store(path: Path) -> bool:
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
