"""What a training step of a network takes in memory: what is foreseen, and what a process then has at most.

    python benchmarks/memory.py --backbone resnet50 --height 256 --width 128

Linux; without a GPU. Weights are random.
"""

from __future__ import annotations

import click
import numpy as np
import torch
from runs import REPOSITORY, peak_memory

from hcga.devices import choose_device
from hcga.network.prnet import PRNet, new_card
from hcga.params import load_params
from hcga.training.loop import training_step
from hcga.training.memory import step_bytes
from hcga.training.optimisation import build_optimiser

MB = 2**20


@click.command()
@click.option("--backbone", default="tf_efficientnet_lite0", show_default=True)
@click.option("--height", default=128, show_default=True)
@click.option("--width", default=64, show_default=True)
@click.option("--steps", default=3, show_default=True)
def main(backbone: str, height: int, width: int, steps: int) -> None:
    """Print both in MB, the second without what the process had before it built the network."""
    params, device = load_params(REPOSITORY / "params" / "market1501.yaml"), choose_device("cpu")
    train, before = params.train, peak_memory()
    count, people = train.identities * train.images, 751
    network = PRNet(new_card(backbone, params.backbone.channels, True, params.part_classes, people, (height, width)))
    network = network.to(device).to(memory_format=torch.channels_last).train()
    foreseen = step_bytes(network, (count, height, width), params.gam.t)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (count, height, width, 3), np.uint8))
    masks = torch.from_numpy(rng.integers(0, params.part_classes, (count, height // 4, width // 4)))
    people_of = torch.arange(train.identities).repeat_interleave(train.images)
    optimiser = build_optimiser(network, train)
    for _ in range(steps):
        training_step(network, optimiser, images, masks, people_of, True, train, params.gam.t)
    click.echo(
        f"{backbone}, {count} images of {height} x {width}: foreseen {foreseen / MB:,.0f} MB at least, ", nl=False
    )
    click.echo(f"{peak_memory() - before:,.0f} MB at most in {steps} steps, beside {before:,.0f} MB before")


if __name__ == "__main__":
    main()
