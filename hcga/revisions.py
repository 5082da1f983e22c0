"""The pipeline as it was at another Git revision or in a DVC experiment, read without checking anything out.

A revision stands as a folder below .hcga with its own dvc.yaml and params.yaml. An artifact is put there when it is
first asked for: as links into DVC's cache, so that nothing is copied and a store may be read in part, or fetched from
the remote where the cache does not have it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hcga.errors import InputError
from hcga.files import fresh
from hcga.runlog import FOLDER
from hcga.workspace import Workspace

WORKSPACE = "workspace"  # names what lies in the checkout now
FILES = ("dvc.yaml", "params.yaml")


def open_revision(root: Path, name: str) -> Workspace:
    """Open the checkout itself or a revision of it.

    Parameters
    ----------
    root : Path
        The checkout or a folder below it.
    name : str
        `workspace`, a Git revision (commit, branch, tag, HEAD~1), or the name of a DVC experiment.

    Raises
    ------
    InputError
        There is no such revision, or it has no pipeline of this kind.
    """
    workspace = Workspace(root)
    return workspace if name == WORKSPACE else Revision(workspace.root, name)


class Revision(Workspace):
    """A revision of a checkout; see `open_revision`.

    Parameters
    ----------
    checkout : Path
        Where dvc.yaml stands.
    name : str
        Of the revision.
    """

    def __init__(self, checkout: Path, name: str) -> None:
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
        from dvc.scm import SCMError, resolve_rev

        try:
            files = DVCFileSystem(str(checkout), rev=name)
            commit = resolve_rev(files.repo.scm, name)
        except (SCMError, DvcException, ValueError) as error:
            raise InputError(
                f"{name}: no such revision ({error}); give a commit, branch, tag or experiment that `git log` or "
                f"`dvc exp show` lists, or {WORKSPACE}"
            ) from None
        self.commit = commit
        self._files: Any = files
        folder = checkout / FOLDER / "revisions" / commit
        for file in FILES:
            if not files.isfile(file):
                raise InputError(f"{name}: has no {file}; choose a revision of this pipeline")
            if not (folder / file).is_file():
                with fresh(folder / file) as draft:
                    draft.write_bytes(files.read_bytes(file))
        super().__init__(folder)
        self.checkout = checkout

    def path(self, stage: str, option: str, round_name: str = "") -> Path:
        """As of `Workspace`, but what stands there is made to stand there first.

        Raises
        ------
        InputError
            The revision has no such artifact, or neither cache nor remote have its content.
        """
        target = super().path(stage, option, round_name)
        if not _whole(target):  # `dvc gc` may have taken what links point to
            self._place(target)
        return target

    def _place(self, target: Path) -> None:
        name = target.relative_to(self.root).as_posix()
        found = self._files.find(name, detail=True)
        if not found:
            return  # who reads it says that it is missing, as in a checkout
        with fresh(target) as draft:
            for file, about in found.items():
                place = draft / Path(file).relative_to(name) if file != name else draft
                place.parent.mkdir(parents=True, exist_ok=True)
                self._place_file(file, about, place)

    def _place_file(self, file: str, about: dict[str, Any], place: Path) -> None:
        cached = self._cached(about)
        if cached:
            place.symlink_to(cached)
            return
        try:
            self._files.get_file(file, str(place))
        except Exception as error:  # of any remote's own kind
            raise InputError(
                f"{file} of revision {self.commit[:7]} is not in DVC's cache and cannot be had from a remote "
                f"({error}): `dvc push` it from where it is, or run that revision again"
            ) from None

    def _cached(self, about: dict[str, Any]) -> Path | None:
        if not about.get("md5"):
            return None
        path = Path(self._files.repo.cache.local.oid_to_path(about["md5"]))
        return path if path.is_file() else None


def _whole(path: Path) -> bool:
    """Whether a path is there with all that its links point to: zarr takes a missing file for one full of zeros."""
    return path.exists() and all(file.exists() for file in path.rglob("*"))
