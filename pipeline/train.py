"""Stage train: PRNet on this round's masks (III-C, IV-A)."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import click

from hcga.files import fresh, run_key
from hcga.network.checkpoints import save_model, save_optimiser
from hcga.runs.environment import environment
from hcga.runs.stage import PATH, stage
from hcga.runs.stopping import stop_requests
from hcga.training.batches import read_training_set
from hcga.training.distributed import joined, launch
from hcga.training.loop import train
from hcga.training.memory import refuse_large_batch
from hcga.training.resuming import Keeper


@stage("device", "gam", "processes", "seed", "threads", "train")
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
    launch(params.processes)
    names = ("samples", "images", "masks", "from_model", "from_optimiser")
    inputs = [Path(__file__), *(paths[name] for name in names)]
    with joined(params.device) as ranks:
        device = ranks.device(params.device, params.threads)
        here = environment(device)
        key = run_key(inputs, params.train, params.gam, params.seed, until_epoch, here)
        with ranks.scratch(paths["model"], key) as folder:
            keeper = Keeper(folder, ranks.first)
            files = paths["from_model"], paths["from_optimiser"]
            network, card, optimiser, reached = keeper.begin(*files, params.train, device)
            data = read_training_set(paths["samples"], paths["images"], paths["masks"])
            refuse_large_batch(network, optimiser, (card.height, card.width), params.train, params.gam.t, ranks)
            settings = params.train, params.gam.t, range(card.epoch, until_epoch), params.seed
            with stop_requests() as asked:
                keep = partial(keeper.offer, card, ranks.agree(asked))
                history = train(network, optimiser, data, *settings, reached, keep, ranks)
            if ranks.first:
                with fresh(paths["history"]) as draft:
                    history.to_csv(draft, index=False, lineterminator="\n")
                save_optimiser(optimiser, paths["optimiser"])
                about = {"epoch": until_epoch, "seed": params.seed, "environment": here, "parsing": data.parsing}
                save_model(network, card.model_copy(update={**about, "image_set": data.image_set}), paths["model"])


if __name__ == "__main__":
    main()
