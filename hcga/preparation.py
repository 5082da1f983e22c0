"""From catalogues of data sets to the sample table and the stores that all stages share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from hcga.datasets.catalogue import join_tables, read_catalogues, truth_file
from hcga.datasets.check import count_splits, examine_table, format_counts
from hcga.errors import InputError
from hcga.images import load_image, load_labels
from hcga.masks import UNLABELLED
from hcga.params import Dataset, Image
from hcga.samples import arrange, hold_out
from hcga.stores import add_array, writing

log = logging.getLogger(__name__)
BLOCK = 256  # images decoded at once
HOLD_OUT_SEED = 0  # fixed, so that runs with different seeds share their validation identities
T = TypeVar("T")


def join_samples(catalogues: Mapping[str, Path], validation: float | None) -> pd.DataFrame:
    """Join the catalogues of all data sets into one sample table and look for what is wrong with it.

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
        An error of `examine_table`; see also `read_catalogues`, `arrange` and `hold_out`.
    """
    table = join_tables(read_catalogues(catalogues))
    samples = hold_out(table, validation, HOLD_OUT_SEED) if validation else arrange(table)
    findings = examine_table(table)
    errors = [finding.text for finding in findings if finding.severity == "error"]
    if errors:
        raise InputError("\n".join(["figures would be worthless:", *(f"  {text}" for text in errors)]))
    for finding in findings:
        log.warning("warning: %s", finding.text)
    log.info("%s", format_counts(count_splits(samples)))
    return samples


def write_images(
    samples: pd.DataFrame, datasets: Mapping[str, Dataset], size: Image, skip: bool, path: Path
) -> pd.DataFrame:
    """Decode and resize all images into one store.

    Parameters
    ----------
    samples : DataFrame
        The arranged sample table.
    datasets : mapping of str to Dataset
    size : Image
    skip : bool
        Leave out what cannot be decoded, instead of stopping there.
    path : Path
        Store to write: `images` (N, H, W, 3) uint8, rows as in the table without those that were skipped.

    Returns
    -------
    DataFrame
        dataset, path, problem of the skipped images; its index are their rows in `samples`.

    Raises
    ------
    InputError
        An image cannot be decoded and `skip` is false; nothing is left at `path`.
    """
    files = [Path(datasets[name].root) / file for name, file in zip(samples["dataset"], samples["path"], strict=True)]
    problems: dict[int, str] = {}

    def load(row: int) -> np.ndarray | None:
        try:
            return load_image(files[row], size.height, size.width)
        except InputError as error:
            if not skip:
                raise
            problems[row] = str(error)
            return None

    with writing(path, channels="RGB") as store:
        writer = add_array(store, "images", (len(files), size.height, size.width, 3), "uint8")
        for block in _in_blocks(load, len(files), "images"):
            decoded = [image for image in block if image is not None]
            if decoded:
                writer.append(np.stack(decoded))
        writer.finish(missing=len(problems))
    rows = sorted(problems)
    for row in rows:
        log.warning("warning: left out: %s", problems[row])
    return samples.loc[rows, ["dataset", "path"]].assign(problem=[problems[row] for row in rows])


def write_truth(samples: pd.DataFrame, datasets: Mapping[str, Dataset], size: Image, path: Path) -> None:
    """Gather true part masks into one store.

    Label images say 0 for background and 1, 2, ... for parts from top to bottom; where they lie, `truth_file` says.
    Images without one are unlabelled.

    Parameters
    ----------
    samples, datasets, size
        As in `write_images`.
    path : Path
        Store to write: `truth` (N, H, W) uint8, and as attribute part_classes one more than the highest label there is;
        without arrays if no data set has truth.

    Raises
    ------
    InputError
        A label image cannot be read.
    """
    with writing(path) as store:
        if not any(dataset.truth for dataset in datasets.values()):
            return
        files = [
            truth_file(Path(datasets[name].root), str(datasets[name].truth), file) if datasets[name].truth else None
            for name, file in zip(samples["dataset"], samples["path"], strict=True)
        ]
        nothing = np.full((size.height, size.width), UNLABELLED, np.uint8)
        highest = {0}

        def load(row: int) -> np.ndarray:
            file = files[row]
            labels = load_labels(file, size.height, size.width) if file and file.is_file() else nothing
            highest.add(int(labels[labels != UNLABELLED].max(initial=0)))
            return labels

        writer = add_array(store, "truth", (len(files), size.height, size.width), "uint8")
        for block in _in_blocks(load, len(files), "true masks"):
            writer.append(np.stack(block))
        writer.finish()
        store.attrs["part_classes"] = part_classes = 1 + max(highest)
        log.info("true masks of %d part classes", part_classes)


def _in_blocks(load: Callable[[int], T], count: int, what: str) -> Iterator[list[T]]:
    """Load rows in parallel, a block at a time, in order."""
    with ThreadPoolExecutor() as pool, tqdm(total=count, desc=what, unit="image", disable=None) as progress:
        for start in range(0, count, BLOCK):
            yield list(pool.map(load, range(start, min(start + BLOCK, count))))
            progress.update(min(BLOCK, count - start))
