"""From catalogues of data sets to the sample table and the stores that all stages share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel

from hcga.datasets.catalogue import digest_if_there, join_tables, read_catalogues
from hcga.datasets.check import format_counts, make_samples, report_findings
from hcga.datasets.truth import PartLabels, truth_file
from hcga.errors import InputError
from hcga.files import code_digest, digest, note_beside, read_note, write_note
from hcga.images import load_image, load_labels, resize_labels
from hcga.masks.parts import UNLABELLED, foreground
from hcga.params import Dataset, Image
from hcga.runs.progress import Progress
from hcga.samples import count_splits, describe_image_set
from hcga.store_writing import add_array, draft_store, writing

log = logging.getLogger(__name__)
BLOCK = 256  # images decoded at once
T = TypeVar("T")


def join_samples(catalogues: Mapping[str, Path], validation: float | None) -> pd.DataFrame:
    """Join the catalogues of all data sets into one sample table.

    Parameters
    ----------
    catalogues : mapping of str to Path
        Name of the data set to its CSV.
    validation : float or None
        Share of the training identities to hold out in place of the test identities.

    Returns
    -------
    DataFrame
        The arranged sample table.

    Raises
    ------
    InputError
        An error that `make_samples` finds; see also `read_catalogues`.
    """
    samples, findings = make_samples(join_tables(read_catalogues(catalogues)), validation)
    report_findings(findings, "figures would be worthless")
    assert samples is not None, "an error says why"
    log.info("%s", format_counts(count_splits(samples)))
    return samples


def leave_out(samples: pd.DataFrame, bad: pd.DataFrame) -> pd.DataFrame:
    """Take images out of an arranged sample table; `InputError` if what is left makes no sense any more."""
    if bad.empty:
        return samples
    left, findings = make_samples(samples.drop(index=bad.index), None)
    report_findings(findings, f"without the {len(bad)} images that cannot be decoded figures would be worthless")
    assert left is not None, "an error says why"
    log.info("%s", format_counts(count_splits(left)))
    return left


def preparation_key(samples: pd.DataFrame, catalogues: Mapping[str, Path], size: Image, skip: bool) -> str:
    """Key of `resumable` for the store of images: what decides its bytes."""
    listed = [samples.to_csv(index=False).encode(), *(file.read_bytes() for file in catalogues.values())]
    versions = [metadata.version(name) for name in ("pillow", "zarr", "numcodecs")]
    settings = (code_digest(), *versions, size.model_dump_json(), str(skip))
    return digest(*(text.encode() for text in settings), *listed)


class Reached(BaseModel):
    """How far the writing of a store has come; stands in its draft until all is written."""

    done: int = 0  # rows of the sample table that are in whole shards, or were left out
    written: int = 0  # rows of the store
    problems: dict[int, str] = {}  # of the rows left out


def write_images(
    samples: pd.DataFrame, datasets: Mapping[str, Dataset], size: Image, skip: bool, draft: Path
) -> pd.DataFrame:
    """Decode and resize all images into one store; go on from what a run that died has left.

    Parameters
    ----------
    samples : DataFrame
        The arranged sample table with all that the catalogues say.
    datasets : mapping of str to Dataset
    size : Image
    skip : bool
        Leave out what cannot be decoded, instead of stopping there.
    draft : Path
        Store to write, from `resumable`: `images` (N, H, W, 3) uint8, rows as in the table without those left out.

    Returns
    -------
    DataFrame
        dataset, path, problem of the images left out; its index are their rows in `samples`.

    Raises
    ------
    InputError
        An image cannot be decoded and `skip` is false, or it is not the file that was catalogued.
    """
    files = [Path(datasets[name].root) / file for name, file in zip(samples["dataset"], samples["path"], strict=True)]
    note = note_beside(draft)
    shape = (len(files), size.height, size.width, 3)
    progress = Reached.model_validate_json(read_note(note) or "{}")
    store = draft_store(draft, anew=not progress.written, channels="RGB")
    writer = add_array(store, "images", shape, "uint8", progress.written)
    if writer.sound() < progress.written:
        progress, store = Reached(), draft_store(draft, anew=True, channels="RGB")
        writer = add_array(store, "images", shape, "uint8")
    if progress.done:
        log.info("going on after %d of %d images", progress.done, len(files))
    problems = dict(progress.problems)

    def load(row: int) -> np.ndarray | None:
        _require_catalogued(files[row], samples["digest"][row])
        try:
            return load_image(files[row], size.height, size.width)
        except InputError as error:
            if not skip:
                raise
            problems[row] = str(error)
            return None

    waiting: list[int] = []  # decoded rows that are in no shard yet
    for rows, block in _in_blocks(load, progress.done, len(files), "images"):
        decoded = {row: image for row, image in zip(rows, block, strict=True) if image is not None}
        before = writer.written
        if decoded:
            writer.append(np.stack(list(decoded.values())))
        waiting += decoded
        if writer.written > before:
            done = waiting[writer.written - before - 1] + 1
            del waiting[: writer.written - before]
            known = {row: problem for row, problem in sorted(problems.items()) if row < done}
            write_note(note, Reached(done=done, written=writer.written, problems=known).model_dump_json())
    writer.finish(missing=len(problems))
    store.update_attributes(describe_image_set(samples.drop(index=list(problems)), size))
    write_note(note, Reached(done=len(files), written=writer.written, problems=problems).model_dump_json())
    for row in sorted(problems):
        log.warning("warning: left out: %s", problems[row])
    left_out = samples.loc[sorted(problems), ["dataset", "path"]]
    return left_out.assign(problem=[problems[row] for row in sorted(problems)])


def write_truth(samples: pd.DataFrame, datasets: Mapping[str, Dataset], size: Image, path: Path) -> None:
    """Gather true part masks into one store.

    Label images say 0 for background and 1, 2, ... for parts from top to bottom; where they lie, `truth_file` says.
    Images without one are unlabelled, and images of an identity in which no part is labelled: they show a person, so a
    parser has overlooked it.

    Parameters
    ----------
    samples, datasets, size
        As in `write_images`.
    path : Path
        Store to write: `truth` (N, H, W) uint8, and as attribute part_classes one more than the highest label there is;
        without arrays if no image has truth.

    Raises
    ------
    InputError
        A label image cannot be read or is not the file that was catalogued, or see `PartLabels.part_classes`.
    """
    with writing(path, **describe_image_set(samples, size)) as store:
        if not any(dataset.truth for dataset in datasets.values()):
            return
        files = [
            truth_file(Path(datasets[name].root), str(datasets[name].truth), file) if datasets[name].truth else None
            for name, file in zip(samples["dataset"], samples["path"], strict=True)
        ]
        if not any(file and file.is_file() for file in files):
            return
        nothing = np.full((size.height, size.width), UNLABELLED, np.uint8)
        seen = PartLabels()

        def load(row: int) -> np.ndarray:
            file = files[row]
            if not file or not file.is_file():
                return nothing
            _require_catalogued(file, samples["truth_digest"][row])
            shown = Path(datasets[samples["dataset"][row]].root) / samples["path"][row]
            labels = load_labels(file, shown)
            seen.add(file, labels)
            if samples["pid"][row] > 0 and not foreground(labels).any():
                return nothing
            return resize_labels(labels, size.height, size.width)

        writer = add_array(store, "truth", (len(files), size.height, size.width), "uint8")
        for _, block in _in_blocks(load, 0, len(files), "true masks"):
            writer.append(np.stack(block))
        writer.finish()
        part_classes = seen.part_classes()
        store.update_attributes({"part_classes": part_classes})
        log.info("true masks of %d part classes", part_classes)


def _require_catalogued(file: Path, noted: str) -> None:
    """Refuse a file that is another one than was checked; nor does a disk that errs now and then get through."""
    if digest_if_there(file) != noted:
        raise InputError(f"{file}: has changed since stage catalogue listed it; `dvc repro` again, which lists it anew")


def _in_blocks(load: Callable[[int], T], first: int, count: int, what: str) -> Iterator[tuple[range, list[T]]]:
    """Load rows in parallel, a block at a time, in order."""
    with (
        ThreadPoolExecutor() as pool,
        Progress(what, count, "image", first) as progress,
    ):
        for start in range(first, count, BLOCK):
            rows = range(start, min(start + BLOCK, count))
            yield rows, list(pool.map(load, rows))
            progress.update(len(rows))
