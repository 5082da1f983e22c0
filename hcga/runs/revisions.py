"""The pipeline as it was at another Git revision or in a DVC experiment, read without checking anything out.

A revision stands as a folder below .hcga with its own dvc.yaml and params.yaml. An artifact is put there when it is
first asked for: as links into DVC's cache, so that nothing is copied and a store may be read in part, or fetched from
the checkout's remote where the cache does not have it. What is no longer as it was put there is put there again.
Threads and processes that ask at the same time wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hcga.errors import InputError
from hcga.files import fresh, leads_below
from hcga.guards import locks
from hcga.params import Params
from hcga.runs.runlog import FOLDER
from hcga.runs.workspace import Workspace

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo

WORKSPACE = "workspace"  # names what lies in the checkout now
FILES = ("dvc.yaml", "params.yaml")  # every revision of a pipeline has them
OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")  # how DVC calls a file in its cache
LOCK = "dvc.lock"  # those have it in which a stage has run


class Place(NamedTuple):
    """A round of a revision; written `revision:round`, the revision may be left out."""

    rev: str
    round: str

    def __str__(self) -> str:
        return f"{self.rev}:{self.round}"


def parse_place(text: str) -> Place:
    """Read `revision:round` or `round`."""
    rev, colon, name = text.rpartition(":")
    return Place(rev if colon else WORKSPACE, name)


def find_place(root: Path, text: str) -> Place:
    """Read `revision:round` or `round`, or a revision by itself, of which the last round is meant.

    Raises
    ------
    InputError
        It is neither a round of the checkout's params.yaml nor a revision.
    """
    place = parse_place(text)
    rounds = [*Workspace(root).params.rounds]
    if ":" in text or place.round in rounds:
        return place
    try:
        return Place(text, [*open_revision(root, text).params.rounds][-1])
    except InputError as error:
        raise InputError(f"no round of params.yaml ({', '.join(rounds)}), and no revision: {error}") from None


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
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
        from dvc.scm import SCMError, resolve_rev

        shown = name if name.strip() and name.isprintable() else repr(name)
        try:
            if shown != name:  # DVC takes an empty name for the workspace
                raise ValueError("no name")
            with Repo(str(checkout), uninitialized=True) as repo:
                commit = resolve_rev(repo.scm, name)
                files = _files_of(commit, repo)
        except (SCMError, DvcException, ValueError, AttributeError) as error:
            if "ambiguous" in str(error):
                raise InputError(
                    f"{shown}: more than one revision has this name, such as runs of an ablation at two commits; "
                    "give the commit of one, by `git for-each-ref refs/exps`"
                ) from None
            why = "a tree or a file, no commit" if isinstance(error, AttributeError) else error  # which DVC looks into
            raise InputError(
                f"{shown}: no such revision ({why}); give a commit, branch, tag or experiment that "
                f"`git log` or `dvc exp show` lists, or {WORKSPACE}"
            ) from None
        self.commit = commit
        self._files = files
        folder = checkout / FOLDER / "revisions" / commit
        with _alone(folder):
            for file in (*FILES, LOCK):
                there = files.isfile(file)
                if not there and file in FILES:
                    raise InputError(f"{name}: has no {file}; choose a revision of this pipeline")
                if there and not (folder / file).is_file():
                    with fresh(folder / file) as draft:
                        draft.write_bytes(files.read_bytes(file))
        if files.repo.cache.local is None:
            raise InputError(
                f"{name}: DVC's cache cannot be found without a folder .dvc in the revision and in {checkout}; there "
                f"`git checkout HEAD -- .dvc` takes it back, or look at {WORKSPACE}"
            )
        super().__init__(folder)
        self.checkout = checkout

    def require_round(self, name: str) -> None:
        """Refuse a round that the revision's params.yaml does not have."""
        try:
            super().require_round(name)
        except InputError as error:
            raise InputError(f"revision {self.commit[:7]}: {error}") from None

    @property
    def params(self) -> Params:
        """The revision's params.yaml; `InputError` also if it is of another version of this program."""
        try:
            return super().params
        except InputError as error:
            raise InputError(
                f"revision {self.commit[:7]} is of another version of this program ({error}); to look at it, check it "
                f"out beside this one: `git worktree add ../{self.commit[:7]} {self.commit[:7]}`"
            ) from None

    def path(self, stage: str, option: str, round_name: str = "") -> Path:
        """As of `Workspace`, but what stands there is made to stand there first.

        Raises
        ------
        InputError
            The revision has no such artifact, or neither cache nor remote have its content.
        """
        target = super().path(stage, option, round_name)
        with _alone(self.root):
            note = target.with_name(f".{target.name}.files")
            if not note.is_file() or note.read_text("utf-8") != _inventory(target):  # zarr would read zeros
                self._place(target)
                note.write_text(_inventory(target), "utf-8")
        return target

    def _stands(self, path: Path) -> bool:
        outs = (out["path"] for entry in self.locked().values() for out in entry.get("outs", []))
        return self._name(path) in outs

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _place(self, target: Path) -> None:
        name = self._name(target)
        if not self._stands(target):
            raise InputError(f"{name}: revision {self.commit[:7]} has none, its stage had not run; choose another one")
        try:
            found = self._files.find(name, detail=True)
        except Exception as error:  # of any remote's own kind
            raise self._gone(name, error) from None
        if not found:
            raise self._gone(name)
        with fresh(target) as draft:
            for file, about in found.items():
                below = file.removeprefix(f"{name}/")
                if file != name and not leads_below(below):
                    raise InputError(f"{file}: of revision {self.commit[:7]}, leads out of {name}; choose another one")
                place = draft / below if file != name else draft
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
            raise self._gone(file, error) from None

    def _gone(self, name: str, error: Exception | None = None) -> InputError:
        why = f" ({error})" if error else ""
        return InputError(
            f"{name} of revision {self.commit[:7]} is not in DVC's cache and cannot be had from a remote{why}: "
            "`dvc push` it from where it is, run that revision again, or choose another one"
        )

    def _cached(self, about: dict[str, Any]) -> Path | None:
        if not OBJECT.fullmatch(str(about.get("md5"))):
            return None
        path = Path(self._files.repo.cache.local.oid_to_path(about["md5"]))
        return path if path.is_file() else None


