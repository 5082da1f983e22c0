"""What the readers share: listing image files and taking their names apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from hcga.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
BYSTANDERS = {"Thumbs.db", "desktop.ini"}  # Windows leaves them in archives, macOS names that begin with a dot

Row = dict[str, object]


def image_files(folder: Path, layout: str, example: str) -> list[Path]:
    """List the image files of one folder, sorted by name.

    Parameters
    ----------
    folder : Path
    layout : str
        For messages.
    example : str
        A file name of the layout, for messages.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        The folder is missing or empty, or holds something that is no image file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; the layout {layout} has it, with files such as {example}")
    files = sorted(path for path in folder.iterdir() if path.name not in BYSTANDERS and not path.name.startswith("."))
    for path in files:
        if path.is_dir() or path.suffix.lower() not in ENDINGS:
            raise InputError(f"{path}: no image file; {layout} has files such as {example} here: move or remove it")
    if not files:
        raise InputError(f"{folder}: empty; {layout} has files such as {example} here")
    return files


def subfolders(folder: Path, layout: str) -> list[Path]:
    """List the folders below a folder, sorted by name; `InputError` if there are none."""
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder}: no folders; the layout {layout} has one an identity here")
    return found


def parse(path: Path, pattern: re.Pattern[str], layout: str, example: str) -> dict[str, int]:
    """Take a file name apart.

    Parameters
    ----------
    path : Path
    pattern : Pattern
        Named groups of digits, matched against the whole name.
    layout, example : str
        As in `image_files`.

    Returns
    -------
    dict of str to int

    Raises
    ------
    InputError
        The name is outside the layout.
    """
    match = pattern.fullmatch(path.name)
    if not match:
        raise InputError(f"{path}: name outside the layout {layout}, such as {example}; rename or remove it")
    return {key: int(value) for key, value in match.groupdict().items()}


def row(split: str, path: Path, root: Path, fields: Mapping[str, int]) -> Row:
    """One row of a sample table; sequence and frame are 0 where the layout has none."""
    return {
        "split": split,
        "pid": fields["pid"],
        "camid": fields["camid"],
        "sequence": fields.get("sequence", 0),
        "frame": fields.get("frame", 0),
        "path": path.relative_to(root).as_posix(),
    }


def read_folders(
    root: Path, folders: Mapping[str, str], pattern: re.Pattern[str], layout: str, example: str
) -> list[Row]:
    """Rows of a layout with one flat folder a split whose file names say everything."""
    return [
        row(split, path, root, parse(path, pattern, layout, example))
        for split, folder in folders.items()
        for path in image_files(root / folder, layout, example)
    ]


def read_lines(path: Path, what: str) -> list[str]:
    """Lines of a published list, without blanks at their ends; empty ones are left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {what}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text in UTF-8 ({error}); {what}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def require_files(paths: Iterable[Path], listed_in: Path) -> None:
    """Refuse a list that names files which are not there."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"{listed_in}: {len(missing)} listed file(s) are missing, the first is {missing[0]}")
