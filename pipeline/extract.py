"""Stage extract: features of the training images (III-A, step 1)."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.cluster.connection import workers_of
from hcga.files import run_key
from hcga.network.forward import environment_of, placed
from hcga.network.inference import extract
from hcga.runs.stage import PATH, stage
from hcga.samples import read_samples_of
from hcga.stores import open_store


@stage("device", "threads")
@click.option("--samples", type=PATH, required=True)
@click.option("--images", type=PATH, required=True)
@click.option("--model", type=PATH, required=True, help="Weights of the round before.")
@click.option("--features", type=PATH, required=True, help="Store to write.")
def main(params: SimpleNamespace, samples: Path, images: Path, model: Path, features: Path) -> None:
    """Write the shared feature maps of the training images."""
    store = open_store(images)
    count = int((read_samples_of(samples, store)["split"] == "train").sum())
    with placed(model, params.device, params.threads, workers_of("extract", params.dask)) as (network, card):
        key = run_key([Path(__file__), model, images], count, environment_of(network))
        extract(network, card, store, count, features, key)


if __name__ == "__main__":
    main()
