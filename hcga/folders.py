"""What is in a folder from outside: which files are images, what is passed over, and which names are refused."""

from __future__ import annotations

from pathlib import Path

from hcga.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
BYSTANDERS = {"thumbs.db", "desktop.ini"}  # Windows leaves them in archives
HIDDEN = (".", "@")  # names of what macOS, editors and network drives leave behind begin so


def visible(folder: Path) -> list[Path]:
    """List what is in a folder, sorted by name, but for what an operating system left there.

    A name that is no plain text is an `InputError`: it would break the lines of logs and tables.
    """
    found = sorted(
        path for path in folder.iterdir() if path.name.lower() not in BYSTANDERS and not path.name.startswith(HIDDEN)
    )
    for path in found:
        require_plain_name(path, path.name)
    return found


def require_plain_name(path: Path, name: str) -> None:
    """Refuse a file whose name, or path below a folder, has line ends, control signs or bytes that are no UTF-8."""
    if not name.isprintable():
        raise InputError(f"{_one_line(path)}: a name that is no plain text; rename it")


def _one_line(path: Path) -> str:
    return ascii(str(path))[1:-1]


def is_image(path: Path) -> bool:
    """Tell by its ending whether a file is an image."""
    return path.suffix.lower() in ENDINGS
