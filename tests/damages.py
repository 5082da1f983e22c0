"""What disks and power cuts do to files."""

import os
from pathlib import Path


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def halve(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def unfinished(file: Path) -> None:
    """As zarr leaves a file, if it is killed before it gives it its name."""
    file.rename(file.with_suffix(".0123abcd.partial"))
