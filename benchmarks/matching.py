"""Which way of matching is best, decided on identities held out of training: the test identities stay unseen.

    python benchmarks/matching.py --work /somewhere                         on synthetic people
    python benchmarks/matching.py --work /somewhere --root DATA/market-mini    on photographs, Market-1501's layout

A share of the training identities becomes query and gallery (`dataset.validation`). Every seed is one run of the
pipeline; the variants of `evaluate` are then tried on the last round's embeddings. Finished seeds are kept in WORK.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, get_args

import click
import pandas as pd
from runs import QUARTER_SCHEDULE, Checkout, spread

from hcga.evaluation import evaluate_retrieval
from hcga.params import Evaluate
from hcga.samples import read_samples
from hcga.stage import PATH
from hcga.stores import open_store

SHARE = 0.3  # of the training identities, held out
FEATURES = ["I", "F", "P", "F+P", "I+F+P"]
# On synthetic people the default's own schedule and rounds, else a quarter of the paper's in three rounds.
ROUNDS = {f"r{n}": {"prev": f"r{n - 1}" if n > 1 else "init", "until_epoch": 10 * n} for n in (1, 2, 3)}


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the clone and the results.")
@click.option("--root", type=PATH, help="A data set.  [default: synthetic people]")
@click.option("--seeds", default="1,2,3", show_default=True)
def main(work: Path, root: Path | None, seeds: str) -> None:
    """Print Rank-1 and mAP of each variant: mean over seeds, and the range in brackets."""
    name = root.name if root else "synthetic"
    tables = []
    for seed in (int(text) for text in seeds.split(",")):
        target = work / f"matching-{name}-{seed}.csv"
        if not target.exists():
            checkout = Checkout(work)
            checkout.repro({"seed": seed, "dataset.validation": SHARE, **on_photographs(root)})
            match(checkout).to_csv(target, index=False)
        tables.append(pd.read_csv(target).assign(seed=seed))
    grouped = pd.concat(tables).groupby(["features", "similarity", "visibility"], sort=False)[["rank1", "mAP"]]
    click.echo(f"{name}, {len(tables)} seed(s), held-out identities")
    click.echo(grouped.agg(spread).to_string())


def on_photographs(root: Path | None) -> dict[str, Any]:
    """Params of a run on a data set on disk; none for synthetic people."""
    if root is None:
        return {}
    return {
        "synthetic": None,
        "dataset.root": str(root.resolve()),
        "dataset.truth": None,
        "rounds": ROUNDS,
        **QUARTER_SCHEDULE,
    }


def match(checkout: Checkout) -> pd.DataFrame:
    """Try every variant of matching on the last round's embeddings."""
    samples = read_samples(checkout.root / "data/samples.csv")
    embeddings = open_store(checkout.root / "data/embeddings/r3.zarr")
    rows = []
    choices = [FEATURES, *(get_args(Evaluate.model_fields[key].annotation) for key in ("similarity", "visibility"))]
    for features, similarity, visibility in itertools.product(*choices):
        params = Evaluate(features=features, similarity=similarity, visibility=visibility, rerank=False)
        figures = evaluate_retrieval(embeddings, samples, params).figures
        rows.append({**params.model_dump(), "rank1": figures["rank1"], "mAP": figures["mAP"]})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
