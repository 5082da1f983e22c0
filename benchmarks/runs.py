"""What the benchmarks share: runs of the pipeline in a clone of this repository, and how figures are summed up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
# On photographs: the paper's schedule (120 epochs, 10 of warm-up, milestones 40 and 70) at a quarter of its length.
QUARTER_SCHEDULE = {"train.learning_rate": 0.00035, "train.warmup_epochs": 3, "train.milestones": [10, 18]}


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

    def repro(self, changes: Mapping[str, Any]) -> None:
        """Run `dvc repro` on the committed params.yaml with some of its values changed.

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
        programs = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",  # the stages' python is this one
            "PYTHONPATH": str(self.root),  # and their hcga the clone's, whatever is installed
        }
        subprocess.run([str(programs / "dvc"), "repro"], cwd=self.root, env=environment, check=True)


def data_set(root: Path, truth: str | None) -> dict[str, Any]:
    """What a run on photographs in Market-1501's layout changes in params.yaml; `truth` is a folder below the root."""
    return {
        "synthetic": None,
        "datasets.main.layout": "market1501",
        "datasets.main.root": str(root.resolve()),
        "datasets.main.truth": truth,
        "datasets.main.counts": "ignore",
    }


def spread(values: pd.Series) -> str:
    """Mean over seeds, and the range in brackets; - where there is none."""
    if values.isna().all():
        return "-"
    return f"{values.mean():.1f} [{values.min():.1f}, {values.max():.1f}]"


def peak_memory() -> float:
    """Largest resident set of this process in MB, by Linux (what getrusage says begins with the parent's)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
