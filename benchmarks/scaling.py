"""How each stage's time and memory grow with the data: 1, 3 and 10 times the default's synthetic people.

    python benchmarks/scaling.py --work /somewhere --plot docs/scaling.png                  more identities
    python benchmarks/scaling.py --work /somewhere --plot scaling.png --grow images       more images of each

One round with one epoch. Start is what a stage takes with no data: DVC finding nothing to do, and the script's imports;
it is taken off before the slope is computed, log(seconds at 10) - log(seconds at 1) over log 10: 1 is linear.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from ruamel.yaml import YAML
from runs import DVC, REPOSITORY, Checkout, environment, time_stages

from hcga.runs.stage import PATH

FACTORS = (1, 3, 10)
TOO_SHORT = 0.5  # seconds without the start, of which nothing can be told
GROW = {"identities": ["train_identities", "test_identities", "distractors"], "images": ["images_per_identity"]}
STAGES = ["synthesise", "catalogue", "prepare", "extract", "coparse", "train", "embed", "evaluate"]


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the clone and the results.")
@click.option("--plot", type=PATH, required=True, help="Picture to write.")
@click.option("--grow", type=click.Choice(list(GROW)), default="identities", show_default=True)
def main(work: Path, plot: Path, grow: str) -> None:
    """Print seconds and memory of each stage at each size, and draw the seconds."""
    checkout = Checkout(work)
    defaults = YAML(typ="safe").load(REPOSITORY / "params.yaml")["synthetic"]
    tables = {}
    for factor in FACTORS:
        target = work / f"scaling-{grow}-{factor}.csv"
        if not target.exists():
            larger = {f"synthetic.{key}": factor * defaults[key] for key in GROW[grow]}
            checkout.set_params({**larger, "rounds": {"r1": {"prev": "init", "until_epoch": 1}}})
            time_stages(checkout.root).to_csv(target)
        tables[factor] = pd.read_csv(target, index_col="stage").loc[STAGES]
    starts = pd.Series({stage: start(checkout.root, stage) for stage in STAGES})
    seconds = pd.DataFrame({factor: table["seconds"] for factor, table in tables.items()})
    net = seconds.sub(starts, axis=0)
    net = net.where(net > TOO_SHORT)
    slope = np.log10(net[FACTORS[-1]] / net[FACTORS[0]]) / np.log10(FACTORS[-1] / FACTORS[0])
    memory = pd.DataFrame({f"MB at {factor}": tables[factor]["peak MB"].round() for factor in FACTORS})
    shown = pd.concat(
        [starts.rename("start").round(1), seconds.round(1), slope.rename("slope").round(2), memory], axis=1
    )
    click.echo(shown.to_string())
    draw(net, grow).savefig(plot, dpi=150)


def start(root: Path, stage: str) -> float:
    """Seconds that a stage takes whatever its data: median of three."""
    name = f"{stage}@{'main' if stage == 'catalogue' else 'r1'}"
    target = stage if stage in {"synthesise", "prepare"} else name
    settings: Any = {"cwd": root, "env": environment(root), "check": True, "stdout": subprocess.DEVNULL}
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([DVC, "repro", "--single-item", target], **settings)
        subprocess.run([sys.executable, f"pipeline/{stage}.py", "--help"], **settings)
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def draw(net: pd.DataFrame, grow: str) -> Figure:
    """Seconds without the start against the size, both logarithmic, a line a stage."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    markers = "osD^v<>P"
    for (stage, values), marker in zip(net.iterrows(), markers, strict=True):
        axes.loglog(FACTORS, values, marker=marker, label=stage)
    axes.loglog(FACTORS, FACTORS, "k:", label="linear")
    axes.set_xticks(FACTORS, [f"{factor}x" for factor in FACTORS])
    axes.minorticks_off()
    axes.set_xlabel("identities" if grow == "identities" else "images of an identity")
    axes.set_ylabel("seconds, without the start")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    main()
