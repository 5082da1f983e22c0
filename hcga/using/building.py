"""From crops to a gallery, a zarr store or a Parquet table of embeddings; it goes on where a run before died."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hcga.errors import InputError
from hcga.files import digest, run_key, scratch
from hcga.kept_arrays import KeptArrays, Result
from hcga.network.inference import BATCH
from hcga.outputs import require_output
from hcga.resources import need_disk
from hcga.using.crops import Crops
from hcga.using.embedded import Dtype, Embedded, join
from hcga.using.model import Batch, Model, OnBadImage, require_some
from hcga.using.parquet import is_ours, parquet_sink
from hcga.using.store import Sink, is_store, row_bytes, zarr_sink

PART = 64 * BATCH  # images whose embeddings are kept at once


class Written(NamedTuple):
    """What became of files."""

    images: int  # that were embedded
    kept: int  # of them by a run before that died
    problems: list[str]  # of images left out


def build_gallery(
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
    kinds: dict[str, tuple[Callable[..., Any], Callable[[Path], bool]]]
    kinds = {".zarr": (partial(zarr_sink, dtype=dtype), is_store), ".parquet": (parquet_sink, is_ours)}
    require_output(target, *kinds)
    sink, known = kinds[target.suffix]
    if target.exists() and not known(target):
        raise InputError(f"--output {target}: is there and is no store of embeddings; remove it or give another name")
    if target.suffix == ".parquet" and dtype != "float32":
        raise InputError(f"--output {target}: a Parquet table has float32; give a name that ends in .zarr for {dtype}")
    with scratch(target, run_key([], model.digest, model.environment, dtype)) as folder:
        packed, kept = (len(crops.names) * row_bytes(model, dtype, packed) for packed in (True, False))
        there = sum(file.stat().st_size for file in folder.iterdir())  # of a run that died
        need_disk(target, packed + max(0.0, kept - there))  # what is kept goes when the store is whole
        with sink(target, model, crops) as write:
            return write_embeddings(model, crops, on_bad_image, write, KeptArrays(folder), dtype)


def write_embeddings(
    model: Model, crops: Crops, on_bad_image: OnBadImage, write: Sink, kept: KeptArrays, dtype: Dtype = "float32"
) -> Written:
    """Embed crops and hand them on, part after part; parts that a run which died has kept are not embedded again."""
    files = crops.files
    parts = [range(start, min(start + PART, len(files))) for start in range(0, len(files), PART)]
    states = {part: _state([files[place] for place in part]) for part in parts}
    done = {part for part in parts if _is_done(kept.get(part.start), states[part], on_bad_image)}
    left = [place for part in parts if part not in done for place in part]
    batches = model.embed_in_batches([files[place] for place in left], on_bad_image)
    images, before, problems = 0, 0, list[str]()
    for part in parts:
        result = (kept.get(part.start) if part in done else None) or _join(
            _of(batches, len(part)), left, states[part], dtype
        )
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


def _join(batches: Iterable[Batch], places: Sequence[int], state: str, dtype: Dtype) -> Result:
    """What is kept of a part: `places` are those of all images that are embedded, of which the batches count."""
    made = list(batches)
    told = {
        "state": state,
        "places": [places[place] for batch in made for place in batch.places],
        "problems": [problem for batch in made for problem in batch.problems.values()],
    }
    return Result(join([batch.embedded for batch in made]).quantised(dtype).arrays(), told)


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
