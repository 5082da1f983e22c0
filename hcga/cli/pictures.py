"""What commands share that show masks: where a picture goes, its title, and whether its masks are up to date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from hcga.errors import InputError
from hcga.outputs import require_output
from hcga.runs.revisions import WORKSPACE
from hcga.runs.staleness import is_stale
from hcga.runs.workspace import Workspace


def of(rev: str) -> str:
    """How a title names a revision; the workspace goes without saying."""
    return "" if rev == WORKSPACE else f" of {rev}"


def warn_if_stale(workspace: Workspace, rev: str, round_name: str) -> None:
    """Say so if a round's masks are not what the params and inputs beside them would make."""
    if is_stale(workspace, "coparse", round_name):
        click.echo(
            f"note: the masks of {rev}:{round_name} are of an earlier run, with other params or inputs; `dvc repro` "
            "there makes them anew",
            err=True,
        )


def picture_file(output: Path | None, what: str, round_name: str, pid: int, rev: str, *settings: str) -> Path:
    """Where to write a picture of an identity; `InputError` if it cannot stand there."""
    named = [*([rev] if rev != WORKSPACE else []), round_name, str(pid), *settings]
    target = output or Path("-".join([what, *(re.sub(r"[^\w.=]+", "-", name) for name in named)]) + ".png")
    require_output(target, ".png")
    return target


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Say in words that a picture cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error}); give another --output") from None
