"""How far the default run depends on the seed and on the number of threads: the same run with several of each.

    python benchmarks/seeds.py --work /somewhere --seeds 1,2,3,4,5 --threads 1,2

Finished runs are kept in WORK and not repeated.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pandas as pd
from runs import Checkout, spread

from hcga.ablation.agreement import compare
from hcga.figures import SHOWN
from hcga.samples import identities, read_samples
from hcga.stage import PATH
from hcga.stores import array, open_store, read_all

KEPT = ("samples.csv", "report/rounds.csv", "masks")


def run(work: Path, seed: int, threads: int) -> Path:
    """Run the default with a seed and a number of threads, if that is not done; the folder with what is kept of it."""
    folder = work / f"seed{seed}-threads{threads}"
    if not folder.exists():
        checkout = Checkout(work)
        checkout.repro({"seed": seed, "threads": threads})
        draft = work / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        for name in KEPT:
            source, target = checkout.root / "data" / name, draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        draft.rename(folder)
    return folder


def figures(runs: list[Path]) -> pd.DataFrame:
    """Each round's figures: mean over runs, and the range in brackets."""
    table = pd.concat([pd.read_csv(folder / "report/rounds.csv") for folder in runs])
    shown = {title: key for title, key in SHOWN.items() if key in table and key != "epoch"}
    grouped = table.rename(columns={key: title for title, key in shown.items()}).groupby("round")
    return grouped[list(shown)].agg(spread).T


def mask_agreement(runs: list[Path]) -> pd.DataFrame:
    """How far the masks of each round agree, over all pairs of runs: see `hcga.ablation.agreement`."""
    rows_of = identities(read_samples(runs[0] / "samples.csv"))
    rows = {}
    for name in pd.read_csv(runs[0] / "report/rounds.csv")["round"]:
        stores = [open_store(folder / f"masks/{name}.zarr") for folder in runs]
        masks, labels = ([read_all(array(store, kind)) for store in stores] for kind in ("masks", "labels"))
        found = compare(masks, labels, rows_of)
        rows[name] = {"same part, %": found.same_part, "adjusted Rand index of labels": found.adjusted_rand}
    return pd.DataFrame(rows)


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the clone and the results.")
@click.option("--seeds", default="1,2,3,4,5", show_default=True)
@click.option("--threads", "counts", default="2", show_default=True, help="Numbers of threads.")
def main(work: Path, seeds: str, counts: str) -> None:
    """Print figures and agreement of masks over seeds, for each number of threads; then over threads for each seed."""
    chosen, threads = ([int(number) for number in text.split(",")] for text in (seeds, counts))
    done = {(seed, count): run(work, seed, count) for count in threads for seed in chosen}
    groups = {f"threads {count}, seeds {seeds}": [done[seed, count] for seed in chosen] for count in threads}
    groups |= {f"seed {seed}, threads {counts}": [done[seed, count] for count in threads] for seed in chosen}
    for title, runs in groups.items():
        if len(runs) > 1:
            click.echo(f"\n{title}\n{figures(runs).to_string()}\n\n{mask_agreement(runs).round(2).to_string()}")


if __name__ == "__main__":
    main()
