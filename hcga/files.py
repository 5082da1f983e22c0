"""Files and folders that appear only when they are whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; what is there replaces `path` only if the block ends well.

    Parameters
    ----------
    path : Path
        File or folder to come. What stands there stays until the block has ended without an exception.

    Yields
    ------
    Path
        A path in the same folder that does not exist yet; its name is stable, so a dead run's remains are
        removed by the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    _remove(draft)
    try:
        yield draft
        if draft.is_dir() or path.is_dir():  # a file is replaced in one step, a folder cannot be
            _remove(path)
        draft.replace(path)
    finally:
        _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
