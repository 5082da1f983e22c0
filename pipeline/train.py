"""Stage train: PRNet on this round's masks (III-C, IV-A)."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import click

from hcga.checkpoints import load_model, load_optimiser, save_model, save_optimiser
from hcga.devices import choose_device
from hcga.environment import environment
from hcga.files import fresh, run_key, scratch
from hcga.optimisation import build_optimiser
from hcga.resuming import Keeper, State
from hcga.stage import PATH, stage
from hcga.stopping import stop_requests
from hcga.training import train
from hcga.training_memory import refuse_large_batch
from hcga.training_set import read_training_set


@stage("device", "gam", "seed", "threads", "train")
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
    device = choose_device(params.device, params.threads)
    read = ("samples", "images", "masks", "from_model", "from_optimiser")
    inputs = [Path(__file__), *(paths[name] for name in read)]
    here = environment(device)
    key = run_key(inputs, params.train, params.gam, params.seed, until_epoch, here)
    with scratch(paths["model"], key) as folder, stop_requests() as stop:
        state = (keeper := Keeper(folder, stop)).latest() or State(paths["from_model"], paths["from_optimiser"])
        network, card = load_model(state.model)
        optimiser = build_optimiser(network.to(device), params.train)
        load_optimiser(optimiser, state.optimiser)
        data = read_training_set(paths["samples"], paths["images"], paths["masks"])
        keeper.require_disk(network)
        refuse_large_batch(network, (card.height, card.width), params.train, params.gam.t)
        epochs = range(card.epoch, until_epoch)
        keep = partial(keeper.offer, card)
        history = train(network, optimiser, data, params.train, params.gam.t, epochs, params.seed, state.reached, keep)
        with fresh(paths["history"]) as draft:
            history.to_csv(draft, index=False, lineterminator="\n")
        save_optimiser(optimiser, paths["optimiser"])
        about = {"epoch": until_epoch, "seed": params.seed, "environment": here}
        about |= {"parsing": data.parsing, "image_set": data.image_set}
        save_model(network, card.model_copy(update=about), paths["model"])


if __name__ == "__main__":
    main()
