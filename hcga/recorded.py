"""Whether what a stage reads is what dvc.lock says that another stage has written.

DVC looks at a file again only if its size or time has changed, and trusts its cache, into which the files of a checkout
may be links: of a bit that a disk has turned over, or of a write that a power cut has lost, it knows nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hcga.errors import InputError
from hcga.params import Params
from hcga.validation import read_mapping

FOLDER = ".dir"  # what DVC's digest of a folder ends with


def refuse_changed(root: Path, params: Params, stage: str, read: Collection[Path]) -> None:
    """Refuse outputs of other stages that are not as dvc.lock has them, and have DVC look at them again.

    Parameters
    ----------
    root : Path
        Where dvc.lock stands.
    params : Params
        Of outputs of rounds and data sets that are not in there nothing is said.
    stage : str
        Which one reads; its own outputs are left out, as it is about to write them.
    read : collection of Path
        What it reads, below the root; of a folder all outputs in it.

    Raises
    ------
    InputError
        A file has another content.
    """
    for out in _outs(root, params, stage):
        path = root / out["path"]
        wanted = any(path.is_relative_to(root / reading) for reading in read)
        if wanted and path.exists() and dvc_digest(path) != out["md5"]:
            _doubt(root, path, out["md5"])
            raise InputError(
                f"{out['path']}: damaged, or changed by hand: not what its stage has written. Run `dvc repro` again, "
                f"which makes it anew; `dvc commit {out['path']}` before that keeps a change of yours"
            )


def _outs(root: Path, params: Params, reader: str) -> Iterator[dict[str, Any]]:
    """What stages other than the reader have written, as far as dvc.lock has digests of it."""
    lock = root / "dvc.lock"
    stages = read_mapping(lock, "", "of stages").get("stages", {}) if lock.is_file() else {}
    for name, entry in stages.items():
        if name != reader and name.partition("@")[2] in {"", *params.rounds, *params.datasets}:
            yield from (out for out in entry.get("outs", []) if "md5" in out)


def dvc_digest(path: Path) -> str:
    """DVC's digest of a file or folder, as it stands in dvc.lock."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    names = sorted(file.relative_to(path).parts for file in path.rglob("*") if file.is_file())
    listed = [{"md5": dvc_digest(path.joinpath(*parts)), "relpath": "/".join(parts)} for parts in names]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + FOLDER


def _doubt(root: Path, path: Path, digest: str) -> None:
    """Take from an output and its copy in DVC's cache what DVC trusts them by: their time, and being read-only."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        place = repo.cache.local.oid_to_path
        cached = [Path(place(digest))]
        if digest.endswith(FOLDER) and cached[0].is_file():
            with suppress(ValueError, KeyError, TypeError):  # it is damaged itself
                cached += [Path(place(entry["md5"])) for entry in json.loads(cached[0].read_bytes())]
    for file in (*cached, path, *path.rglob("*")):
        if file.is_file():
            file.chmod(file.stat().st_mode | 0o200)
            os.utime(file)
