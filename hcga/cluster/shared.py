"""Files and stores that workers on other machines read: in a file system that they share, or a copy at a URL."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import zarr
from zarr.storage import FsspecStore

from hcga.errors import InputError
from hcga.files import content_digest, outline
from hcga.stores import Whole, array, open_store

WHOLE = "whole"  # file beside a copy that is complete
log = logging.getLogger(__name__)


class Shared(NamedTuple):
    """A file or store as a worker finds it."""

    place: str  # absolute path, or URL of a copy
    outline: str  # of what is at the path; empty for a copy, whose URL names its content


def share(path: Path, url: str | None) -> Shared:
    """Make a file or store known to workers.

    Parameters
    ----------
    path : Path
    url : str or None
        Folder for copies, by any file system that fsspec knows, such as s3://bucket/folder; a copy stays there for
        later. None if the workers see the path itself.

    Raises
    ------
    InputError
        It cannot be copied there.
    """
    if url is None:
        return Shared(str(path.absolute()), outline(path))
    folder = f"{url.rstrip('/')}/{content_digest(path)}"
    try:
        _copy(path, folder)
    except Exception as error:  # each file system has errors of its own
        raise InputError(f"dask.share: {path} cannot be copied to {url} ({error})") from error
    return Shared(f"{folder}/{path.name}", "")


def _copy(path: Path, folder: str) -> None:
    """Copy a file or a folder into a folder at a URL, unless it is there."""
    from fsspec.core import url_to_fs

    system, root = url_to_fs(folder)
    if system.exists(f"{root}/{WHOLE}"):
        return
    log.info("copying %s to %s", path, folder)
    files = [file for file in sorted((path, *path.rglob("*"))) if file.is_file()]
    names = [f"{root}/{file.relative_to(path.parent).as_posix()}" for file in files]
    for parent in {name.rpartition("/")[0] for name in names}:
        system.makedirs(parent, exist_ok=True)
    system.put([*map(str, files)], names)
    system.pipe_file(f"{root}/{WHOLE}", b"")


@lru_cache(maxsize=4)
def shared_array(shared: Shared, name: str) -> zarr.Array[Any]:
    """Open an array of a store on a worker; `InputError` if it is not there, or another."""
    if shared.outline:
        return array(open_store(_seen(shared)), name)
    copy = _WholeCopy.from_url(shared.place, read_only=True)
    return array(zarr.open_group(copy, mode="r", zarr_format=3), name, whole=False)  # it is when it is read


class _WholeCopy(Whole, FsspecStore):
    """A copy of a store at a URL."""


@contextmanager
def shared_file(shared: Shared) -> Iterator[Path]:
    """Give a path of a file on a worker; `InputError` if it is not there, or another."""
    if shared.outline:
        yield _seen(shared)
        return
    from fsspec.core import url_to_fs

    system, place = url_to_fs(shared.place)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(place).name
        system.get_file(place, str(copy))
        yield copy


def _seen(shared: Shared) -> Path:
    """Find a shared path on a worker."""
    path = Path(shared.place)
    if path.exists() and outline(path) == shared.outline:
        return path
    told = "is another there than on the machine that asks" if path.exists() else "is not there"
    raise InputError(
        f"{path}: {told}, on a Dask worker. Workers must see the checkout at the same path, as on a shared file "
        "system; or set dask.share to a URL for copies"
    )
