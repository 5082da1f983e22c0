"""Git, called as a program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hcga.errors import InputError


def git(folder: Path, *arguments: str) -> str:
    """Call Git in a folder and return what it prints.

    Raises
    ------
    InputError
        It refuses; the message is Git's own.
    """
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError("git is not installed, and it keeps code and experiments; install it") from None
    if done.returncode:
        raise InputError(f"{folder}: git {arguments[0]} says: {done.stderr.strip()}")
    return done.stdout


def head(folder: Path) -> str:
    """Commit of HEAD.

    Raises
    ------
    InputError
        The folder is in no Git repository, or nothing is committed yet.
    """
    try:
        return git(folder, "rev-parse", "--verify", "HEAD^{commit}").strip()
    except InputError as error:
        raise InputError(
            f"{error}; experiments are filed under a commit: `git init`, `git add`, `git commit`"
        ) from None
