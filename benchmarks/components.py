"""What `extract.components` costs in masks and matching: runs over seeds, judged on held-out identities.

    python benchmarks/components.py --work /somewhere                                  on synthetic people
    python benchmarks/components.py --work /somewhere --root DATA/market-mini-occluded    on photographs

A share of the training identities becomes query and gallery (`prepare.validation`); masks are compared with the data
set's label images. Every seed and number of components is one run of the pipeline; finished runs are kept in WORK.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pandas as pd
from runs import QUARTER_SCHEDULE, Checkout, data_set, spread

from hcga.params import load_params
from hcga.stage import PATH

SHARE = 0.3  # of the training identities, held out; of more synthetic people than the default has
COLUMNS = {
    "foreground IoU": "masks.iou_foreground",
    "parts IoU": "masks.iou_parts",
    "Rank-1": "retrieval.rank1",
    "mAP": "retrieval.mAP",
}
# On photographs two rounds: co-parsing of ImageNet's features, then of trained ones.
ROUNDS = {"r1": {"prev": "init", "until_epoch": 10}, "r2": {"prev": "r1", "until_epoch": 20}}


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the clone and the results.")
@click.option("--root", type=PATH, help="A data set with label images in parsing/.  [default: synthetic people]")
@click.option("--seeds", default="1,2,3", show_default=True)
@click.option("--components", "numbers", default="null,128,64,32", show_default=True)
def main(work: Path, root: Path | None, seeds: str, numbers: str) -> None:
    """Print mask IoU, Rank-1 and mAP of each round: mean over seeds, and the range in brackets."""
    name = root.name if root else "synthetic"
    tables = []
    for seed in (int(text) for text in seeds.split(",")):
        for number in numbers.split(","):
            target = work / f"components-{name}-{number}-{seed}.csv"
            if not target.exists():
                checkout = Checkout(work)
                checkout.repro(changes(root, seed, None if number == "null" else int(number)))
                figures(checkout).to_csv(target, index=False)
            tables.append(pd.read_csv(target).assign(components=number, seed=seed))
    grouped = pd.concat(tables).groupby(["round", "components"], sort=False)[list(COLUMNS)]
    click.echo(f"{name}, {len(seeds.split(','))} seed(s), held-out identities")
    click.echo(grouped.agg(spread).to_string())


def changes(root: Path | None, seed: int, components: int | None) -> dict[str, Any]:
    """What a run changes in the default params.yaml."""
    common = {"seed": seed, "prepare.validation": SHARE, "extract.components": components}
    if root is None:
        return {**common, "synthetic.train_identities": 60, "synthetic.test_identities": 1}
    return {**common, **data_set(root, "parsing"), "rounds": ROUNDS, **QUARTER_SCHEDULE}


def figures(checkout: Checkout) -> pd.DataFrame:
    """A row a round."""
    rows = []
    for name in load_params(checkout.root / "params.yaml").rounds:
        text = (checkout.root / f"data/metrics/{name}.json").read_text(encoding="utf-8")
        flat = pd.json_normalize(json.loads(text)).iloc[0]
        rows.append({"round": name, **{title: flat[key] for title, key in COLUMNS.items()}})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
