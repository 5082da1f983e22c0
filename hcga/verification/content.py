"""Where the content lies that dvc.lock speaks of: in the workspace if that is as it was, else in DVC's cache."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from hcga.errors import InputError


class Item(NamedTuple):
    """What a stage read or wrote, as dvc.lock has it."""

    path: str  # as dvc.yaml spells it
    md5: str  # of a folder it ends with .dir
    size: int  # bytes


class Content(NamedTuple):
    """A workspace and DVC's cache, which are only read.

    Nothing that DVC has noted of files is believed: what is compared is read, every time.

    Attributes
    ----------
    root : Path
        Where dvc.yaml stands.
    cache : Path
        Folder of the cache's files.
    ignore : object
        What DVC takes for no part of a folder.
    made : sequence of Item
        All that stages wrote.
    """

    root: Path
    cache: Path
    ignore: Any
    made: Sequence[Item] = ()

    def digest(self, path: Path) -> str:
        """What DVC would write into dvc.lock for a file or folder, '' if there is none."""
        from dvc_data.hashfile.build import build
        from dvc_data.hashfile.db import HashFileDB
        from dvc_objects.fs.local import LocalFileSystem

        if not path.exists():
            return ""
        files: Any = LocalFileSystem()  # type: ignore[no-untyped-call]
        with tempfile.TemporaryDirectory() as nowhere:  # not written to
            built = build(HashFileDB(files, nowhere), str(path), files, "md5", dry_run=True, ignore=self.ignore)
        return str(built[2].hash_info.value)

    def find(self, item: Item, spare: Path) -> Path | None:
        """Find what a stage read or wrote.

        Parameters
        ----------
        item : Item
        spare : Path
            Folder for links to what is not in the workspace as it was; empty at first, and none is asked for twice.

        Returns
        -------
        Path or None
            Of content with the item's digest; None if it is nowhere.

        Raises
        ------
        InputError
            DVC's cache is damaged.
        """
        here = self.root / item.path
        if self.digest(here) == item.md5:
            return here
        parts = [part for part in PurePosixPath(item.path).parts if part not in ("/", "..")]
        target = spare.joinpath(*parts)
        return target if self._place(item, target) or self._gather(item, target, spare) else None

    def _place(self, item: Item, target: Path) -> bool:
        """Put links to the cache at a path; False if the cache lacks something."""
        cached = self._cached(item.md5)
        files = [(PurePosixPath(), item.md5)] if not item.md5.endswith(".dir") else self._listing(cached)
        if not cached.is_file() or not all(self._cached(md5).is_file() for _, md5 in files):
            return False
        for name, md5 in files:
            _link(self._cached(md5), target / name)
        if not files:
            target.mkdir(parents=True)
        if self.digest(target) != item.md5:
            raise InputError(
                f"{item.path}: DVC's cache is damaged below {self.cache}: it holds other bytes than those that were "
                "stored. Delete the file that `dvc status` then speaks of, and `dvc fetch` it or run its stage again"
            )
        return True

    def _gather(self, item: Item, target: Path, spare: Path) -> bool:
        """Make up a folder that several stages write into of what each of them wrote."""
        within = [out for out in self.made if out.path.startswith(f"{item.path}/")]
        for out in within:
            found = self.find(out, spare)
            link = target / PurePosixPath(out.path).relative_to(item.path)
            if found and found != link:
                _link_files(found, link)
        return bool(within) and self.digest(target) == item.md5

    def _cached(self, md5: str) -> Path:
        return self.cache / md5[:2] / md5[2:]

    def _listing(self, cached: Path) -> list[tuple[PurePosixPath, str]]:
        """Names and digests of the files of a folder in the cache; none if that does not have it."""
        if not cached.is_file():
            return []
        try:
            files = [(PurePosixPath(file["relpath"]), str(file["md5"])) for file in json.loads(cached.read_bytes())]
        except (ValueError, KeyError, TypeError):
            files = [(PurePosixPath(".."), "")]
        if any(name.is_absolute() or ".." in name.parts for name, _ in files):
            raise InputError(f"{cached}: DVC's cache is damaged, this is no list of files; delete it and `dvc fetch`")
        return files


def _link_files(source: Path, target: Path) -> None:
    """Link a file, or each file below a folder: DVC does not look into folders behind links."""
    for file in [path for path in (source, *source.rglob("*")) if path.is_file()]:
        _link(file, target / file.relative_to(source))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)
