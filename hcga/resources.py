"""Whether there is disk and memory for what a stage is about to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil

from hcga.errors import InputError

GB = 1e9
COMPRESSED = 0.5  # of the bytes of features and photographs at least are left by zstd
CGROUPS = Path("/sys/fs/cgroup")


def need_disk(folder: Path, size: float) -> None:
    """Refuse to begin what the disk cannot hold.

    Parameters
    ----------
    folder : Path
        To be written, beside or below a folder that exists.
    size : float
        Bytes before compression.

    Raises
    ------
    InputError
        Half of that is more than what is free.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if COMPRESSED * size > free:
        raise InputError(
            f"{folder}: needs {size / GB:.1f} GB, about {COMPRESSED * size / GB:.1f} of them after compression, and "
            f"{free / GB:.1f} are free; free some (`dvc gc --workspace` drops what older runs have in DVC's cache) or "
            "move the checkout to a larger disk"
        )


def free_memory() -> int:
    """Bytes of memory that this process may still take: of the machine, or of its container if that has less."""
    free = psutil.virtual_memory().available
    for folder, limit, used in ((CGROUPS, "max", "current"), (CGROUPS / "memory", "limit_in_bytes", "usage_in_bytes")):
        text = _read(folder / f"memory.{limit}")
        if text.isdecimal():  # else there is none
            taken = int(_read(folder / f"memory.{used}")) - _reclaimable(_read(folder / "memory.stat"))
            free = min(free, max(0, int(text) - taken))
    return free


def _read(file: Path) -> str:
    return file.read_text("utf-8").strip() if file.is_file() else ""


def _reclaimable(statistics: str) -> int:
    """Bytes of files that the kernel holds in memory only while nobody else needs it."""
    values = dict(line.split() for line in statistics.splitlines())
    return int(values.get("total_inactive_file", values.get("inactive_file", 0)))
