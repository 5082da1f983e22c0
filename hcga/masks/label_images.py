"""Label images of images: where they are looked for, in a folder or a store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.errors import InputError
from hcga.files import leads_below
from hcga.folders import BYSTANDERS, HIDDEN, require_plain_name
from hcga.images import load_label_image
from hcga.links import refuse_leaving, refuse_leaving_below
from hcga.masks.parts import UNLABELLED
from hcga.stores import array, open_store, read_rows


class LabelImage(NamedTuple):
    """A label image that has not been read yet."""

    file: Path  # for messages
    read: Callable[[], np.ndarray]  # (H, W) uint8


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
        A label image could be of several of the images, a link leads out of the folder, or a store lacks its parts.
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


def holds_label_images(root: Path) -> bool:
    """Whether a folder has a label image of anything, or is a store; also if it has yet to be made."""
    return not root.is_dir() or (root / "zarr.json").is_file() or any(root.rglob("*.[pP][nN][gG]"))


def names_of(dataset: str, path: str) -> list[str]:
    """Under which names the label image of an image is looked for, the first found counts."""
    image = PurePosixPath(path)
    file = image.with_name(f"{image.stem.removesuffix(image.suffix)}.png")  # .jpg, .jpg.jpg -> .png
    return [f"{dataset}/{file}", str(file), file.name]


def other_files(root: Path) -> list[Path]:
    """List the files of a folder that are no PNG, but for what systems and editors leave there."""
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and file.suffix.lower() != ".png"]
    for file in files:
        require_plain_name(file, file.relative_to(root).as_posix())
    return [
        file
        for file in files
        if not (_hidden(file.relative_to(root)) or file.name.endswith("~") or file.name.lower() in BYSTANDERS)
    ]


def refuse_other_numbers(file: Path, mask: np.ndarray, part_classes: int) -> None:
    """Refuse numbers of a mask (H, W) uint8 that are no part class; the message names its file."""
    wrong = mask[(mask >= part_classes) & (mask != UNLABELLED)]
    if len(wrong):
        raise InputError(
            f"{file}: number {wrong[0]}; with part_classes {part_classes} parts are 0 to {part_classes - 1}, and "
            f"{UNLABELLED} says nothing: paint it in those, or take it away"
        )


def _in_folder(root: Path) -> dict[str, LabelImage]:
    found: dict[str, LabelImage] = {}
    for file in sorted(root.rglob("*")):
        place = file.relative_to(root)
        if file.suffix.lower() != ".png" or _hidden(place):
            continue
        require_plain_name(file, place.as_posix())
        name = place.with_suffix(".png").as_posix()
        if name in found:
            raise InputError(f"{file}: beside {found[name].file}, of the same name; delete one of them")
        found[name] = LabelImage(file, partial(load_label_image, file))
    refuse_leaving(root, (image.file.relative_to(root).as_posix() for image in found.values()))
    return found


def _hidden(place: Path) -> bool:
    """Whether a file, or a folder on the way to it, was left behind by a system or an editor."""
    return any(part.startswith(HIDDEN) for part in place.parts)


def _in_store(root: Path) -> dict[str, LabelImage]:
    refuse_leaving_below(root)
    store = open_store(root, whole=False)
    labels, paths = array(store, "labels", whole=False), store.attrs.get("paths")
    if not (isinstance(paths, list) and len(paths) == labels.shape[0] and all(map(_is_name, paths))):
        raise InputError(f"{root}: wanted are labels (N, H, W) uint8 and an attribute paths with N paths of images")
    names = [PurePosixPath(path).with_suffix(".png") for path in paths]
    return {str(name): LabelImage(root / name, partial(_read_row, labels, row)) for row, name in enumerate(names)}


def _read_row(labels: zarr.Array[Any], row: int) -> np.ndarray:
    return np.asarray(read_rows(labels, np.array([row]))[0])


def _is_name(path: object) -> bool:
    return leads_below(path) and str(path).isprintable()
