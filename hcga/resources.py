"""Whether there is disk and memory for what a stage is about to do, and what to say when something has run out."""

from __future__ import annotations

import errno
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

from hcga.errors import InputError

GB, MB = 1e9, 1e6
LEFT = {"features": 0.5, "images": 0.9} | dict.fromkeys(("image", "foreground", "parts"), 0.95)  # shares left by zstd
CLASSES = 0.2  # of maps of classes, and of what is small anyway
MASKS = {"translate": 3, "initialise": 1, "coparse": 7, "train": 1, "evaluate": 4, "report": 3}
COUNTED = {"coparse", "evaluate", "report"}  # and C more where `hcga.masks.degeneracy` counts what they lack
REFUSED = (  # by a disk or a file system, whatever the file holds
    *(errno.EIO, errno.EREMOTEIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN),
    *(errno.EROFS, errno.EACCES, errno.EPERM),
)
CGROUPS, GROUPS_OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
V2, V1 = ("max", "current"), ("limit_in_bytes", "usage_in_bytes")  # what their files are called: memory.max, ...
SHARED, SHARED_BYTES = Path("/dev/shm"), 2**20
HANDLES, HANDLES_OF_WORKER = 64, 2  # open files of a stage, about three times of what it has, and for each worker
MEMORY = re.compile(r"[^.]*(out of memory|can't allocate memory)[^.]*")  # in messages of PyTorch, of any device


def need_disk(folder: Path, size: float) -> None:
    """Refuse to begin what the disk cannot hold.

    Parameters
    ----------
    folder : Path
        To be written, beside or below a folder that exists.
    size : float
        Bytes, after compression.

    Raises
    ------
    InputError
        Less is free.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise InputError(
            f"{folder}: needs about {in_words(size)}, and {in_words(free)} are free; free some (in a checkout "
            "`dvc gc --workspace` drops what older runs have in DVC's cache), or use a larger disk"
        )


def need_memory(size: float, what: str) -> None:
    """Refuse to begin what memory cannot hold: `size` bytes for `what`; `InputError` if less is free."""
    if size > (free := free_memory()):
        raise InputError(
            f"{what}: takes {in_words(size)} of memory, and {in_words(free)} are free; end other programs, or use a "
            "larger machine"
        )


def mask_copies(stage: str, part_classes: int) -> int:
    """How many masks of each training image a stage has in memory at once, of C part classes."""
    return MASKS.get(stage, 0) + (part_classes if stage in COUNTED else 0)


def shrunk(name: str, size: float) -> float:
    """About how many of an array's bytes zstd leaves; `name` is that of the array in its store."""
    return LEFT.get(name, CLASSES) * size


def in_words(size: float) -> str:
    """Bytes as a number of GB, or of MB where they are few."""
    return f"{size / GB:.1f} GB" if size >= GB else f"{size / MB:.0f} MB"


def need_shared_memory() -> None:
    """Refuse to start workers where they cannot share the little memory that they need, `InputError`."""
    if SHARED.is_dir() and (free := shutil.disk_usage(SHARED).free) < SHARED_BYTES:
        raise InputError(
            f"{SHARED}: {free:,} bytes are free there, and co-parsing workers need {SHARED_BYTES:,}; remove what other "
            "programs have left there, or give a container more (docker run --shm-size)"
        )


def need_handles(workers: int) -> None:
    """Refuse to start more workers than this process may hold pipes of open, `InputError`."""
    allowed, wanted = resource.getrlimit(resource.RLIMIT_NOFILE)[0], HANDLES + HANDLES_OF_WORKER * workers
    if resource.RLIM_INFINITY != allowed < wanted:
        raise InputError(
            f"coparse.workers: {workers} need about {wanted} open files, and {allowed} are allowed; allow more "
            f"(`ulimit -n {wanted}`), or set it lower"
        )


def free_memory() -> int:
    """Bytes of memory that this process may still take: of the machine, or of its container or job if that has less."""
    free = psutil.virtual_memory().available
    for folder, limit, used in _groups():
        text = _read(folder / f"memory.{limit}")
        if text.isdecimal():  # else there is none
            taken = int(_read(folder / f"memory.{used}")) - _reclaimable(_read(folder / "memory.stat"))
            free = min(free, max(0, int(text) - taken))
    return free


def _groups() -> Iterator[tuple[Path, str, str]]:
    """Folders of the control groups that this process is in, the outermost too, and what their files are called."""
    own = dict(line.split(":", 2)[1:] for line in _read(GROUPS_OF_PROCESS).splitlines())
    for controller, root, (limit, used) in (("", CGROUPS, V2), ("memory", CGROUPS / "memory", V1)):
        group = PurePosixPath("/", next((path for of, path in own.items() if controller in of.split(",")), ""))
        for place in (group, *group.parents):
            yield root / place.relative_to("/"), limit, used


def fault_of_machine(error: BaseException) -> str | None:
    """Say what of the machine has run out or fails, and what to do; None if that is not why an error was raised."""
    text = str(error)
    said = MEMORY.search(text) if isinstance(error, RuntimeError) else None
    if said or isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        reason = said[0].strip() if said else text
        return (
            f"out of memory{f' ({reason})' if reason else ''}; end other programs, use a larger machine, or make "
            "image or batch of a stage (train.identities x train.images) smaller, and run again"
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{text}; allow more, as with `ulimit -n 4096`, and run again"
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"{text}; see to the disk, the network that it is on or the file's rights, and run again"
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return f"{text}: too many processes or threads; allow more (`ulimit -u`), or end others, and run again"
    return None


def blame_machine(error: BaseException) -> None:
    """Raise an error again if the machine is at fault: then the file that was read is not to blame."""
    if fault_of_machine(error):
        raise error


def _read(file: Path) -> str:
    return file.read_text("utf-8").strip() if file.is_file() else ""


def _reclaimable(statistics: str) -> int:
    """Bytes of files that the kernel holds in memory only while nobody else needs it."""
    values = dict(line.split() for line in statistics.splitlines())
    return int(values.get("total_inactive_file", values.get("inactive_file", 0)))
