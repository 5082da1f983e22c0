"""Stage train: PRNet on this round's masks (III-C, IV-A)."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.checkpoints import load_model, load_optimiser, save_model, save_optimiser
from hcga.devices import choose_device
from hcga.files import fresh
from hcga.optimisation import build_optimiser
from hcga.samples import read_samples
from hcga.stage import PATH, stage
from hcga.stores import array, attribute, open_store, read_all
from hcga.training import TrainingSet, hold_images, train


@stage("device", "gam", "seed", "train")
@click.option("--samples", type=PATH, required=True)
@click.option("--images", type=PATH, required=True)
@click.option("--masks", type=PATH, required=True)
@click.option("--until-epoch", type=int, required=True, help="Train up to this epoch, counted over all rounds.")
@click.option("--from-model", type=PATH, required=True, help="Weights of the round before.")
@click.option("--from-optimiser", type=PATH, required=True)
@click.option("--model", type=PATH, required=True, help="Weights to write.")
@click.option("--optimiser", type=PATH, required=True, help="State of the optimisation to write.")
@click.option("--history", type=PATH, required=True, help="CSV to write, one row an epoch.")
def main(params: SimpleNamespace, until_epoch: int, **paths: Path) -> None:
    """Train PRNet on, from the state of the round before."""
    device = choose_device(params.device)
    network, card = load_model(paths["from_model"])
    optimiser = build_optimiser(network.to(device), params.train)
    load_optimiser(optimiser, paths["from_optimiser"])
    store = open_store(paths["masks"])
    masks = read_all(array(store, "masks"))
    data = TrainingSet(
        images=hold_images(array(open_store(paths["images"]), "images"), len(masks)),
        masks=masks,
        samples=read_samples(paths["samples"]),
        parsing=attribute(store, "source", str) != "none",
    )
    epochs = range(card.epoch, until_epoch)
    history = train(network, optimiser, data, params.train, params.gam.t, epochs, params.seed)
    with fresh(paths["history"]) as draft:
        history.to_csv(draft, index=False, lineterminator="\n")
    save_optimiser(optimiser, paths["optimiser"])
    save_model(network, card.model_copy(update={"epoch": until_epoch, "parsing": data.parsing}), paths["model"])


if __name__ == "__main__":
    main()
