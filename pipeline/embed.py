"""Stage embed: features of all images for matching (III-D)."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.cluster.connection import workers_of
from hcga.files import run_key
from hcga.network.forward import environment_of, placed
from hcga.network.inference import embed
from hcga.runs.stage import PATH, stage
from hcga.stores import open_store


@stage("device", "embed", "gam", "threads")
@click.option("--images", type=PATH, required=True)
@click.option("--model", type=PATH, required=True)
@click.option("--embeddings", type=PATH, required=True, help="Store to write.")
def main(params: SimpleNamespace, images: Path, model: Path, embeddings: Path) -> None:
    """Write image, foreground and part features, part visibility and parsed labels."""
    with placed(model, params.device, params.threads, workers_of("embed", params.dask)) as (network, card):
        key = run_key([Path(__file__), model, images], params.embed, params.gam, environment_of(network))
        choices = params.embed.model_dump()
        embed(network, card, open_store(images), params.gam.t, embeddings, key, **choices)


if __name__ == "__main__":
    main()
