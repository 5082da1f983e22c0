"""What the stages that go on from where they were keep on the way, and what a stop costs.

    python benchmarks/scratch.py

In a folder in which `dvc repro` is done. Each stage of one round runs twice anew: undisturbed, and stopped by SIGTERM
in the middle and run again. Seconds contain DVC's start and Python's, twice where a stage is stopped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click
import pandas as pd
from runs import DVC, environment

from hcga.runs.workspace import Workspace

STAGES = ("prepare", "extract", "coparse", "train", "embed")
LOOK = 0.1  # seconds from one look at the scratch to the next
MB = 1e6


class Took(NamedTuple):
    """What a run of a stage took."""

    seconds: float
    scratch: int  # bytes at most
    left: int  # bytes in the end


def run(root: Path, stage: str, stop_after: float = float("inf")) -> Took:
    """Run a stage anew and look at its scratch meanwhile; have DVC and all below it end after some seconds."""
    began, most, stopped = time.monotonic(), 0, False
    command = [DVC, "repro", "--force", "--single-item", stage]
    process = subprocess.Popen(
        command, cwd=root, env=environment(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    while process.poll() is None:
        most = max(most, scratch_bytes(root))
        if not stopped and time.monotonic() - began > stop_after:
            os.killpg(process.pid, signal.SIGTERM)
            stopped = True
        time.sleep(LOOK)
    if bool(process.returncode) != stopped:
        raise click.ClickException(f"stage {stage} ended with {process.returncode}")
    return Took(time.monotonic() - began, most, scratch_bytes(root))


def scratch_bytes(root: Path) -> int:
    """Bytes in all that is called `.part` below data."""
    return sum(size(path) for path in (root / "data").rglob("*.part"))


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what goes meanwhile counts nothing."""
    files: Iterable[Path] = path.rglob("*") if path.is_dir() else [path]
    total = 0
    for file in files:
        try:
            total += 0 if file.is_dir() else file.stat().st_size
        except FileNotFoundError:
            continue
    return total


@click.command()
@click.option("--round", "round_name", default="r1", show_default=True)
def main(round_name: str) -> None:
    """Print a row a stage."""
    root = Path.cwd()
    locked, rows = Workspace(root).locked(), {}
    for stage in (name if name in locked else f"{name}@{round_name}" for name in STAGES):
        whole = run(root, stage)
        stopped = run(root, stage, whole.seconds / 2)
        rest = run(root, stage)
        rows[stage] = {
            "outputs, MB": sum(size(root / out["path"]) for out in locked[stage]["outs"]) / MB,
            "scratch at most, MB": whole.scratch / MB,
            "undisturbed, s": whole.seconds,
            "until it had stopped, s": stopped.seconds,
            "scratch then, MB": stopped.left / MB,
            "the rest, s": rest.seconds,
            "scratch in the end, MB": rest.left / MB,
        }
        click.echo(f"{stage}: {rows[stage]}", err=True)
    click.echo(pd.DataFrame(rows).T.round(1).to_string())


if __name__ == "__main__":
    main()
