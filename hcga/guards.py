"""What is looked after while a file is written: nobody else writes it, and a full disk is named."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from hcga.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, one's share of it, what one file may take
LOCKLESS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # of file systems that know no locks

log = logging.getLogger(__name__)


class NoSpaceError(OSError):
    """A file cannot be written for want of space; the message names it and what to do."""


@contextmanager
def naming_full_disks(path: Path) -> Iterator[None]:
    """Raise `NoSpaceError` for `path` where the block fails for want of space."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoSpaceError(
            f"{path}: no space left to write it ({os.strerror(error.errno)}); make room, or give the checkout's disk "
            "more, and run again: `dvc repro` goes on from there"
        ) from error


@contextmanager
def alone(path: Path, what: str = "") -> Iterator[None]:
    """Be the only process that writes `path` in the block, or something else for it, such as scratch.

    Raises
    ------
    InputError
        Another process is at it.
    """
    lock = path.with_name(f".{path.name}{what}.lock.part")
    handle = _locked(lock, path)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: who waits for it finds that it is another file
        os.close(handle)


def _locked(lock: Path, path: Path) -> int:
    """Open and lock a file, anew if its last holder has removed it in between."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        if not locks(handle, lock.parent):
            os.close(handle)
            raise InputError(f"{path}: another process writes it at this moment; wait for its end")
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        os.close(handle)


def locks(handle: int, folder: Path, waits: bool = False) -> bool:
    """Lock an open file of a folder, and return whether that is done.

    Parameters
    ----------
    handle : int
    folder : Path
        For the log, which says so where the file system knows no locks; then nothing is locked, and this is true.
    waits : bool
        Whether to wait for another process that has it; if not, this is false.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise
        _warn_of(folder.resolve())
    return True


@lru_cache
def _warn_of(folder: Path) -> None:
    log.warning("%s: its file system knows no locks; let no two commands that write there run at once", folder)
