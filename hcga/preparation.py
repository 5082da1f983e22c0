"""From a data set on disk to the sample table and the stores that all stages share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from hcga.datasets.readers import READERS
from hcga.errors import InputError
from hcga.images import load_image, load_labels
from hcga.masks import UNLABELLED
from hcga.params import Dataset, Image
from hcga.samples import SPLITS, arrange, hold_out
from hcga.stores import RowWriter, add_array, writing

log = logging.getLogger(__name__)
BLOCK = 256  # images decoded at once
HOLD_OUT_SEED = 0  # fixed, so that runs with different seeds share their validation identities


def list_samples(dataset: Dataset) -> pd.DataFrame:
    """List a data set and check its layout.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    DataFrame
        The arranged sample table.

    Raises
    ------
    InputError
        See the reader, `arrange` and `hold_out`.
    """
    samples = arrange(READERS[dataset.name](Path(dataset.root)))
    if dataset.validation:
        samples = hold_out(samples, dataset.validation, HOLD_OUT_SEED)
    for split in SPLITS:
        rows = samples[samples["split"] == split]
        log.info("%s: %d images, %d identities, %d cameras", split, len(rows), *rows[["pid", "camid"]].nunique())
    return samples


def write_images(samples: pd.DataFrame, dataset: Dataset, size: Image, path: Path) -> None:
    """Decode and resize all images into one store.

    Parameters
    ----------
    samples : DataFrame
        The arranged sample table.
    dataset : Dataset
    size : Image
    path : Path
        Store to write: `images` (N, H, W, 3) uint8, rows as in the table.

    Raises
    ------
    InputError
        A file is no image or is truncated; nothing is left at `path`.
    """
    files = [Path(dataset.root) / file for file in samples["path"]]
    with writing(path, channels="RGB") as store:
        writer = add_array(store, "images", (len(files), size.height, size.width, 3), "uint8")
        _decode(files, lambda file: load_image(file, size.height, size.width), writer, "images")


def write_truth(samples: pd.DataFrame, dataset: Dataset, size: Image, path: Path) -> None:
    """Gather true part masks into one store.

    `dataset.truth` names a folder below the root that mirrors its folders and holds label images of the same names as
    PNG: 0 background and 1, 2, ... parts from top to bottom. Images without one are unlabelled.

    Parameters
    ----------
    samples, dataset, size
        As in `write_images`.
    path : Path
        Store to write: `truth` (N, H, W) uint8, and as attribute part_classes one more than the highest label there is;
        without arrays if `dataset.truth` is null.

    Raises
    ------
    InputError
        The folder holds no label image of any sample, or one cannot be read.
    """
    with writing(path) as store:
        if dataset.truth is None:
            return
        folder = Path(dataset.root) / dataset.truth
        files = [folder / Path(file).parent / f"{Path(file).name.split('.')[0]}.png" for file in samples["path"]]
        found = sum(file.is_file() for file in files)
        if not found:
            raise InputError(f"dataset.truth: {folder} holds no label image such as {files[0]}; set it to null")
        nothing = np.full((size.height, size.width), UNLABELLED, np.uint8)
        highest = {0}

        def load(file: Path) -> np.ndarray:
            labels = load_labels(file, size.height, size.width) if file.is_file() else nothing
            highest.add(int(labels[labels != UNLABELLED].max(initial=0)))
            return labels

        writer = add_array(store, "truth", (len(files), size.height, size.width), "uint8")
        _decode(files, load, writer, "true masks")
        store.attrs["part_classes"] = part_classes = 1 + max(highest)
        log.info("true masks: %d of %d images have one; %d part classes", found, len(files), part_classes)


def _decode(files: list[Path], load: Callable[[Path], np.ndarray], writer: RowWriter, what: str) -> None:
    with ThreadPoolExecutor() as pool, tqdm(total=len(files), desc=what, unit="image", disable=None) as progress:
        for start in range(0, len(files), BLOCK):
            block = list(pool.map(load, files[start : start + BLOCK]))
            writer.append(np.stack(block))
            progress.update(len(block))
    writer.finish()
