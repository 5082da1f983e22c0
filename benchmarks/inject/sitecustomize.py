"""Faults inside a stage, for benchmarks/faults.py: Python runs this first where its folder stands on PYTHONPATH.

The variable FAULT says which, and of which stage; a process that has read it takes it away from its children.

    STAGE count FILE   write into FILE how many files and folders below data/ it opens to write, makes and renames
    STAGE full K       the disk is full from the K-th of them on
    STAGE size N       no file may grow beyond N bytes, whoever writes it
    STAGE cut K        the power goes at the K-th of them
    STAGE torn K       the power goes at the K-th of them; of a rename the name reached the disk, half of the data not
"""

from __future__ import annotations

import atexit
import errno
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
count = 0
busy = False


def arm(kind: str, setting: str) -> None:
    """Prepare a fault."""
    if kind == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(setting), int(setting)))
        return
    if kind == "count":
        atexit.register(lambda: Path(setting).write_text(str(count), "utf-8"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        global count, busy
        if busy or not _writes(event, arguments):
            return
        busy = True
        count += 1
        if kind == "full" and count >= int(setting):
            busy = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), arguments[0])
        if kind in ("cut", "torn") and count == int(setting):
            if kind == "torn" and event == "os.rename":
                _halve(Path(arguments[0]))
                os.rename(arguments[0], arguments[1])  # noqa: PTH104
            os.kill(os.getpid(), signal.SIGKILL)
        busy = False

    sys.addaudithook(hook)


def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        path, _, flags = arguments
        return isinstance(path, (str, os.PathLike)) and bool(flags & WRITING) and _in_data(os.fspath(path))
    return event in ("os.rename", "os.mkdir") and _in_data(os.fspath(arguments[0]))


def _in_data(path: Any) -> bool:
    return isinstance(path, str) and os.path.abspath(path).startswith(f"{os.getcwd()}/data/")  # noqa: PTH100, PTH109


def _halve(path: Path) -> None:
    """Cut the largest file of a folder, or a file, to half of its length."""
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    if files:
        largest = max(files, key=lambda file: file.stat().st_size)
        os.truncate(largest, largest.stat().st_size // 2)


stage, _, fault = os.environ.get("FAULT", "").partition(" ")
if stage and os.environ.get("DVC_STAGE") == stage:
    del os.environ["FAULT"]
    arm(*fault.split(" ", 1))
