"""Masks repaired by hand as files: PNG in a folder, which say for how many part classes they were drawn."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL.PngImagePlugin import PngInfo

from hcga.errors import InputError
from hcga.images import opened
from hcga.masks.label_images import LabelImage, find_label_images, other_files, refuse_other_numbers
from hcga.masks.pictures import palette_image

PART_CLASSES = "part_classes"  # text in a PNG
GUIDE = "README.md"  # says what the folder is for


def find_repairs(folder: Path, samples: pd.DataFrame, part_classes: int) -> tuple[dict[int, LabelImage], list[Path]]:
    """Find the masks repaired by hand.

    Parameters
    ----------
    folder : Path
    samples : DataFrame
        Columns dataset, path.
    part_classes : int
        C. To read a mask that was drawn for another number of them, or has a number beyond, is an `InputError`: its
        numbers mean other parts.

    Returns
    -------
    found : dict
        Row of `samples`, by position, to its repair.
    idle : list of Path
        Files that are no repair of any of the images.

    Raises
    ------
    InputError
        A file could be of several of the images.
    """
    found, strays = find_label_images(folder, samples)
    repairs = {row: LabelImage(image.file, partial(_read, image, part_classes)) for row, image in found.items()}
    return repairs, sorted(strays + [file for file in other_files(folder) if file != folder / GUIDE])


def write_mask(file: Path, mask: np.ndarray, part_classes: int) -> None:
    """Write a mask (H, W) uint8 as a PNG of palette colours, which says for how many part classes it was drawn."""
    text = PngInfo()
    text.add_text(PART_CLASSES, str(part_classes))
    palette_image(mask, part_classes).save(file, "PNG", pnginfo=text)


def _read(image: LabelImage, part_classes: int) -> np.ndarray:
    with opened(image.file) as picture:
        drawn_for = picture.info.get(PART_CLASSES, str(part_classes))  # an editor may have dropped it
    if drawn_for != str(part_classes):
        raise InputError(
            f"{image.file}: drawn for part_classes {drawn_for}, not {part_classes}, so its numbers mean other parts; "
            "set part_classes back in params.yaml, or take the file away"
        )
    mask = image.read()
    refuse_other_numbers(image.file, mask, part_classes)
    return mask
