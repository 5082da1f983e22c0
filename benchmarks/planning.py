"""How far the plan of `hcga plan` is off: a run scaled up to three and ten times its size, beside runs of that size.

    python benchmarks/planning.py --work /somewhere

The default's synthetic people, one round with one epoch. Off is planned over measured, so that 1 is right; memory is
that of the stage's own process, without workers. Start is what a stage takes whatever its data, by the runs of
one and three times the size; `hcga.planning.scaling.START` has such.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from runs import REPOSITORY, Checkout
from scaling import GROW

from hcga.planning.run import Measured, measured_run, plan, shape_of
from hcga.planning.scaling import GROWS, Shape
from hcga.runs.stage import PATH
from hcga.runs.workspace import Workspace

FACTORS = (1, 3, 10)
SHOWN = {"seconds": 1.0, "memory": 1e6, "disk": 1e6}  # in seconds and MB


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the clones, one a size.")
def main(work: Path) -> None:
    """Print what was planned and what it took, a row a stage."""
    checkouts = {factor: run(work, factor) for factor in FACTORS}
    measured = {factor: measured_run(workspace) for factor, workspace in checkouts.items()}
    small = measured[FACTORS[0]]
    click.echo(f"start, s\n{starts(small, measured[3], shape_of(checkouts[1])).round(2).to_string()}\n")
    for factor in FACTORS[1:]:
        planned = plan(checkouts[1], small, measured[factor].size)
        click.echo(f"{factor} times: {measured[factor].size}\n{beside(planned, measured[factor]).to_string()}\n")


def run(work: Path, factor: int) -> Workspace:
    """Run one round on people of some times the default's number, if that is not done."""
    checkout = Checkout(work / f"times{factor}")
    workspace = Workspace(checkout.root)
    if not workspace.locked():
        defaults = YAML(typ="safe").load(REPOSITORY / "params.yaml")["synthetic"]
        larger = {f"synthetic.{key}": factor * defaults[key] for key in GROW["identities"]}
        checkout.repro({**larger, "rounds": {"r1": {"prev": "init", "until_epoch": 1}}})
    return workspace


def starts(small: Measured, larger: Measured, shape: Shape) -> pd.Series:
    """Where the line through two runs begins, for each stage that grows."""
    found = {}
    for stage in small.ran.keys() & GROWS.keys():
        sizes = [GROWS[stage](run.size, shape) for run in (small, larger)]
        seconds = [run.ran[stage].seconds for run in (small, larger)]
        found[stage] = seconds[0] - sizes[0] * np.diff(seconds)[0] / np.diff(sizes)[0]
    return pd.Series(found).sort_index()


def beside(planned: pd.DataFrame, measured: Measured) -> pd.DataFrame:
    """Planned and measured seconds, memory and disk, how far each is off, and all stages together."""
    took = pd.DataFrame({stage: [ran.seconds, ran.peak, ran.written] for stage, ran in measured.ran.items()}).T
    took.columns = list(SHOWN)
    columns = {}
    for name, unit in SHOWN.items():
        both = [table.loc[planned.index, name] / unit for table in (planned, took)]
        whole = [column.max() if name == "memory" else column.sum() for column in both]
        both = [pd.concat([column, pd.Series({"together": of})]) for column, of in zip(both, whole, strict=True)]
        columns[f"{name}, planned"], columns[f"{name}, measured"] = (column.round(1) for column in both)
        columns[f"{name}, off"] = (both[0] / both[1]).round(2)
    return pd.DataFrame(columns)


if __name__ == "__main__":
    main()
