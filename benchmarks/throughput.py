"""How near extraction and training come to the bare network: run it in a folder where `dvc repro` has run.

    python benchmarks/throughput.py

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

from hcga.checkpoints import load_model, load_optimiser
from hcga.devices import choose_device, precision
from hcga.inference import BATCH, extract
from hcga.optimisation import build_optimiser
from hcga.prnet import Card, PRNet
from hcga.samples import identities, read_samples
from hcga.sampling import pk_batches
from hcga.stores import array, open_store
from hcga.training import TrainingSet, hold_images, load_batch, train, training_step
from hcga.workspace import Workspace


@click.command()
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
def main(repeats: int) -> None:
    """Print images a second, whole and bare, and their ratio."""
    logging.disable()
    workspace = Workspace(Path())
    device = choose_device(workspace.params.device)
    with_extraction(workspace, device, repeats)
    with_training(workspace, device, repeats)


def with_extraction(workspace: Workspace, device: torch.device, repeats: int) -> None:
    """Stage extract of the first round against the forward pass alone."""
    network, card = load_model(workspace.path("initialise", "model"))
    images = array(open_store(workspace.path("prepare", "images")), "images")
    count = int((read_samples(workspace.path("prepare", "samples"))["split"] == "train").sum())
    batches = torch.from_numpy(np.asarray(images[:count])).to(device).split(BATCH)
    network = network.to(device)

    def bare() -> None:
        for batch in batches:
            with torch.inference_mode(), precision(device):
                network.maps(batch)
        synchronise(device)

    compare("extract", count, repeats, lambda: extract_once(network, card, images, count), bare)


def extract_once(network: PRNet, card: Card, images: object, count: int) -> None:
    """As stage extract does, into a folder that is then removed."""
    with tempfile.TemporaryDirectory() as folder:
        extract(network, card, images, count, None, Path(folder) / "features.zarr")  # type: ignore[arg-type]


def with_training(workspace: Workspace, device: torch.device, repeats: int) -> None:
    """An epoch of stage train of the first round against its steps alone."""
    params = workspace.params
    network, _ = load_model(workspace.path("initialise", "model"))
    optimiser = build_optimiser(network.to(device), params.train)
    load_optimiser(optimiser, workspace.path("initialise", "optimiser"))
    masks = np.asarray(array(open_store(workspace.path("coparse", "masks", "r1")), "masks")[:])
    samples = read_samples(workspace.path("prepare", "samples"))
    images = hold_images(array(open_store(workspace.path("prepare", "images")), "images"), len(masks))
    data = TrainingSet(images, masks, samples, parsing=True)
    rng = np.random.default_rng(0)
    rows_of = identities(samples)
    batches = list(pk_batches(rows_of, params.train.identities, params.train.images, rng))
    classes = {pid: number for number, pid in enumerate(rows_of)}
    targets = [torch.tensor([classes[int(samples["pid"][row])] for row in rows]).to(device) for rows in batches]
    loaded = [load_batch(data, rows, params.train, network.mean, rng) for rows in batches]
    network.train()

    def bare() -> None:
        for (pixels, labels), target in zip(loaded, targets, strict=True):
            training_step(network, optimiser, pixels, labels, target, True, params.train, params.gam.t)
        synchronise(device)

    def whole() -> None:
        train(network, optimiser, data, params.train, params.gam.t, range(1), params.seed)

    compare("train", sum(len(rows) for rows in batches), repeats, whole, bare)


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
