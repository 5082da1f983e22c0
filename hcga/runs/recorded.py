"""Whether what a stage reads is what dvc.lock says that another stage has written.

DVC looks at a file again only if its size or time has changed, and trusts its cache, into which the files of a checkout
may be links: of a bit that a disk has turned over, or of a write that a power cut has lost, it knows nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hcga.errors import InputError
from hcga.params import Params
from hcga.validation import MANY, read_mapping

FOLDER = ".dir"  # what DVC's digest of a folder ends with


def refuse_changed(root: Path, params: Params, stage: str, read: Collection[Path]) -> None:
    """Refuse outputs of other stages that are not as dvc.lock has them, and have DVC look at them again.

    Parameters
    ----------
    root : Path
        Where dvc.yaml and dvc.lock stand.
    params : Params
        Of outputs of rounds and data sets that are not in there nothing is said.
    stage : str
        Which one reads; its own outputs are left out, as it is about to write them.
    read : collection of Path
        What it reads, below the root; of a folder all outputs in it, and the one in which it lies. Notes of stages that
        are constant, for which the others wait although they read nothing in them, are always compared.

    Raises
    ------
    InputError
        A file has another content.
    """
    constant = {name for name, entry in _stages(root / "dvc.yaml").items() if entry.get("meta", {}).get("constant")}
    others = (
        (out, name in constant)
        for name, outs in _written(root).items()
        if name != stage and name.partition("@")[2] in {"", *params.rounds, *params.datasets}
        for out in outs
    )
    for out, is_constant in others:
        path = root / out["path"]
        wanted = is_constant or any(_overlap(path, root / reading) for reading in read)
        if wanted and path.exists() and dvc_digest(path) != out["md5"]:
            cache = _cache(root)
            changed = _first_changed(path, _listed(cache, out["md5"]))
            _doubt([*_copies(cache, out["md5"]), path, *path.rglob("*")])
            raise InputError(
                f"{out['path']}: damaged, or changed by hand: {changed}not what its stage has written. Run `dvc repro` "
                f"again, which makes it anew; `dvc commit {out['path']}` before that keeps a change of yours"
            )


def _overlap(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def distrust_copies(root: Path, stage: str) -> None:
    """Have DVC look at the copies in its cache of what a stage has written before.

    If it writes the same now, DVC would put such a copy in its place unseen, and that may be why it had to run again.
    """
    usual = root / ".dvc/cache/files/md5"  # without DVC, whose loading takes a second
    for out in _written(root).get(stage, []):
        _doubt(_copies(usual if usual.is_dir() else _cache(root), out["md5"]))


def _written(root: Path) -> dict[str, list[dict[str, Any]]]:
    """What stages have written, as far as dvc.lock has digests of it, by stage."""
    stages = _stages(root / "dvc.lock")
    return {name: [out for out in entry.get("outs", []) if "md5" in out] for name, entry in stages.items()}


def _stages(file: Path) -> dict[str, Any]:
    """Stages of dvc.yaml or dvc.lock; none if that is not there."""
    return read_mapping(file, "", "of stages", MANY).get("stages", {}) if file.is_file() else {}


def dvc_digest(path: Path) -> str:
    """DVC's digest of a file or folder, as it stands in dvc.lock."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    listed = [{"md5": digest, "relpath": name} for name, digest in _digests(path).items()]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + FOLDER


def _digests(folder: Path) -> dict[str, str]:
    """Digests of all files below a folder by their names relative to it, in DVC's order."""
    names = sorted(file.relative_to(folder).parts for file in folder.rglob("*") if file.is_file())
    return {"/".join(parts): dvc_digest(folder.joinpath(*parts)) for parts in names}


def _first_changed(path: Path, listed: Mapping[str, str]) -> str:
    """Say which file of a folder is not as listed; nothing of a file, or where there is no list."""
    there = _digests(path) if listed and path.is_dir() else {}
    changed = sorted(name for name in {*listed, *there} if listed.get(name) != there.get(name))
    return f"{changed[0]} in it is " if there and changed else ""


def _cache(root: Path) -> Path:
    """Where DVC keeps its copies."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return Path(repo.cache.local.path)


def _copies(cache: Path, digest: str) -> list[Path]:
    """DVC's copy of a file, or of a folder: its list and all files that are in there."""
    return [cache / name[:2] / name[2:] for name in (digest, *_listed(cache, digest).values())]


def _listed(cache: Path, digest: str) -> dict[str, str]:
    """Digests of a folder's files by their names, as far as DVC's cache has a list of them that can be read."""
    copy = cache / digest[:2] / digest[2:]
    if digest.endswith(FOLDER) and copy.is_file():
        with suppress(ValueError, KeyError, TypeError):  # it is damaged itself
            return {entry["relpath"]: entry["md5"] for entry in json.loads(copy.read_bytes())}
    return {}


def _doubt(files: Iterable[Path]) -> None:
    """Take from files what DVC trusts them by: their time, and that they are read-only."""
    for file in files:
        with suppress(OSError):  # as where others own them, or none is there
            file.chmod(file.stat().st_mode | 0o200)
            os.utime(file)
