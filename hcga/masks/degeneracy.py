"""Whether the masks of a training set can teach anything."""

from __future__ import annotations

import numpy as np

from hcga.masks.parts import UNLABELLED, foreground, part_names

COMMON = 0.3  # share of the images; occluders and crops hide a part in some


def count_lacking(masks: np.ndarray, part_classes: int) -> dict[str, int]:
    """Count the images whose mask lacks something.

    Parameters
    ----------
    masks : (N, h, w) uint8
        Images in which nothing is labelled have no mask and do not count.
    part_classes : int
        C.

    Returns
    -------
    dict of str to int
        foreground: images that are all background; background: those that are all foreground; and for each part those
        that have others, but no cell of it.
    """
    labelled = masks[_has_mask(masks)]
    some = labelled[foreground(labelled).any(axis=(1, 2))]
    classes = {name: some == part for part, name in enumerate(part_names(part_classes))}
    lacking = {name: int((~cells.any(axis=(1, 2))).sum()) for name, cells in classes.items()}
    return {"foreground": len(labelled) - len(some), **lacking}


def turned_inside_out(masks: np.ndarray) -> np.ndarray:
    """Which masks (N, h, w) uint8 have more foreground at the sides than in the middle, (N,) bool.

    A crop has its person in the middle, so person and background may be exchanged there, as a source that goes by
    strong activation can do; or somebody stands at the edge. Sides and middle are half of the columns each.
    """
    width = masks.shape[2]
    columns = np.arange(width)
    middle = (columns >= width // 4) & (columns < width - width // 4)
    inside, labelled = foreground(masks), masks != UNLABELLED

    def share(chosen: np.ndarray) -> np.ndarray:
        cells, known = (of[:, :, chosen].sum(axis=(1, 2)) for of in (inside, labelled))
        return np.divide(cells, known, out=np.zeros(len(masks)), where=known > 0)

    return share(~middle) > share(middle)


def describe_degeneracy(masks: np.ndarray, part_classes: int) -> list[str]:
    """Say in words what more than `COMMON` of the masks lack; nothing of sound masks. Parameters: `count_lacking`.

    Also of how many images there is no mask, unless there is none at all, as with `coparse.source: none`.
    """
    there = _has_mask(masks)
    total, images = int(there.sum()), len(masks)
    told = [
        f"{_share(count, total)} masks have no {name.replace('_', ' ')}"
        for name, count in count_lacking(masks, part_classes).items()
        if count > COMMON * total
    ]
    if (turned := int(turned_inside_out(masks).sum())) > COMMON * total:
        told.append(f"{_share(turned, total)} masks have more foreground at the sides than in the middle")
    without = images - total
    return [f"{_share(without, images)} images have no mask", *told] if COMMON * images < without < images else told


def _has_mask(masks: np.ndarray) -> np.ndarray:
    return np.asarray((masks != UNLABELLED).any(axis=(1, 2)))


def _share(count: int, total: int) -> str:
    return f"{count:,} of {total:,} ({100 * count / total:.0f} %)"
