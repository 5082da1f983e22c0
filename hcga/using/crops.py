"""Crops of people on one's own disk: which image files are there, and what they are called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hcga.errors import InputError
from hcga.files import is_file, leads_below
from hcga.folders import ENDINGS, require_plain_name, visible
from hcga.links import refuse_leaving, refuse_what_cannot_be_copied

SUFFIXES = (*ENDINGS, ".gif", ".webp")  # of all formats that `hcga.images` reads


class Crops(NamedTuple):
    """Image files."""

    root: Path  # the folder that they have in common; relative if it is below the current one
    names: list[str]  # their paths below it, with /
    others: list[Path]  # files of the folders that are no images

    @property
    def files(self) -> list[Path]:
        """Where they are."""
        return [self.root / name for name in self.names]


def find_crops(named: Sequence[Path]) -> Crops:
    """Find all images below folders, and those that are named themselves.

    Parameters
    ----------
    named : sequence of Path
        Folders and files; at least one.

    Returns
    -------
    Crops
        Sorted by path within a folder; each once.

    Raises
    ------
    InputError
        Something named is not there or no image, a folder has no image, or a name that is no plain text, or a link to
        a folder or to what is outside.
    """
    images: list[Path] = []
    others: list[Path] = []
    for path in named:
        if path.is_dir():
            found, rest = _below(path)
            if not found:
                raise InputError(f"{path}: no images below it; they end in {', '.join(SUFFIXES)}")
            images += found
            others += rest
        elif is_file(path):
            require_plain_name(path, path.name)
            images.append(path)
        else:
            raise InputError(f"{path}: no such file or folder; name images, or a folder of them")
    files = list(dict.fromkeys(_absolute(path) for path in images))
    folders = [_absolute(path) for path in named if path.is_dir()]
    root = Path(os.path.commonpath([*folders, *(file.parent for file in files)]))
    shown = root.relative_to(Path.cwd()) if root.is_relative_to(Path.cwd()) else root
    return Crops(shown, [file.relative_to(root).as_posix() for file in files], others)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  (resolve would follow links)


def _below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images and other files at any depth, in the order of their paths; nothing of stores that lie among them."""
    refuse_what_cannot_be_copied(folder)
    images: list[Path] = []
    others: list[Path] = []
    waiting = [folder]
    while waiting:
        for path in visible(waiting.pop()):
            if path.is_dir():
                waiting += [path] if path.suffix != ".zarr" else []
            else:
                (images if path.suffix.lower() in SUFFIXES else others).append(path)
    return sorted(images), sorted(others)


def locate(folder: Path, names: Sequence[str]) -> list[Path]:
    """Find pictures by the names that a store has for them.

    Raises
    ------
    InputError
        A name leads out of the folder, or is no plain text; or a link leads out of it.
    """
    for name in names:
        if not (leads_below(name) and name.isprintable()):
            raise InputError(f"{name!r}: does not lead to a file below {folder}; `hcga embed` the pictures anew")
    refuse_leaving(folder, names)
    return [folder / name for name in names]
