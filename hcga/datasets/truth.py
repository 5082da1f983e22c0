"""True part masks: label images that lie beside the images of a data set, for measuring only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hcga.errors import InputError
from hcga.folders import HIDDEN, is_image
from hcga.masks.parts import UNLABELLED


def truth_file(root: Path, truth: str, path: str) -> Path:
    """Path of an image's label image: the folder `truth` mirrors the others and has a PNG of the same name."""
    file = Path(path)
    return root / truth / file.parent / f"{file.stem.removesuffix(file.suffix)}.png"  # .jpg, .jpg.jpg -> .png


def refuse_strays(root: Path, truth: str, table: pd.DataFrame) -> None:
    """Refuse label images that belong to no image, or to several.

    Parameters
    ----------
    root : Path
    truth : str
        Folder of label images below the root.
    table : DataFrame
        With column path, all splits of the data set.
    """
    owner: dict[Path, str] = {}
    for path in table["path"].unique():
        file = truth_file(root, truth, path)
        if owner.setdefault(file, path) != path and file.is_file():
            raise InputError(f"{file}: is it of {owner[file]} or of {path}? Rename one of the two")
    for file in sorted((root / truth).rglob("*")):
        hidden = any(part.startswith(HIDDEN) for part in file.relative_to(root / truth).parts)
        if is_image(file) and file not in owner and not hidden:
            raise InputError(f"{file}: label image of no image; its name is the image's, ending in .png: rename it")


class PartLabels:
    """Labels of a data set's true masks, and in which file each was seen first."""

    def __init__(self) -> None:
        self._seen_in: dict[int, Path] = {}

    def add(self, file: Path, labels: np.ndarray) -> None:
        """Note the labels of one file, integers of any shape."""
        for label in np.unique(labels[labels != UNLABELLED]).tolist():
            self._seen_in.setdefault(label, file)

    def part_classes(self) -> int:
        """One more than the highest label; `InputError` if a label between is missing, or there are no parts at all."""
        highest = max(self._seen_in, default=0)
        missing = sorted(set(range(1, highest)) - set(self._seen_in))
        rule = f"parts are numbered 1, 2, 3, ... from head to feet, {UNLABELLED} is not labelled"
        if missing:
            file = self._seen_in[highest]
            raise InputError(f"{file}: label {highest}, but no image has label {missing[0]}; {rule}")
        if not highest:
            raise InputError(f"truth: no label image has a part; {rule}")
        return highest + 1
