"""Damage to files as disks do it, for benchmarks/faults.py: bits that turn over, and ends that are lost."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path


def turn_a_bit(content: bytearray, rng: random.Random) -> None:
    """Change one bit of a content that is not empty."""
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def cut(content: bytearray, rng: random.Random) -> None:
    """Take the end from a content."""
    del content[rng.randrange(len(content)) :]


def clear(content: bytearray, _: random.Random) -> None:
    """Leave nothing of a content."""
    content.clear()


DAMAGES: dict[str, Callable[[bytearray, random.Random], None]] = {
    "a bit turned": turn_a_bit,
    "end lost": cut,
    "empty": clear,
}


def damage(file: Path, kind: str, seen: bool, rng: random.Random) -> None:
    """Damage a file where it stands, and so links to it; its time changes if that is to be `seen`."""
    before, content = file.stat(), bytearray(file.read_bytes())
    DAMAGES[kind](content, rng)
    file.chmod(0o644)
    with file.open("r+b") as opened:
        opened.write(content)
        opened.truncate()
    file.chmod(before.st_mode)
    if not seen:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def cached(root: Path, file: Path) -> Path:
    """Where DVC's cache keeps a file of the workspace."""
    name = hashlib.md5(file.read_bytes()).hexdigest()
    return root / ".dvc/cache/files/md5" / name[:2] / name[2:]
