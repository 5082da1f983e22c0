"""Stage evaluate: the figures of a round (III-D, IV-A)."""

import json
from pathlib import Path
from types import SimpleNamespace

import click

from hcga.evaluation import evaluate_round
from hcga.files import fresh
from hcga.occluders import read_occlusion
from hcga.runs.stage import PATH, stage
from hcga.samples import read_samples_of
from hcga.stores import open_store, open_store_of


@stage("evaluate")
@click.option("--samples", type=PATH, required=True)
@click.option("--embeddings", type=PATH, required=True)
@click.option("--masks", type=PATH, required=True)
@click.option("--table", type=PATH, required=True, help="Per-identity table of co-parsing.")
@click.option("--truth", type=PATH, required=True)
@click.option("--occlusion", type=PATH, required=True, help="What is known of occluders.")
@click.option("--skipped", type=PATH, required=True, help="Images that were left out.")
@click.option("--metrics", type=PATH, required=True, help="JSON to write.")
@click.option("--cmc", type=PATH, required=True, help="CSV to write: rank, cmc.")
@click.option("--rankings", type=PATH, required=True, help="CSV to write: the first images found for each query.")
@click.option("--identities", type=PATH, required=True, help="CSV to write: what is known of each identity's masks.")
def main(params: SimpleNamespace, **paths: Path) -> None:
    """Match queries with the gallery; measure masks, parsing head and visibility."""
    truth = open_store(paths["truth"])
    samples = read_samples_of(paths["samples"], truth)
    stores = {name: open_store_of(paths[name], truth) for name in ("embeddings", "masks")}
    found = evaluate_round(
        **stores,
        truth=truth,
        samples=samples,
        occlusion=read_occlusion(paths["occlusion"], samples),
        table_file=paths["table"],
        skipped_file=paths["skipped"],
        params=params.evaluate,
    )
    with fresh(paths["metrics"]) as draft:
        draft.write_text(json.dumps(found.figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    for name in ("cmc", "rankings", "identities"):
        with fresh(paths[name]) as draft:
            getattr(found, name).to_csv(draft, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
