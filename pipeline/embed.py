"""Stage embed: features of all images for matching (III-D)."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.checkpoints import load_model
from hcga.devices import choose_device
from hcga.environment import environment
from hcga.files import run_key
from hcga.inference import embed
from hcga.stage import PATH, stage
from hcga.stores import open_store


@stage("device", "embed", "gam", "threads")
@click.option("--images", type=PATH, required=True)
@click.option("--model", type=PATH, required=True)
@click.option("--embeddings", type=PATH, required=True, help="Store to write.")
def main(params: SimpleNamespace, images: Path, model: Path, embeddings: Path) -> None:
    """Write image, foreground and part features, part visibility and parsed labels."""
    device = choose_device(params.device, params.threads)
    network, card = load_model(model)
    key = run_key([Path(__file__), model, images], params.embed, params.gam, environment(device))
    store, choices = open_store(images), params.embed.model_dump()
    embed(network.to(device), card, store, params.gam.t, embeddings, key, **choices)


if __name__ == "__main__":
    main()
