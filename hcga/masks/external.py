"""Part masks made elsewhere, by another parser or by hand, in our own part classes and feature cells."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hcga.errors import InputError
from hcga.images import resize_labels
from hcga.masks.label_images import LabelImage, find_label_images, names_of
from hcga.masks.parsers import UNKNOWN, Meaning, translation
from hcga.masks.parts import STRIDE, UNLABELLED, downsample, foreground
from hcga.masks.repair_files import find_repairs
from hcga.runs.progress import track

NAMED = 3  # of the files that replace no mask
log = logging.getLogger(__name__)


class Translated(NamedTuple):
    """Masks made elsewhere of the training images; UNLABELLED where there is none."""

    external: np.ndarray  # (N, h, w) uint8, by another parser
    repairs: np.ndarray  # (N, h, w) uint8, by hand
    table: pd.DataFrame  # a row an image: dataset, path, pid, external (see `translate_external`), repaired


def translate(
    samples: pd.DataFrame,
    root: Path,
    labels: str | Meaning,
    repairs: Path | None,
    size: tuple[int, int],
    part_classes: int,
) -> Translated:
    """Read all masks made elsewhere of the training images.

    Parameters
    ----------
    samples : DataFrame
        The arranged sample table.
    root : Path
        What another parser has made: a folder or a store, see `hcga.masks.label_images.find_label_images`.
    labels : str or mapping
        What its numbers mean, see `hcga.masks.parsers.translation`.
    repairs : Path or None
        What was made by hand, see `hcga.masks.repair_files.find_repairs`; None to leave it out.
    size : (int, int)
        H and W of the network's input, pixels.
    part_classes : int
        C.

    Raises
    ------
    InputError
        A label image cannot be read, has a number without a meaning, could be of two images, or was made by hand for
        another number of part classes.
    """
    train = samples[samples["split"] == "train"]
    external, states = translate_external(train, root, labels, size, part_classes)
    by_hand = _gather_repairs(train, repairs, size, part_classes)
    repaired = (by_hand != UNLABELLED).any(axis=(1, 2))
    table = train[["dataset", "path", "pid"]].assign(external=states, repaired=repaired)
    counts = table["external"].value_counts()
    states_told = ", ".join(f"{count} {state}" for state, count in counts.items())
    log.info("masks of another parser for %d training images: %s", len(table), states_told)
    log.info("%d masks made by hand", repaired.sum())
    return Translated(external, by_hand, table)


def _gather_repairs(train: pd.DataFrame, folder: Path | None, size: tuple[int, int], part_classes: int) -> np.ndarray:
    """Masks made by hand, (N, h, w) uint8; what else lies in their folder is named in the log."""
    masks = np.full((len(train), size[0] // STRIDE, size[1] // STRIDE), UNLABELLED, np.uint8)
    if folder is None:
        return masks
    found, idle = find_repairs(folder, train, part_classes)
    if idle:
        names = ", ".join(file.relative_to(folder).as_posix() for file in idle[:NAMED])
        log.warning(
            "warning: %s: %d file(s) are no PNG of a training image and replace no mask: %s%s",
            *(folder, len(idle), names, ", ..." if len(idle) > NAMED else ""),
        )
    for row, image in found.items():
        masks[row] = to_cells(image.read(), size)
    return masks


def translate_external(
    train: pd.DataFrame, root: Path, labels: str | Meaning, size: tuple[int, int], part_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Translate another parser's label images.

    Returns
    -------
    masks : (N, h, w) uint8
    states : (N,) object
        `mask`, `no person` (the parser found none: a crop shows one, so the mask says nothing and stays unlabelled), or
        `missing`.
    """
    meaning = translation(labels, part_classes)
    masks = np.full((len(train), size[0] // STRIDE, size[1] // STRIDE), UNLABELLED, np.uint8)
    states = np.full(len(train), "missing", object)
    found, strays = find_label_images(root, train)
    if strays:
        log.info("%s: %d label images are of no training image, such as %s", root, len(strays), strays[0].name)
    if strays and not found:
        tried = " or ".join(names_of(train["dataset"].iloc[0], train["path"].iloc[0]))
        raise InputError(f"{root}: none of its {len(strays)} label images is of a training image; looked for {tried}")

    with ThreadPoolExecutor() as pool:
        read = pool.map(lambda image: _to_parts(image, meaning, size), found.values())
        for row, cells in zip(found, track(read, "masks", len(found), "image"), strict=True):
            person = bool(foreground(cells).any())
            states[row] = "mask" if person else "no person"
            if person:
                masks[row] = cells
    return masks, states


def _to_parts(image: LabelImage, meaning: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    labels = image.read()
    parts = meaning[labels]
    if (parts == UNKNOWN).any():
        known = ", ".join(str(number) for number in np.flatnonzero(meaning != UNKNOWN))
        number = labels[parts == UNKNOWN][0]
        raise InputError(f"{image.file}: label {number}; known are {known}: look at external.labels")
    return to_cells(parts, size)


def to_cells(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring a mask (H', W') uint8 of any size to the network's input, `size` pixels, and that to cells, (h, w)."""
    return downsample(resize_labels(mask, *size)[None])[0]
