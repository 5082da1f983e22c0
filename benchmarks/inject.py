"""Disks that are full, and power cuts, for the process that calls `arm`: Python tells it of files that it opens."""

from __future__ import annotations

import atexit
import builtins
import errno
import io
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def arm(kind: str, setting: str) -> None:
    """Prepare a fault at the writes below data/: files opened to write, renamed, and folders made.

    Parameters
    ----------
    kind, setting : str
        `count` FILE writes into a file how many there were; `full` K: the disk is full from the K-th on; `filling` K:
        as before, but if the K-th opens a file, that is there, and what is written into it finds no place; `cut` K: the
        power goes before the K-th; `torn` K: the power goes at the K-th, and if that is a rename the name has reached
        the disk and half of the data has not; `size` N: no file may grow beyond N bytes, whoever writes it.
    """
    if kind == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(setting), int(setting)))
        return
    count, filling, ours = 0, False, f"{Path.cwd()}/data/"
    if kind == "count":
        atexit.register(lambda: Path(setting).write_text(str(count), "utf-8"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count, filling
        if not _writes(event, arguments) or not os.path.abspath(arguments[0]).startswith(ours):  # noqa: PTH100
            return
        count += 1
        filling = kind == "filling" and count == int(setting) and event == "open"
        if kind in ("full", "filling") and count >= int(setting) and not filling:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), arguments[0])
        if kind in ("cut", "torn") and count == int(setting):
            if kind == "torn" and event == "os.rename":
                _halve(Path(arguments[0]))
                os.rename(arguments[0], arguments[1])  # noqa: PTH104
            os.kill(os.getpid(), signal.SIGKILL)

    def opening(*arguments: Any, **options: Any) -> Any:
        nonlocal filling
        filling = False  # until the hook is told of this file
        file = opens(*arguments, **options)
        if filling:
            os.dup2(os.open("/dev/full", os.O_WRONLY), file.fileno())
        return file

    opens = io.open
    builtins.open = io.open = opening  # of which the latter is what pathlib calls
    sys.addaudithook(hook)


def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        return isinstance(arguments[0], (str, os.PathLike)) and bool(arguments[2] & WRITING)
    return event in ("os.rename", "os.mkdir")


def _halve(path: Path) -> None:
    """Cut a file, or the largest of a folder, to half of its length."""
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    if files:
        largest = max(files, key=lambda file: file.stat().st_size)
        os.truncate(largest, largest.stat().st_size // 2)
