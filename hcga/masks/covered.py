"""What masks say where occluders are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import zarr

from hcga.masks.parts import BLOCK, UNLABELLED, foreground
from hcga.occluders import BOX, Occlusion
from hcga.stores import read_rows


def share_inside(masks: zarr.Array[Any] | np.ndarray, boxes: pd.DataFrame) -> float:
    """Share of the labelled cells inside occluders that masks call foreground.

    A box also holds what is around an occluder that is no rectangle, maybe the person: even the truth need not have 0.

    Parameters
    ----------
    masks : (N, h, w) uint8
        Read a few images at a time.
    boxes : DataFrame
        Rows of `Occlusion.boxes`; a cell is inside if its centre is.

    Returns
    -------
    float
        Per cent; nan where no labelled cell is inside.
    """
    covered, place = np.unique(boxes["row"].to_numpy(np.int64), return_inverse=True)
    called = labelled = 0
    for start in range(0, len(covered), BLOCK):
        block = read_rows(masks, covered[start : start + BLOCK])
        inside = _inside(block.shape, boxes[BOX], place - start) & (block != UNLABELLED)
        labelled += int(inside.sum())
        called += int(foreground(block)[inside].sum())
    return 100 * called / labelled if labelled else float("nan")


def parts_covered(
    maps: zarr.Array[Any] | np.ndarray, samples: pd.DataFrame, occlusion: Occlusion, part_classes: int
) -> np.ndarray:
    """Say which parts lie behind an occluder, by half or more of where they are in whole images.

    Parameters
    ----------
    maps : (N, h, w) uint8
        Part classes, in cells or pixels; read a few images at a time. Best the truth, which no run changes.
    samples : DataFrame
        With column pid, N rows.
    occlusion : Occlusion
        Of the N images.
    part_classes : int
        C.

    Returns
    -------
    (N, C - 1) bool
        Of each cell counts how many whole images of identities have the part there. Nothing is covered of a part that
        none has, nor in images without an occluder.
    """
    parts = np.arange(1, part_classes)
    whole = np.flatnonzero((samples["pid"] > 0).to_numpy() & occlusion.known & ~occlusion.occluded)
    places = np.zeros((part_classes - 1, *maps.shape[1:]))
    for start in range(0, len(whole), BLOCK):
        places += (read_rows(maps, whole[start : start + BLOCK])[:, None] == parts[:, None, None]).sum(0)
    total, covered = places.sum((1, 2)), np.zeros((len(samples), part_classes - 1), bool)
    rows, place = np.unique(occlusion.boxes["row"].to_numpy(np.int64), return_inverse=True)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        inside = _inside((len(block), *maps.shape[1:]), occlusion.boxes[BOX], place - start)
        behind = np.einsum("nhw,phw->np", inside, places)
        covered[block] = (behind >= total / 2) & (total > 0)
    return covered


def _inside(shape: tuple[int, ...], boxes: pd.DataFrame, place: np.ndarray) -> np.ndarray:
    """Which cells of n images are inside boxes, (n, h, w) bool; `place` is each box's image, if one of them."""
    images, height, width = shape
    down, across = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    inside = np.zeros(shape, bool)
    for image, (left, top, right, bottom) in zip(place, boxes.itertuples(index=False, name=None), strict=True):
        if 0 <= image < images:
            rows, columns = (down > top) & (down < bottom), (across > left) & (across < right)
            inside[image] |= rows[:, None] & columns
    return inside
