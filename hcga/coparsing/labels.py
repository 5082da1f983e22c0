"""CPLR: centre-prior label reassignment (III-B, Fig. 5). Labels of an identity become background and parts."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hcga.masks.parts import UNLABELLED


def reassign_labels(
    labels: np.ndarray,
    part_classes: int,
    background: Literal["authors", "perimeter"] = "authors",
    split: Literal["structure", "equal"] = "structure",
    borders: tuple[float, ...] | None = None,
) -> np.ndarray:
    """Translate the surviving decoder labels of one identity into part masks.

    Parameters
    ----------
    labels : (N, h, w) integer
        Decoder labels of all images of the identity, in feature cells.
    part_classes : int
        C, background included.
    background : {'authors', 'perimeter'}
        See `background_labels`.
    split : {'structure', 'equal'}
        `structure`: a foreground label belongs to part 1 if its mean row is below lo + borders[0] * s, to part 2
        below lo + borders[1] * s, and so on, else to the last; lo, hi are the smallest and largest mean row and
        s = (hi - lo) / (C - 1). `equal`: the labels, ordered by mean row, cut into C - 1 groups of equal count
        (the first groups one shorter where it does not come out even).
    borders : tuple of float, optional
        Of `structure`, in units of s; see `default_borders`.

    Returns
    -------
    (N, h, w) uint8
        0 background, 1..C-1 from top to bottom. A label whose mean row ties with another's keeps the order of
        label numbers. Without foreground labels all is background; a single one becomes the last part under
        `structure` (as in the authors' code) and the last part under `equal`.
    """
    present = np.unique(labels)
    foreground = present[~np.isin(present, background_labels(labels, background))]
    rows = np.broadcast_to(np.arange(labels.shape[1])[None, :, None], labels.shape)
    mean_rows = np.array([rows[labels == label].mean() for label in foreground])
    parts = _split_by_structure if split == "structure" else _split_equally
    table = np.zeros(int(present.max()) + 1, np.uint8)
    if len(foreground):
        chosen = default_borders(part_classes) if borders is None else borders
        table[foreground] = parts(mean_rows, part_classes, chosen)
    return table[labels]


def default_borders(part_classes: int) -> tuple[float, ...]:
    """Borders of `structure`: the authors' (0.5, 2) for C = 4, and further parts of one unit each for more.

    That is half a unit for the head and one and a half for the next part; the paper does not say what Fig. 8 has.
    """
    return (0.5, *(float(part) for part in range(2, part_classes - 1)))[: part_classes - 2]


def background_labels(labels: np.ndarray, rule: Literal["authors", "perimeter"]) -> np.ndarray:
    """Labels that fill the border of the images.

    Parameters
    ----------
    labels : (N, h, w) integer
    rule : {'authors', 'perimeter'}
        `authors`: more than N * w / 2 cells in rows 0, 3, h-4 and h-1 together, or more than N * h / 3 cells in
        columns 0 and w-1 together. `perimeter` (Algorithm 1): more than half of the image perimeter, on average
        over the images.

    Returns
    -------
    (L,) integer
        Ascending.
    """
    count, height, width = labels.shape
    columns = labels[:, :, [0, -1]]
    if rule == "authors":
        in_rows = _frequency(labels[:, [0, 3, height - 4, height - 1]])
        filled = (in_rows > count * width / 2) | (_frequency(columns) > count * height / 3)
    else:
        perimeter = _frequency(labels[:, [0, -1]]) + _frequency(columns[:, 1:-1])
        filled = perimeter > count * (2 * height + 2 * width - 4) / 2
    return np.flatnonzero(filled)


def _frequency(values: np.ndarray) -> np.ndarray:
    return np.bincount(values.ravel(), minlength=UNLABELLED + 1)


def _split_by_structure(mean_rows: np.ndarray, part_classes: int, borders: tuple[float, ...]) -> np.ndarray:
    low, high = mean_rows.min(), mean_rows.max()
    unit = (high - low) / (part_classes - 1)
    return 1 + np.searchsorted(low + unit * np.asarray(borders), mean_rows, side="right")


def _split_equally(mean_rows: np.ndarray, part_classes: int, _: tuple[float, ...]) -> np.ndarray:
    ranks = np.empty(len(mean_rows), int)
    ranks[np.argsort(mean_rows, kind="stable")] = np.arange(len(mean_rows))
    edges = np.arange(1, part_classes - 1) * len(mean_rows) // (part_classes - 1)
    return 1 + np.searchsorted(edges, ranks, side="right")
