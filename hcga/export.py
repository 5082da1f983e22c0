"""A round's masks in formats of other programs, at the resolution of the images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hcga.errors import InputError
from hcga.files import fresh
from hcga.masks import part_names, upsample
from hcga.pictures import palette_image
from hcga.progress import track
from hcga.samples import identities, read_samples, rows_of_identity
from hcga.stores import array, open_store, read_rows
from hcga.workspace import Workspace

FORMATS = ("png", "npz", "coco")
BLOCK = 256  # images at a time


def export_masks(workspace: Workspace, round_name: str, kind: str, pids: list[int], target: Path) -> int:
    """Write the masks of training images; 0 is background, 255 says nothing of a pixel.

    Parameters
    ----------
    workspace : Workspace
        Or a revision.
    round_name : str
    kind : {'png', 'npz', 'coco'}
        png: a folder with one image of palette colours for each image, under the image's own path below the name of its
        data set. npz: one file of numpy's with `masks` (N, H, W) uint8, `pids`, `datasets`, `paths` and `class_names`.
        coco: one JSON file in COCO's format, an annotation for each part of each image, as uncompressed run lengths.
    pids : list of int
        Identities; empty for all.
    target : Path
        File or folder to write; it must not exist.

    Returns
    -------
    int
        Number of images.

    Raises
    ------
    InputError
        The target exists or its folder does not, the round or an identity does not exist, or an image's path leads out
        of the data set.
    """
    if target.exists() or not target.parent.is_dir():
        raise InputError(f"{target}: name a file or folder that does not exist yet, in a folder that does")
    store = open_store(workspace.path("coparse", "masks", round_name))
    samples = read_samples(workspace.path("prepare", "samples"))
    rows = np.concatenate([rows_of_identity(samples, pid) for pid in pids or identities(samples)])
    chosen = samples.iloc[rows]
    masks = (
        upsample(read_rows(array(store, "masks"), rows[start : start + BLOCK])) for start in range(0, len(rows), BLOCK)
    )
    each = track((mask for block in masks for mask in block), f"exporting {kind}", len(rows), "image")
    part_classes = int(str(store.attrs["part_classes"]))
    with fresh(target) as draft:
        {"png": _write_png, "npz": _write_npz, "coco": _write_coco}[kind](draft, chosen, each, part_classes)
    return len(rows)


def _write_png(draft: Path, samples: pd.DataFrame, masks: Iterator[np.ndarray], part_classes: int) -> None:
    draft.mkdir()
    for sample, mask in zip(samples.itertuples(), masks, strict=True):
        file = (draft / str(sample.dataset) / str(sample.path)).with_suffix(".png")
        if not file.resolve().is_relative_to(draft.resolve()):
            raise InputError(f"{sample.path}: leads out of the data set; a mask cannot stand under this name")
        if file.exists():
            raise InputError(f"{sample.path}: another image differs only in its ending; export as npz or coco")
        file.parent.mkdir(parents=True, exist_ok=True)
        palette_image(mask, part_classes).save(file)


def _write_npz(draft: Path, samples: pd.DataFrame, masks: Iterator[np.ndarray], part_classes: int) -> None:
    with draft.open("wb") as file:
        np.savez_compressed(
            file,
            masks=np.stack(list(masks)),
            pids=samples["pid"].to_numpy(),
            datasets=samples["dataset"].to_numpy(str),
            paths=samples["path"].to_numpy(str),
            class_names=np.array(part_names(part_classes)),
        )


def _write_coco(draft: Path, samples: pd.DataFrame, masks: Iterator[np.ndarray], part_classes: int) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (sample, mask) in enumerate(zip(samples.itertuples(), masks, strict=True), 1):
        height, width = mask.shape
        name = f"{sample.dataset}/{sample.path}"
        images.append({"id": number, "file_name": name, "height": height, "width": width, "pid": int(str(sample.pid))})
        for part in range(1, part_classes):
            if (mask == part).any():
                found = {"id": len(annotations) + 1, "image_id": number, "category_id": part, "iscrowd": 1}
                annotations.append(found | describe_region(mask == part))
    categories = [{"id": part, "name": name} for part, name in enumerate(part_names(part_classes)) if part]
    content = {"images": images, "categories": categories, "annotations": annotations}
    draft.write_text(json.dumps(content), encoding="utf-8")


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
