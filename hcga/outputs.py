"""Files that a user has a command write."""

from __future__ import annotations

from pathlib import Path

from hcga.errors import InputError


def require_output(target: Path, *endings: str) -> None:
    """Refuse a name of which nothing can come, before anything is computed.

    Parameters
    ----------
    target : Path
    *endings : str
        Of which it must have one, such as '.png'.

    Raises
    ------
    InputError
        It ends in something else, does not lie in a folder that exists, or is a folder; a .zarr always is one.
    """
    if target.suffix not in endings or not target.parent.is_dir():
        raise InputError(f"--output {target}: give a name that ends in {' or '.join(endings)} in a folder that exists")
    if target.is_dir() and target.suffix != ".zarr":
        raise InputError(f"--output {target}: is a folder; give another name")
