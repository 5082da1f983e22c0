"""Part masks made elsewhere, by another parser or by hand, in our own part classes and feature cells."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.datasets.layouts.listing import HIDDEN
from hcga.errors import InputError
from hcga.images import load_label_image, resize_labels
from hcga.masks import STRIDE, UNLABELLED, downsample, foreground
from hcga.parsers import UNKNOWN, Meaning, translation
from hcga.progress import track
from hcga.stores import array, open_store

log = logging.getLogger(__name__)


class LabelImage(NamedTuple):
    """A label image that has not been read yet."""

    file: Path  # for messages
    read: Callable[[], np.ndarray]  # (H, W) uint8


class Translated(NamedTuple):
    """Masks made elsewhere of the training images; UNLABELLED where there is none."""

    external: np.ndarray  # (N, h, w) uint8, by another parser
    repairs: np.ndarray  # (N, h, w) uint8, by hand
    table: pd.DataFrame  # a row an image: dataset, path, pid, external (see `translate_external`), repaired


def translate(
    samples: pd.DataFrame, root: Path, labels: str | Meaning, repairs: Path, size: tuple[int, int], part_classes: int
) -> Translated:
    """Read all masks made elsewhere of the training images.

    Parameters
    ----------
    samples : DataFrame
        The arranged sample table.
    root : Path
        What another parser has made: a folder or a store, see `find_label_images`.
    labels : str or mapping
        What its numbers mean, see `hcga.parsers.translation`.
    repairs : Path
        What was made by hand, in our own numbers: a folder as well.
    size : (int, int)
        H and W of the network's input, pixels.
    part_classes : int
        C.

    Raises
    ------
    InputError
        A label image cannot be read, has a number without a meaning, or could be of two images.
    """
    train = samples[samples["split"] == "train"]
    external, states = translate_external(train, root, labels, size, part_classes)
    by_hand = np.full_like(external, UNLABELLED)
    for row, image in find_label_images(repairs, train)[0].items():
        by_hand[row] = _to_parts(image, translation("parts", part_classes), size)
    repaired = (by_hand != UNLABELLED).any(axis=(1, 2))
    table = train[["dataset", "path", "pid"]].assign(external=states, repaired=repaired)
    counts = table["external"].value_counts()
    log.info("%d training images: %s", len(table), ", ".join(f"{count} {state}" for state, count in counts.items()))
    log.info("%d masks made by hand", repaired.sum())
    return Translated(external, by_hand, table)


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


def find_label_images(root: Path, samples: pd.DataFrame) -> tuple[dict[int, LabelImage], list[Path]]:
    """Find the label images of images.

    Parameters
    ----------
    root : Path
        A folder of PNG files, each under the path of its image below the root of the data set, with the data set's name
        before it or not, or under the image's name alone. Or a zarr store with an array `labels` (N, H, W) uint8, whose
        attribute `paths` lists the N images in the same way.
    samples : DataFrame
        Columns dataset, path.

    Returns
    -------
    found : dict
        Row of `samples`, by position, to its label image.
    strays : list of Path
        Label images of no image.

    Raises
    ------
    InputError
        A label image could be of several of the images, or a store lacks its parts.
    """
    available = _in_store(root) if (root / "zarr.json").is_file() else _in_folder(root)
    owner: dict[str, int] = {}
    found: dict[int, LabelImage] = {}
    for row, (dataset, path) in enumerate(zip(samples["dataset"], samples["path"], strict=True)):
        name = next((name for name in names_of(dataset, path) if name in available), None)
        if name is None:
            continue
        if name in owner:
            both = " or of ".join(samples["path"].iloc[[owner[name], row]])
            raise InputError(f"{root / name}: is it of {both}? Put it under the whole path of its image")
        owner[name], found[row] = row, available[name]
    return found, [image.file for name, image in available.items() if name not in owner]


def names_of(dataset: str, path: str) -> list[str]:
    """Under which names the label image of an image is looked for, the first found counts."""
    image = PurePosixPath(path)
    file = image.with_name(f"{image.stem.removesuffix(image.suffix)}.png")  # .jpg, .jpg.jpg -> .png
    return [f"{dataset}/{file}", str(file), file.name]


def _in_folder(root: Path) -> dict[str, LabelImage]:
    found: dict[str, LabelImage] = {}
    for file in sorted(root.rglob("*")):
        place = file.relative_to(root)
        if file.suffix.lower() != ".png" or any(part.startswith(HIDDEN) for part in place.parts):
            continue
        name = place.with_suffix(".png").as_posix()
        if name in found:
            raise InputError(f"{file}: beside {found[name].file}, of the same name; delete one of them")
        found[name] = LabelImage(file, partial(load_label_image, file))
    return found


def _in_store(root: Path) -> dict[str, LabelImage]:
    store = open_store(root)
    labels, paths = array(store, "labels", whole=False), store.attrs.get("paths")
    if not isinstance(paths, list) or labels.ndim != 3 or labels.dtype != np.uint8 or len(paths) != labels.shape[0]:
        raise InputError(f"{root}: wanted are labels (N, H, W) uint8 and an attribute paths with N entries")
    names = [PurePosixPath(str(path)).with_suffix(".png") for path in paths]
    return {str(name): LabelImage(root / name, partial(_read_row, labels, row)) for row, name in enumerate(names)}


def _read_row(labels: zarr.Array[Any], row: int) -> np.ndarray:
    return np.asarray(labels[row])
