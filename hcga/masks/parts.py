"""What part masks are called, coloured and measured by. Label images are plain numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr

from hcga.stores import read_rows

UNLABELLED = 255  # a cell of which a mask says nothing
STRIDE = 4  # image pixels along a side of a cell: the stride of the shared feature map
BLOCK = 256  # images worked on at once
# Okabe and Ito's colours, told apart by colour-blind readers too; background, then parts from top to bottom.
PALETTE = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115),
    (204, 121, 167), (240, 228, 66), (213, 94, 0), (0, 114, 178),
)  # fmt: skip


def part_names(part_classes: int) -> list[str]:
    """Names of the part classes, background first: the body's for C = 4, else part1, part2, ..."""
    if part_classes == 4:
        return ["background", "head", "upper_body", "lower_body"]
    return ["background", *(f"part{part}" for part in range(1, part_classes))]


def mask_attributes(part_classes: int) -> dict[str, Any]:
    """What the attributes of a store of masks say of them, so that other programs can read and draw it."""
    names = part_names(part_classes)
    return {
        "class_names": names,
        "palette": [list(part_colour(part)) for part in range(part_classes)],
        "part_classes": part_classes,
        "stride": STRIDE,
        "unlabelled": UNLABELLED,
    }


def part_colour(part: int) -> tuple[int, int, int]:
    """RGB of a part class; parts beyond the palette begin again after the background."""
    return PALETTE[(part - 1) % (len(PALETTE) - 1) + 1] if part else PALETTE[0]


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Share of cells with the same label, in per cent of the cells that both label.

    Parameters
    ----------
    first, second : (N, h, w) uint8

    Returns
    -------
    float
        nan where no cell is labelled in both.
    """
    labelled = (first != UNLABELLED) & (second != UNLABELLED)
    return 100 * float(np.mean((first == second)[labelled])) if labelled.any() else float("nan")


def foreground(masks: np.ndarray) -> np.ndarray:
    """Which cells belong to a part: (N, h, w) uint8 -> (N, h, w) bool."""
    return (masks > 0) & (masks != UNLABELLED)


def foreground_share(masks: np.ndarray) -> float:
    """Share of the labelled cells that belong to a part, per cent; nan where none is labelled."""
    labelled = int((masks != UNLABELLED).sum())
    return 100 * int(foreground(masks).sum()) / labelled if labelled else float("nan")


def upsample(masks: np.ndarray) -> np.ndarray:
    """Masks in feature cells to image pixels, each cell a block of `STRIDE` x `STRIDE`.

    Parameters
    ----------
    masks : (N, h, w) uint8

    Returns
    -------
    (N, H, W) uint8
    """
    return masks.repeat(STRIDE, axis=1).repeat(STRIDE, axis=2)


def downsample(labels: np.ndarray) -> np.ndarray:
    """Labels in image pixels to feature cells: what most pixels of a cell have; of ties the lowest.

    Parameters
    ----------
    labels : (N, H, W) uint8
        H and W multiples of `STRIDE`.

    Returns
    -------
    (N, h, w) uint8
    """
    images, height, width = labels.shape
    blocks = labels.reshape(images, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    known = np.unique(labels)
    most = np.zeros((images, height // STRIDE, width // STRIDE), np.uint8)
    result = np.full_like(most, known[0])
    for label in known:
        count = (blocks == label).sum(axis=(2, 4), dtype=np.uint8)
        result[count > most] = label
        np.maximum(most, count, out=most)
    return result


def confusion(truth: zarr.Array[Any] | np.ndarray, masks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Count pixels by true and assigned part.

    Parameters
    ----------
    truth : (N, H, W) uint8
        In image pixels.
    masks : (n, h, w) uint8
        In feature cells.
    rows : (n,) int64
        Row of the truth for each mask.

    Returns
    -------
    (255, 255) int64
        Entry (i, j): pixels of true part i in cells of part j. UNLABELLED pixels and cells count nowhere.
    """
    counts = np.zeros(256 * 256, np.int64)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        pixels = np.asarray(read_rows(truth, rows[block]), np.int64)
        counts += np.bincount((pixels * 256 + upsample(masks[block])).ravel(), minlength=256 * 256)
    return counts.reshape(256, 256)[:UNLABELLED, :UNLABELLED]


def intersection_over_union(counts: np.ndarray, part_classes: int, true_classes: int) -> dict[str, float]:
    """Figures of a confusion matrix, in per cent, pixels of all images together.

    Parameters
    ----------
    counts : (L, L) int64
        From `confusion`.
    part_classes : int
        C of the masks.
    true_classes : int
        C of the truth.

    Returns
    -------
    dict
        `foreground`: of all parts against background. Where truth and masks have equally many parts, also one
        entry a part, and `parts`: their mean. nan where neither truth nor mask has a pixel.
    """

    def ratio(first: slice, second: slice) -> float:
        both = int(counts[first, second].sum())
        union = int(counts[first].sum() + counts[:, second].sum()) - both
        return 100 * both / union if union else float("nan")

    figures = {"foreground": ratio(slice(1, None), slice(1, None))}
    if part_classes == true_classes:
        parts = {
            name: ratio(slice(part, part + 1), slice(part, part + 1))
            for part, name in enumerate(part_names(part_classes))
            if part
        }
        figures |= {"parts": float(np.mean(list(parts.values()))), **parts}
    return figures
