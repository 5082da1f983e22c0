"""Work of each stage beside what this machine could do: run it in a folder where `dvc repro` has run.

    python benchmarks/costs.py

GFLOP are those of products of matrices and convolutions, as PyTorch counts them, two a multiplication; MB are what the
stage must read and write, uncompressed. Limit is the time that this takes if the machine multiplies matrices, and reads
and writes memory, as fast as it does alone. Seconds are those of the first round (one epoch of training), without the
start of the process.
"""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd
import torch
from throughput import Training, extract_once, synchronise
from torch.utils.flop_counter import FlopCounterMode

from hcga.artifacts import open_images
from hcga.coparsing.coparse import coparse
from hcga.coparsing.sources import Material
from hcga.devices import choose_device, precision
from hcga.masks.parts import STRIDE, UNLABELLED
from hcga.network.checkpoints import load_model
from hcga.network.inference import BATCH, embed
from hcga.retrieval.stored import evaluate_retrieval
from hcga.runs.workspace import Workspace
from hcga.samples import read_samples
from hcga.stores import array, open_store

COPARSE = 141_312  # multiplications a cell and iteration, forward and back (docs/performance.md)
BACK = 2 / 3  # share of them on the way back, which the last iteration does not go


class Stage(NamedTuple):
    """What a stage has to do, and a call that does it."""

    name: str
    flop: float
    moved: float  # bytes
    run: Callable[[], object]


@click.command()
def main() -> None:
    """Print a table."""
    logging.disable()
    workspace = Workspace(Path())
    device = choose_device(workspace.params.device)
    products, memory = product_speed(device), memory_speed(device)
    rows = []
    for stage in (*with_network(workspace, device), with_coparsing(workspace, device), with_matching(workspace)):
        limit, seconds = stage.flop / products + stage.moved / memory, measure(stage.run, device)
        rows.append([stage.name, stage.flop / 1e9, stage.moved / 2**20, seconds, limit, 100 * limit / seconds])
    click.echo(f"{products / 1e9:.0f} GFLOP/s, {memory / 2**30:.1f} GiB/s")
    table = pd.DataFrame(rows, columns=["stage", "GFLOP", "MB", "seconds", "limit", "of limit, %"])
    click.echo(table.round(2).to_string(index=False))


def with_network(workspace: Workspace, device: torch.device) -> Iterator[Stage]:
    """Extraction, an epoch of training, embedding."""
    store = open_images(workspace)
    images = array(store, "images")
    count = int((read_samples(workspace.path("prepare", "samples"))["split"] == "train").sum())
    network, card = load_model(workspace.path("initialise", "model"))
    network = network.to(device)
    batch = torch.from_numpy(np.asarray(images[:BATCH])).to(device)
    flop = count_flop(lambda: network.maps(batch)) / len(batch)
    of_image = images.nbytes / images.shape[0]
    stored = card.channels * card.height * card.width // STRIDE**2 * 2
    yield Stage(
        "extract",
        flop * count,
        (of_image + stored) * count,
        lambda: extract_once(network, card, store, count),
    )
    training = Training(workspace, device)
    yield Stage(
        "train, an epoch",
        3 * flop * training.images,  # what PyTorch counts for the way back of grouped convolutions is too much
        of_image * training.images,
        training.epoch,
    )

    def embed_once() -> None:
        with tempfile.TemporaryDirectory() as folder:
            embed(
                network,
                card,
                store,
                workspace.params.gam.t,
                Path(folder) / "embeddings.zarr",
                **workspace.params.embed.model_dump(),
            )

    written = open_store(workspace.path("embed", "embeddings", "r1"))
    stored = sum(array(written, name).nbytes for name in written.array_keys())
    yield Stage("embed", flop * images.shape[0], images.nbytes + stored, embed_once)


def with_coparsing(workspace: Workspace, device: torch.device) -> Stage:
    """Co-parsing, its workers' start included."""
    params = workspace.params
    samples = read_samples(workspace.path("prepare", "samples"))
    features = workspace.path("extract", "features", "r1")
    maps = array(open_store(features), "features")
    previous = np.asarray(array(open_store(workspace.path("initialise", "masks")), "masks")[:])
    table = pd.read_csv(workspace.path("coparse", "table", "r1"))
    passes = float((table["images"] * (table["iterations"] - BACK)).sum()) * maps.shape[2] * maps.shape[3]
    elsewhere = np.full_like(previous, UNLABELLED)
    material = Material(
        samples=samples,
        features=features,
        images=workspace.path("prepare", "images"),
        external=elsewhere,
        params=params.coparse,
        part_classes=params.part_classes,
        seed=(params.seed, 0),
        device=device,
    )
    return Stage(
        "coparse",
        2 * COPARSE * passes,
        maps.nbytes + 2 * previous.nbytes,
        lambda: coparse(material, previous, elsewhere),
    )


def with_matching(workspace: Workspace) -> Stage:
    """Matching and ranking, all figures."""
    samples = read_samples(workspace.path("prepare", "samples"))
    embeddings = open_store(workspace.path("embed", "embeddings", "r1"))
    vectors = [array(embeddings, name) for name in ("foreground", "parts")]
    numbers = sum(math.prod(values.shape[1:]) for values in vectors)
    queries, gallery = (int((samples["split"] == split).sum()) for split in ("query", "gallery"))
    return Stage(
        "evaluate",
        2 * queries * gallery * numbers,
        sum(values.nbytes for values in vectors),
        lambda: evaluate_retrieval(embeddings, samples, workspace.params.evaluate),
    )


def count_flop(work: Callable[[], object]) -> float:
    """Floating-point operations of a piece of work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def measure(work: Callable[[], object], device: torch.device, repeats: int = 3) -> float:
    """Median seconds after a first time."""
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        synchronise(device)
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[1:]))


def product_speed(device: torch.device) -> float:
    """Operations a second of a product of large matrices, in the precision of the networks."""
    left, right = torch.rand((2, 4096, 4096), device=device)
    with precision(device):
        return 2 * 4096**3 / measure(lambda: left @ right, device)


def memory_speed(device: torch.device) -> float:
    """Bytes a second that a copy reads, and writes again."""
    source = torch.rand(2**26, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / measure(lambda: target.copy_(source), device)


if __name__ == "__main__":
    main()
