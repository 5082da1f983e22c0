"""What a run takes from the user's checkout: code as it is committed, and data where they lie."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hcga.errors import InputError
from hcga.runs.git import git
from hcga.runs.workspace import Workspace


def refuse_uncommitted(workspace: Workspace) -> None:
    """Refuse code, or files made by hand, that differ from HEAD: an experiment is filed under its commit.

    params.yaml may differ: an experiment has one of its own.

    Raises
    ------
    InputError
        With the files that are to be committed.
    """
    read = [*sorted(workspace.sources()), "dvc.yaml", "hcga"]
    existing = [path for path in read if (workspace.root / path).exists()]
    lines = git(workspace.root, "status", "--porcelain", "--untracked-files=all", "--", *existing).splitlines()
    if lines:
        files = ", ".join(line[3:] for line in lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
        raise InputError(
            f"not committed: {files}. An experiment is filed under its commit: `git commit`, then run again"
        )


def with_full_paths(values: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
    """Give params in which data that Git has not are named by their full paths, as runs go on in another folder.

    Parameters
    ----------
    values : mapping
        What a params.yaml holds.
    workspace : Workspace
        Where relative paths begin.

    Returns
    -------
    dict
        A copy. Paths are the roots of data sets and of masks made elsewhere, and the weights, if they are a file.
        What a stage writes stays as it is, and so does what is not there.
    """
    changed = copy.deepcopy(dict(values))
    for section, field in _paths(changed):
        path = section.get(field)
        if isinstance(path, str) and not made(path, workspace) and _lies_outside_git(workspace.root, path):
            section[field] = str((workspace.root / path).resolve())
    return changed


def _paths(values: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Sections and fields that may hold a path."""
    yield from ((section, "root") for section in values["datasets"].values())
    yield values.get("external", {}), "root"
    yield values["backbone"], "weights"


def made(path: str, workspace: Workspace) -> bool:
    """Whether a stage makes what is at a path."""
    return any(Path(path).is_relative_to(output) for output in workspace.outputs())


def _lies_outside_git(root: Path, path: str) -> bool:
    full = root / path
    if Path(path).is_absolute() or not full.exists():
        return False
    if not full.resolve().is_relative_to(Path(git(root, "rev-parse", "--show-toplevel").strip()).resolve()):
        return True
    return bool(git(root, "ls-files", "--others", "--directory", "--", path).strip())
