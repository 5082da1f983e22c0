"""Which code makes a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hcga.errors import InputError
from hcga.runs.git import git, head

CODE = ("dvc.yaml", "hcga", "pipeline")


def name_code(checkout: Path, code: Sequence[str] = CODE) -> str:
    """Name the Git commit of a checkout, and the files of its code that are not as committed.

    Parameters
    ----------
    checkout : Path
        Where dvc.yaml stands.
    code : sequence of str
        Files and folders that count as such.

    Returns
    -------
    str
        `unknown` where Git cannot tell.
    """
    try:
        commit = head(checkout)
        changed = git(checkout, "--no-optional-locks", "status", "--porcelain", "--no-renames", "-uall", "--", *code)
    except InputError:
        return "unknown"
    files = [line[3:] for line in changed.splitlines()]
    return f"commit {commit}" + (f", with changes in {', '.join(files)}" if files else "")
