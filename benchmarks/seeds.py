"""How far the default run depends on the seed, and on how many threads and processes train: the same run with several.

    python benchmarks/seeds.py --work /somewhere --seeds 1,2,3,4,5 --by 1x1,2x1,1x2

2x1 is two threads of one process, 1x2 two processes of one thread. Finished runs are kept in WORK and not repeated.
Seconds are those of stage train, all rounds, as the run's own log has them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pandas as pd
from runs import Checkout, spread

from hcga.ablation.agreement import compare
from hcga.figures import SHOWN
from hcga.runs.runlog import RunLog
from hcga.runs.stage import PATH
from hcga.samples import identities, read_samples
from hcga.stores import array, open_store, read_all

KEPT = ("samples.csv", "report/rounds.csv", "masks")
SECONDS = "seconds.txt"


def run(work: Path, seed: int, by: str) -> Path:
    """Run the default with a seed, by THREADSxPROCESSES, if that is not done; the folder with what is kept of it."""
    folder = work / f"seed{seed}-{by}"
    if not folder.exists():
        checkout = Checkout(work)
        threads, processes = map(int, by.split("x"))
        checkout.repro({"seed": seed, "threads": threads, "processes": processes})
        took = RunLog(checkout.root).finished()
        draft = work / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        for name in KEPT:
            source, target = checkout.root / "data" / name, draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        trained = sum(run.seconds for name, run in took.items() if name.startswith("train@"))
        (draft / SECONDS).write_text(f"{trained:.1f}", "utf-8")
        draft.rename(folder)
    return folder


def figures(runs: list[Path]) -> pd.DataFrame:
    """Each round's figures: mean over runs, and the range in brackets."""
    table = pd.concat([pd.read_csv(folder / "report/rounds.csv") for folder in runs]).dropna(axis=1, how="all")
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
        rows[name] = {"same part, %": found.same_part, "adjusted Rand index of labels": found.rand_labels}
    return pd.DataFrame(rows)


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the clone and the results.")
@click.option("--seeds", default="1,2,3,4,5", show_default=True)
@click.option("--by", default="2x1", show_default=True, help="THREADSxPROCESSES, with commas between.")
def main(work: Path, seeds: str, by: str) -> None:
    """Print figures, seconds and agreement of masks: over seeds for each setup, then over setups for each seed."""
    chosen, setups = [int(seed) for seed in seeds.split(",")], by.split(",")
    done = {(seed, setup): run(work, seed, setup) for setup in setups for seed in chosen}
    groups = {f"{setup}, seeds {seeds}": [done[seed, setup] for seed in chosen] for setup in setups}
    groups |= {f"seed {seed}, by {by}": [done[seed, setup] for setup in setups] for seed in chosen}
    for title, runs in groups.items():
        if len(runs) > 1:
            seconds = spread(pd.Series([float((folder / SECONDS).read_text("utf-8")) for folder in runs]))
            click.echo(f"\n{title}, training {seconds} s\n{figures(runs).to_string()}\n")
            click.echo(mask_agreement(runs).round(2).to_string())


if __name__ == "__main__":
    main()