def _files_of(commit: str, checkout: Repo) -> DVCFileSystem:
    """The files of a commit, those that Git has and those that DVC has; remotes are the checkout's, which may be newer.

    DVC would read Git's as a stream, for which pygit2 has a second thread, and at times the two wait for each other.
    """
    from dvc.api import DVCFileSystem
    from dvc.fs import GitFileSystem
    from dvc.repo import Repo
    from scmrepo.git.backend.pygit2 import Pygit2Object
    from scmrepo.git.objects import GitTrie

    tree = Pygit2Object(checkout.scm.pygit2.repo[commit].tree)  # of no backend: its files are read whole
    in_git = GitFileSystem(trie=GitTrie(tree, commit))
    remote = checkout.config["core"].get("remote")
    config = {"remote": checkout.config["remote"]}
    repo = Repo("/", fs=in_git, scm=checkout.scm, remote=remote, config=config, uninitialized=True)
    return DVCFileSystem(repo=repo)


def _inventory(path: Path) -> str:
    """List the files of an artifact with size and time.

    It is another list when files were damaged or deleted, or `dvc gc` has taken what links point to.
    """
    files = sorted(file for file in (path, *path.rglob("*")) if file.is_file())
    states = [(file.relative_to(path.parent), file.stat()) for file in files]
    return "".join(f"{name} {state.st_size} {state.st_mtime_ns}\n" for name, state in states)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one thread of one process at a time work in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        locks(file.fileno(), folder, waits=True)
        yield
