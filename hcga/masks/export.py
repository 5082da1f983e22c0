"""A round's masks in formats of other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.artifacts import open_artifact
from hcga.errors import InputError
from hcga.files import fresh
from hcga.images import resize_labels
from hcga.masks.export_note import ExportNote
from hcga.masks.label_images import LabelImage, names_of
from hcga.masks.parts import STRIDE, part_names
from hcga.masks.repair_files import find_repairs, write_mask
from hcga.originals import image_files, own_size
from hcga.runs.progress import track
from hcga.runs.revisions import Revision
from hcga.runs.workspace import Workspace
from hcga.samples import identities, read_samples_of, rows_of_identity
from hcga.stores import array, attribute, read_rows

BLOCK = 256  # images at a time


class Exported(NamedTuple):
    """What was written."""

    masks: int
    repaired: int  # how many of them are repairs by hand
    missing: list[str]  # image files that are not there, whose masks have the network's size
    part_classes: int


class Content(NamedTuple):
    """What is to be written."""

    samples: pd.DataFrame
    files: list[str]  # of the images, from the checkout
    masks: Iterator[np.ndarray]  # (H, W) uint8 each
    repaired: list[bool]  # which of them are repairs by hand
    part_classes: int
    network: tuple[int, int]  # size of its input, pixels


def export_masks(workspace: Workspace, round_name: str, kind: str, pids: list[int], target: Path) -> Exported:
    """Write the masks of training images; 0 is background, 255 says nothing of a pixel.

    Parameters
    ----------
    workspace : Workspace
        Or a revision.
    round_name : str
    kind : {'png', 'npz', 'coco'}
        png: a folder with one image of palette colours for each image, of its size, under its path below the name of
        its data set, and the note that `hcga.masks.repairs.import_masks` wants. Of an image repaired by hand it is the
        repair, but in a revision. npz: one file of numpy's with `masks` (N, H, W) uint8 at the network's size,
        `pids`, `datasets`, `paths` and `class_names`. coco: one JSON file in COCO's format, an annotation for each part
        of each image, as uncompressed run lengths, at the size of the image.
    pids : list of int
        Identities; empty for all.
    target : Path
        File or folder to write; it must not exist.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        The target exists or its folder does not, the round or an identity does not exist, an image file or a repair
        cannot be read, or a repair was drawn for other part classes.
    """
    if target.exists() or not target.parent.is_dir():
        raise InputError(f"{target}: name a file or folder that does not exist yet, in a folder that does")
    store = open_artifact(workspace, "coparse", "masks", round_name)
    samples = read_samples_of(workspace.path("prepare", "samples"), store)
    rows_of = identities(samples)
    rows = np.concatenate([rows_of_identity(rows_of, pid) for pid in dict.fromkeys(pids) or rows_of])
    chosen, part_classes = samples.iloc[rows], attribute(store, "part_classes", int)
    cells = array(store, "masks")
    network = (cells.shape[1] * STRIDE, cells.shape[2] * STRIDE)
    files = image_files(workspace, chosen)
    sizes = [None if kind == "npz" else own_size(workspace.checkout / file) for file in files]
    repairs = _repairs(workspace, samples, part_classes) if kind == "png" else {}
    masks = (
        resize_labels(repairs[row].read() if row in repairs else mask, *(size or network))
        for row, mask, size in zip(rows, _each(cells, rows), sizes, strict=True)
    )
    each = track(masks, f"exporting {kind}", len(rows), "image")
    content = Content(chosen, files, each, [row in repairs for row in rows], part_classes, network)
    with fresh(target) as draft:
        {"png": _write_png, "npz": _write_npz, "coco": _write_coco}[kind](draft, content)
    missing = [file for file, size in zip(files, sizes, strict=True) if size is None and kind != "npz"]
    return Exported(len(rows), sum(content.repaired), missing, part_classes)


def _each(masks: zarr.Array[Any], rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), BLOCK):
        yield from read_rows(masks, rows[start : start + BLOCK])


def _repairs(workspace: Workspace, samples: pd.DataFrame, part_classes: int) -> dict[int, LabelImage]:
    """Repairs by row, if they are used; none in a revision, whose masks are what they were."""
    if isinstance(workspace, Revision) or not workspace.params.external.repairs:
        return {}
    train = samples[samples["split"] == "train"]
    return find_repairs(workspace.path("translate", "repairs"), train, part_classes)[0]


def _write_png(draft: Path, content: Content) -> None:
    draft.mkdir()
    note = ExportNote(part_classes=content.part_classes, height=content.network[0], width=content.network[1])
    for sample, mask, repair in zip(content.samples.itertuples(), content.masks, content.repaired, strict=True):
        name = names_of(str(sample.dataset), str(sample.path))[0]
        file = draft / name
        if file.exists():
            raise InputError(f"{sample.path}: another image differs only in its ending; export as npz or coco")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_mask(file, mask, content.part_classes)
        note.add(name, mask, repair)
    note.write(draft)


def _write_npz(draft: Path, content: Content) -> None:
    with draft.open("wb") as file:
        np.savez_compressed(
            file,
            masks=np.stack(list(content.masks)),
            pids=content.samples["pid"].to_numpy(),
            datasets=content.samples["dataset"].to_numpy(str),
            paths=content.samples["path"].to_numpy(str),
            class_names=np.array(part_names(content.part_classes)),
        )


def _write_coco(draft: Path, content: Content) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    pids = content.samples["pid"].tolist()
    for number, (file, pid, mask) in enumerate(zip(content.files, pids, content.masks, strict=True), 1):
        height, width = mask.shape
        images.append({"id": number, "file_name": file, "height": height, "width": width, "pid": pid})
        for part in range(1, content.part_classes):
            if (mask == part).any():
                found = {"id": len(annotations) + 1, "image_id": number, "category_id": part, "iscrowd": 1}
                annotations.append(found | describe_region(mask == part))
    categories = [{"id": part, "name": name} for part, name in enumerate(part_names(content.part_classes)) if part]
    document = {"images": images, "categories": categories, "annotations": annotations}
    draft.write_text(json.dumps(document), encoding="utf-8")


def describe_region(region: np.ndarray) -> dict[str, Any]:
    """COCO's segmentation, area and bounding box of a region.

    Parameters
    ----------
    region : (H, W) bool
        Not empty.

    Returns
    -------
    dict
        segmentation: run lengths column by column, the first of pixels outside; bbox: left, top, width, height, pixels.
    """
    flat = region.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate([[0] if not flat[0] else [0, 0], changes, [flat.size]])
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    return {
        "segmentation": {"size": list(region.shape), "counts": np.diff(ends).tolist()},
        "area": int(region.sum()),
        "bbox": [int(value) for value in box],
    }
