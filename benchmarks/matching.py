"""Which way of matching is best, decided on identities held out of training: the test identities stay unseen.

    python benchmarks/matching.py --work /somewhere                         on synthetic people
    python benchmarks/matching.py --work /somewhere --root DATA/market-mini    on photographs, Market-1501's layout

A share of the training identities becomes query and gallery (`prepare.validation`). Every seed is one run of the
pipeline; the variants of `evaluate` are then tried on the last round's embeddings. Finished seeds are kept in WORK.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import pandas as pd
import zarr
from ruamel.yaml import YAML
from runs import QUARTER_SCHEDULE, Checkout, data_set, spread

from hcga.params import Evaluate
from hcga.retrieval.stored import evaluate_retrieval
from hcga.retrieval.visibility import read_statistics, visible_parts
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
@click.option("--set", "settings", multiple=True, help="Also try a param: train.parsing_weight=1.0; repeatable.")
def main(work: Path, root: Path | None, seeds: str, settings: tuple[str, ...]) -> None:
    """Print Rank-1, mAP and the share of empty parts of each variant: mean over seeds, and the range in brackets."""
    name = "-".join([root.name if root else "synthetic", *settings])
    changes = {key: YAML(typ="safe").load(value) for key, _, value in (setting.partition("=") for setting in settings)}
    tables = []
    for seed in (int(text) for text in seeds.split(",")):
        target = work / f"matching-{name}-{seed}.csv"
        if not target.exists():
            checkout = Checkout(work)
            checkout.repro({"seed": seed, "prepare.validation": SHARE, **on_photographs(root), **changes})
            match(checkout).to_csv(target, index=False)
        tables.append(pd.read_csv(target).assign(seed=seed))
    keys = ["features", "similarity", "visibility"]
    grouped = pd.concat(tables).groupby(keys, sort=False)[["rank1", "mAP", "empty"]]
    click.echo(f"{name}, {len(tables)} seed(s), held-out identities")
    click.echo(grouped.agg(spread).to_string())


def on_photographs(root: Path | None) -> dict[str, Any]:
    """Params of a run on a data set on disk; none for synthetic people."""
    if root is None:
        return {}
    return {**data_set(root, None), "rounds": ROUNDS, **QUARTER_SCHEDULE}


def match(checkout: Checkout) -> pd.DataFrame:
    """Try every variant of matching on the last round's embeddings."""
    samples = read_samples(checkout.root / "data/samples.csv")
    embeddings = open_store(checkout.root / "data/embeddings/r3.zarr")
    rows = []
    choices = [FEATURES, *(get_args(Evaluate.model_fields[key].annotation) for key in ("similarity", "visibility"))]
    for features, similarity, visibility in itertools.product(*choices):
        params = Evaluate(
            features=features, similarity=similarity, visibility=visibility, least_share=0.02, rerank=False
        )
        figures = evaluate_retrieval(embeddings, samples, params).figures
        empty = empty_parts(embeddings, samples, params)
        rows.append({**params.model_dump(), "rank1": figures["rank1"], "mAP": figures["mAP"], "empty": empty})
    return pd.DataFrame(rows)


def empty_parts(embeddings: zarr.Group, samples: pd.DataFrame, params: Evaluate) -> float:
    """Share of the queries' visible parts to which GAM leaves no cell, in per cent."""
    statistics = read_statistics(embeddings, np.flatnonzero(samples["split"] == "query"))
    visible = visible_parts(statistics, params)
    return 100 * float(visible[statistics.guided == 0].sum() / visible.sum())


if __name__ == "__main__":
    main()
