"""Links in a data set, or a folder of masks: they lead to files in it, so that no other file gets into a report.

The root itself may be a link, and so may files that DVC keeps: with `cache.type symlink` they lead into its cache.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from hcga.errors import InputError

CACHED = re.compile(r".*/files/md5/[0-9a-f]{2}/[0-9a-f]{30}")  # how DVC calls what is in a cache, wherever that is


def refuse_leaving(root: Path, paths: Iterable[str]) -> None:
    """Refuse files, by their paths below a root, that links lead out of it."""
    home = root.resolve()
    seen = set()
    for file in (root / path for path in paths):
        if file.parent not in seen:
            seen.add(file.parent)
            _refuse_outside(home, file.parent)
        if file.is_symlink():
            _refuse_outside(home, file)


def refuse_leaving_below(root: Path) -> None:
    """Do as `refuse_leaving` with all that is in a folder, such as a store from outside."""
    refuse_leaving(root, (file.relative_to(root).as_posix() for file in sorted(root.rglob("*"))))


def refuse_what_cannot_be_copied(root: Path) -> None:
    """Refuse links out of a data set, links to folders, of which a copy may have no end, and what is no file."""
    home = root.resolve()
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if path.is_symlink() and path.exists():
                _refuse_outside(home, path)
            if (path.is_symlink() and path.is_dir()) or not (path.is_dir() or path.is_file() or path.is_symlink()):
                raise InputError(f"{path}: neither a file nor a folder of its own; remove it, or put the files there")


def _refuse_outside(home: Path, path: Path) -> None:
    real = path.resolve()
    if not (real.is_relative_to(home) or CACHED.fullmatch(real.as_posix())):
        raise InputError(f"{path}: a link out of {home}, to {real}; put the files themselves there")
