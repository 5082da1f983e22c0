"""What the benchmarks share: runs of the pipeline in a clone of this repository, and how figures are summed up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from hcga.runs.runlog import RunLog

REPOSITORY = Path(__file__).resolve().parent.parent
DVC = str(Path(sys.executable).parent / "dvc")


class Checkout:
    """The clone `folder`/hcga, of this repository's HEAD; made if it is not there.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "hcga"
        if not self.root.exists():
            subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(self.root)], check=True)

    def set_params(self, changes: Mapping[str, Any]) -> None:
        """Write the committed params.yaml with some of its values changed.

        Parameters
        ----------
        changes : mapping
            Dotted key, such as `coparse.source`, to value.
        """
        committed = subprocess.run(
            ["git", "show", "HEAD:params.yaml"], cwd=self.root, check=True, capture_output=True
        ).stdout
        yaml = YAML()
        params = yaml.load(committed)
        for key, value in changes.items():
            *sections, last = key.split(".")
            section = params
            for name in sections:
                section = section[name]
            section[last] = value
        with (self.root / "params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(params, file)

    def repro(self, changes: Mapping[str, Any]) -> None:
        """Run `dvc repro` with `set_params`."""
        self.set_params(changes)
        subprocess.run([DVC, "repro"], cwd=self.root, env=environment(self.root), check=True)


def environment(root: Path) -> dict[str, str]:
    """Variables under which the stages of a checkout run with this Python and their own `hcga`."""
    programs = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(root)}


def time_stages(root: Path) -> pd.DataFrame:
    """Run every stage of a checkout anew, one after another.

    Returns
    -------
    DataFrame
        A row a kind of stage, its rounds taken together: `seconds`, DVC's start included, and `peak MB`, the largest
        resident set of its process, without workers.
    """
    settings: Any = {"cwd": root, "env": environment(root)}
    dry = subprocess.run([DVC, "repro", "--dry", "--force"], check=True, capture_output=True, text=True, **settings)
    stages = [line.split("'")[1] for line in dry.stdout.splitlines() if line.startswith("Running stage")]
    rows = []
    for stage in stages:
        began = time.perf_counter()
        done = subprocess.run([DVC, "repro", "--force", "--single-item", stage], stdout=subprocess.DEVNULL, **settings)
        if done.returncode:
            raise click.ClickException(f"stage {stage} failed")
        seconds = time.perf_counter() - began
        peak = RunLog(root).finished()[stage].peak_mb
        rows.append({"stage": stage.partition("@")[0], "seconds": seconds, "peak MB": peak})
        click.echo(f"{stage}: {seconds:.1f} s", err=True)
    return pd.DataFrame(rows).groupby("stage", sort=False).agg({"seconds": "sum", "peak MB": "max"})


def spread(values: pd.Series) -> str:
    """Mean over seeds, and the range in brackets; - where there is none."""
    if values.isna().all():
        return "-"
    return f"{values.mean():.1f} [{values.min():.1f}, {values.max():.1f}]"


def median(values: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    """Median of repeats, and the range in brackets."""
    return f"{np.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def peak_memory() -> float:
    """Largest resident set of this process in MB, by Linux (what getrusage says begins with the parent's)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
