"""Stage initialise: the state before the first round."""

from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import torch

from hcga.masks.parts import STRIDE, UNLABELLED
from hcga.network.checkpoints import save_model, save_optimiser
from hcga.network.initialisation import initial_network
from hcga.runs.stage import PATH, stage
from hcga.samples import identities, read_samples_of
from hcga.store_writing import write_store
from hcga.stores import array, image_set, open_store


@stage("backbone", "part_classes", "pooling", "seed")
@click.option("--samples", type=PATH, required=True)
@click.option("--images", type=PATH, required=True)
@click.option("--model", type=PATH, required=True, help="Weights to write.")
@click.option("--optimiser", type=PATH, required=True, help="State of the optimisation to write.")
@click.option("--masks", type=PATH, required=True, help="Store of masks to write, in which nothing is labelled yet.")
def main(params: SimpleNamespace, samples: Path, images: Path, model: Path, optimiser: Path, masks: Path) -> None:
    """Build PRNet with pretrained weights, an optimisation that has not begun, and masks that say nothing."""
    store = open_store(images)
    table = read_samples_of(samples, store)
    height, width = array(store, "images").shape[1:3]
    network, card = initial_network(
        params.backbone, params.part_classes, params.pooling, len(identities(table)), (height, width), params.seed
    )
    unlabelled = np.full((sum(table["split"] == "train"), height // STRIDE, width // STRIDE), UNLABELLED, np.uint8)
    save_model(network, card, model)
    save_optimiser(torch.optim.Adam(network.parameters()), optimiser)  # no step yet: a state without entries
    write_store(masks, {"masks": unlabelled, "labels": unlabelled}, source="none", **image_set(store))


if __name__ == "__main__":
    main()
