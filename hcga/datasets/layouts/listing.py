"""What the readers share: listing image files and taking their names apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hcga.errors import InputError, brief
from hcga.files import is_file, leads_below
from hcga.folders import is_image, require_plain_name, visible
from hcga.links import refuse_leaving

LONGEST_LIST = 2**28  # bytes
LARGEST = 10**9  # of identities, cameras, sequences and frames

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
    files = visible(folder)
    for path in files:
        if not (path.is_file() and is_image(path)):
            raise InputError(f"{path}: no image file; {layout} has files such as {example} here: move or remove it")
    if not files:
        raise InputError(f"{folder}: empty; {layout} has files such as {example} here")
    return files


def subfolders(folder: Path, layout: str) -> list[Path]:
    """List the folders below a folder, sorted by name; `InputError` if there are none, or something else."""
    folders = visible(folder) if folder.is_dir() else []
    for path in folders:
        if not path.is_dir():
            raise InputError(f"{path}: no folder; the layout {layout} has one an identity here: move or remove it")
    if not folders:
        raise InputError(f"{folder}: no folders; the layout {layout} has one an identity here")
    return folders


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
    numbers = {key: int(value) for key, value in match.groupdict().items()}
    if max(numbers.values(), default=0) > LARGEST:
        raise InputError(f"{path}: a number beyond {LARGEST:,} in its name; rename it")
    return numbers


def row(split: str, path: Path, root: Path, fields: Mapping[str, int]) -> Row:
    """One row of a sample table; sequence and frame are 0 where the layout has none."""
    place = path.relative_to(root).as_posix()
    require_plain_name(path, place)
    return {
        "split": split,
        "pid": fields["pid"],
        "camid": fields["camid"],
        "sequence": fields.get("sequence", 0),
        "frame": fields.get("frame", 0),
        "path": place,
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


def require_one_identity_a_name(names: Iterable[tuple[str, int]], where: Path, what: str) -> None:
    """Refuse two sources of who is on an image that contradict each other.

    Parameters
    ----------
    names : iterable of (str, int)
        What one source calls the person, and the identity by the other, image by image.
    where : Path
        For the message.
    what : str
        Of the names, for the message: 'folder'.

    Raises
    ------
    InputError
        A name has several identities, or an identity several names.
    """
    pairs = sorted(set(names))
    for place in (0, 1):
        known: dict[str | int, tuple[str, int]] = {}
        for pair in pairs:
            first = known.setdefault(pair[place], pair)
            if first != pair:
                one, other = (f"{what} {name} is identity {pid}" for name, pid in (first, pair))
                raise InputError(f"{where}: {one}, but {other}; they contradict each other: mend one of them")


def read_lines(path: Path, what: str) -> list[str]:
    """Lines of a published list in the root of a data set, without blanks at their ends; empty ones are left out."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; {what}")
    refuse_leaving(path.parent, [path.name])
    if (size := path.stat().st_size) > LONGEST_LIST:
        raise InputError(f"{path}: {size:,} bytes, {LONGEST_LIST:,} are the most; {what}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text in UTF-8 ({error}); {what}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def listed_files(names: Sequence[str], folders: Sequence[Path], listed_in: Path) -> list[Path]:
    """Find the files that a list names, each in the first of some folders that has it.

    Raises
    ------
    InputError
        There is no name, or one leads elsewhere, or to no file.
    """
    found = []
    if not names:
        raise InputError(f"{listed_in}: names no file; take the list from the data set's archive")
    for name in names:
        if not leads_below(name):
            raise InputError(f"{listed_in}: {brief(name)} does not lead to a file below {folders[0]}; mend the list")
        found.append(next((folder / name for folder in folders if is_file(folder / name)), folders[-1] / name))
    missing = [path for path in found if not is_file(path)]
    if missing:
        raise InputError(f"{listed_in}: {len(missing)} listed file(s) are missing, the first is {missing[0]}")
    return found
