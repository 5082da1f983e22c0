"""How near extraction and training come to the bare network: run it in a folder where `dvc repro` has run.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --backbone hrnet_w32 --size 256x128    extraction with another network

Bare is the network on batches that lie in memory: forward pass (extract), or forward pass, loss, backward pass and
step of the optimisation (train). Whole is what the stage does: reading, augmenting, writing and logging with it, but
not the start of the process. Both in turn; medians.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
import zarr
from torch.nn import functional

from hcga.artifacts import open_images
from hcga.devices import choose_device, precision
from hcga.network.checkpoints import load_model, load_optimiser
from hcga.network.inference import BATCH, extract
from hcga.network.prnet import Card, PRNet, new_card
from hcga.runs.workspace import Workspace
from hcga.samples import identities, read_samples
from hcga.store_writing import write_store
from hcga.stores import array, open_store
from hcga.training.batches import TrainingSet, hold_images, load_batch
from hcga.training.loop import train, training_step
from hcga.training.optimisation import build_optimiser
from hcga.training.sampling import pk_batches


@click.command()
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--backbone", help="Extract with this timm network and random weights instead.")
@click.option("--size", default="256x128", show_default=True, help="Its input: height x width, pixels.")
@click.option("--images", "count", type=click.IntRange(1), default=128, show_default=True, help="Its images.")
def main(repeats: int, backbone: str | None, size: str, count: int) -> None:
    """Print images a second, whole and bare, and their ratio."""
    logging.disable()
    workspace = Workspace(Path())
    device = choose_device(workspace.params.device)
    images = open_images(workspace)
    if backbone:
        height, width = (int(text) for text in size.split("x"))
        card = new_card(backbone, 256, True, 4, 2, (height, width))
        network = PRNet(card).eval()
        with tempfile.TemporaryDirectory() as folder:
            larger = torch.from_numpy(np.asarray(array(images, "images")[:count])).permute(0, 3, 1, 2)
            larger = functional.interpolate(larger, (height, width), mode="bilinear").permute(0, 2, 3, 1)
            write_store(Path(folder) / "images.zarr", {"images": larger.numpy()})
            with_extraction(network.to(device), card, open_store(Path(folder) / "images.zarr"), len(larger), repeats)
        return
    network, card = load_model(workspace.path("initialise", "model"))
    count = int((read_samples(workspace.path("prepare", "samples"))["split"] == "train").sum())
    with_extraction(network.to(device), card, images, count, repeats)
    training = Training(workspace, device)
    compare("train", training.images, repeats, training.epoch, training.bare)


def with_extraction(network: PRNet, card: Card, images: zarr.Group, count: int, repeats: int) -> None:
    """Extraction against the forward pass alone."""
    device = network.mean.device
    batches = torch.from_numpy(np.asarray(array(images, "images")[:count])).to(device).split(BATCH)

    def bare() -> None:
        for batch in batches:
            with torch.inference_mode(), precision(device):
                network.maps(batch)
        synchronise(device)

    compare(f"extract, {card.backbone}", count, repeats, lambda: extract_once(network, card, images, count), bare)


def extract_once(network: PRNet, card: Card, images: zarr.Group, count: int) -> None:
    """As stage extract does, into a folder that is then removed."""
    with tempfile.TemporaryDirectory() as folder:
        extract(network, card, images, count, Path(folder) / "features.zarr")


class Training:
    """An epoch of stage train of the first round, whole and by its steps alone."""

    def __init__(self, workspace: Workspace, device: torch.device) -> None:
        self.params = workspace.params
        network, _ = load_model(workspace.path("initialise", "model"))
        self.network = network.to(device)
        self.optimiser = build_optimiser(self.network, self.params.train)
        load_optimiser(self.optimiser, workspace.path("initialise", "optimiser"))
        masks = np.asarray(array(open_store(workspace.path("coparse", "masks", "r1")), "masks")[:])
        samples = read_samples(workspace.path("prepare", "samples"))
        images = hold_images(array(open_store(workspace.path("prepare", "images")), "images"), len(masks))
        self.data = TrainingSet(images, masks, samples, parsing=True)
        rng = np.random.default_rng(0)
        rows_of = identities(samples)
        batches = list(pk_batches(rows_of, self.params.train.identities, self.params.train.images, rng))
        classes = {pid: number for number, pid in enumerate(rows_of)}
        self.images = sum(len(rows) for rows in batches)
        self.loaded = []
        for rows in batches:
            targets = torch.tensor([classes[int(samples["pid"][row])] for row in rows]).to(device)
            self.loaded.append((*load_batch(self.data, rows, self.params.train, network.mean, rng), targets))
        self.network.train()

    def step(self, number: int = 0) -> None:
        """One step on a batch in memory."""
        pixels, masks, targets = self.loaded[number]
        params = self.params
        training_step(self.network, self.optimiser, pixels, masks, targets, True, params.train, params.gam.t)

    def bare(self) -> None:
        """All steps of an epoch."""
        for number in range(len(self.loaded)):
            self.step(number)
        synchronise(self.network.mean.device)

    def epoch(self) -> None:
        """All that the stage does in an epoch."""
        params = self.params
        train(self.network, self.optimiser, self.data, params.train, params.gam.t, range(1), params.seed)


def compare(name: str, images: int, repeats: int, whole: Callable[[], None], bare: Callable[[], None]) -> None:
    """Time both in turn and print a line."""
    times: dict[str, list[float]] = {"whole": [], "bare": []}
    for _ in range(repeats + 1):
        for kind, run in (("whole", whole), ("bare", bare)):
            began = time.perf_counter()
            run()
            times[kind].append(time.perf_counter() - began)
    slow, fast = (float(np.median(taken[1:])) for taken in times.values())  # the first warms up
    click.echo(f"{name}: {images / slow:.0f} images/s, bare {images / fast:.0f}: {100 * fast / slow:.0f} %")


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
