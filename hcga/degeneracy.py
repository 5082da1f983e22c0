"""Whether the masks of a training set can teach anything."""

from __future__ import annotations

import numpy as np

from hcga.masks import UNLABELLED, foreground, part_names

COMMON = 0.3  # share of the images; occluders and crops hide a part in some


def count_lacking(masks: np.ndarray, part_classes: int) -> dict[str, int]:
    """Count the images whose mask lacks something.

    Parameters
    ----------
    masks : (N, h, w) uint8
        Images in which nothing is labelled do not count.
    part_classes : int
        C.

    Returns
    -------
    dict of str to int
        foreground: images that are all background; and for each part those that have others, but no cell of it.
    """
    labelled = masks[(masks != UNLABELLED).any(axis=(1, 2))]
    some = labelled[foreground(labelled).any(axis=(1, 2))]
    parts = {name: some == part for part, name in enumerate(part_names(part_classes)) if part}
    lacking = {name: int((~cells.any(axis=(1, 2))).sum()) for name, cells in parts.items()}
    return {"foreground": len(labelled) - len(some), **lacking}


def describe_degeneracy(masks: np.ndarray, part_classes: int) -> list[str]:
    """Say in words what more than `COMMON` of the masks lack; nothing of sound masks. Parameters: `count_lacking`."""
    total = int((masks != UNLABELLED).any(axis=(1, 2)).sum())
    return [
        f"{count:,} of {total:,} masks ({100 * count / total:.0f} %) have no {name.replace('_', ' ')}"
        for name, count in count_lacking(masks, part_classes).items()
        if count > COMMON * total
    ]
