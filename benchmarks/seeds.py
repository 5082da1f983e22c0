"""How far the default run's figures depend on the seed: the same run with several seeds.

    python benchmarks/seeds.py --work /somewhere

Finished seeds are kept in WORK and not repeated.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pandas as pd
from runs import Checkout, spread

from hcga.figures import SHOWN
from hcga.stage import PATH


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the clone and the results.")
@click.option("--seeds", default="1,2,3", show_default=True)
def main(work: Path, seeds: str) -> None:
    """Print each round's figures: mean over seeds, and the range in brackets."""
    tables = []
    for seed in seeds.split(","):
        target = work / f"default-{seed}.csv"
        if not target.exists():
            checkout = Checkout(work)
            checkout.repro({"seed": int(seed)})
            shutil.copy(checkout.root / "data/report/rounds.csv", target)
        tables.append(pd.read_csv(target))
    table = pd.concat(tables)
    figures = {title: key for title, key in SHOWN.items() if key in table and key != "epoch"}
    grouped = table.rename(columns={key: title for title, key in figures.items()}).groupby("round")
    click.echo(f"{len(tables)} seed(s)")
    click.echo(grouped[list(figures)].agg(spread).T.to_string())


if __name__ == "__main__":
    main()
