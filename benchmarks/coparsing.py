"""Co-parsing on processor cores: against the plain formulation, by a second worker, memory.

    python benchmarks/coparsing.py --work /somewhere

Identities are synthetic people of 22 images (one of 64, for memory), 256 x 128 pixels, seen by tf_efficientnet_lite0
with ImageNet weights: features of 256 channels, 64 x 32 cells. The plain formulation is what the authors compute:
convolutions with biases in PyTorch's default layout, each term of the loss a criterion of its own, gradients by
automatic differentiation, a backward pass after the last forward pass too. Both start from the same weights and stop
alike, each in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
import torch
from ruamel.yaml import YAML
from runs import REPOSITORY
from torch import nn

from hcga.coparsing.decoder import build_decoder
from hcga.coparsing.identity import Labelling, label_identity, train_decoders
from hcga.coparsing.inputs import Input
from hcga.coparsing.memory import hcnet_bytes
from hcga.coparsing.pool import map_identities
from hcga.coparsing.winograd import to_tiles
from hcga.datasets.layouts.market1501 import read_market1501
from hcga.datasets.synthetic import synthesise
from hcga.images import load_image
from hcga.network.backbone import load_weights
from hcga.network.prnet import PRNet, new_card
from hcga.params import Coparse, load_params
from hcga.runs.stage import PATH
from hcga.store_writing import write_store
from hcga.stores import array, open_store

T = TypeVar("T")
IDENTITIES, IMAGES, LARGE = 8, 22, 64
SIZE = (256, 128)
WORKER = """
import os, sys, threading, time
from functools import partial
from pathlib import Path
import numpy as np
from hcga.coparsing.identity import label_identity
from hcga.coparsing.inputs import Input
from hcga.coparsing.memory import hcnet_bytes
from hcga.coparsing.pool import map_identities
from hcga.params import load_params
from hcga.stores import array, open_store

def watch():
    while True:
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                name = (status.parent / "cmdline").read_bytes()
                ours = os.getpgid(int(status.parent.name)) == os.getpgid(0)
                if not ours or b"multiprocessing" not in name or b"tracker" in name:
                    continue
                rollup = (status.parent / "smaps_rollup").read_text()
                sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
                peak[0] = max(peak[0], sizes["Rss"])
                peak[1] = max(peak[1], sizes["Private_Clean"] + sizes["Private_Dirty"])
            except OSError:
                pass
        time.sleep(0.02)

store, images = Path(sys.argv[1]), int(sys.argv[2])
count = array(open_store(store), "features").shape[0]
work = partial(label_identity, params=load_params("params.yaml").coparse, seed=(0,))
peak = [0, 0]
threading.Thread(target=watch, daemon=True).start()
source, rows, camids = Input(store, "features"), np.arange(count - images, count), np.zeros(count, int)
list(map_identities(work, source, {1: rows}, camids, 1, hcnet_bytes))
print(*(size // 1024 for size in peak))
"""  # a program of its own, since a worker loads again what its parent's script loads


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the features.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(work: Path, repeats: int) -> None:
    """Print a line a measurement."""
    params = load_params(REPOSITORY / "params.yaml").coparse
    store = work / "features.zarr"
    if not store.exists():
        write_store(store, {"features": compute_features(work)})
    camids = np.arange(IMAGES) * 4 // IMAGES
    plain, ours = (in_own_process(label_all, name, store, camids, params, repeats) for name in ("plain", "ours"))
    report(plain, ours)
    with_workers(store, camids, params, repeats)
    peak = subprocess.run(
        [sys.executable, "-c", WORKER, str(store.resolve()), str(LARGE)],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    whole, own = peak.stdout.split()
    click.echo(f"memory of a worker, {LARGE} images: {own} MB of its own, {whole} MB with what all of them share")


def label_all(
    name: str, store: Path, camids: np.ndarray, params: Coparse, repeats: int
) -> list[tuple[float, Labelling]]:
    """Median time and labels of each identity, on one core."""
    torch.set_num_threads(1)
    run = {"plain": train_plainly, "ours": train_ours}[name]
    features = np.asarray(array(open_store(store), "features")[: IDENTITIES * IMAGES])
    found = []
    for number, of_identity in enumerate(np.split(features, IDENTITIES)):
        taken = []
        for _ in range(repeats):
            decoder = build_decoder(
                features.shape[1], params.decoder_width, params.labels, [torch.Generator().manual_seed(number)]
            )
            began = time.perf_counter()
            labelling = run(decoder, torch.from_numpy(of_identity), torch.from_numpy(camids), params)
            taken.append(time.perf_counter() - began)
        found.append((float(np.median(taken)), labelling))
    return found


def report(plain: list[tuple[float, Labelling]], ours: list[tuple[float, Labelling]]) -> None:
    """Print times and how labels agree."""
    agreement = [100 * np.mean(one.labels == other.labels) for (_, one), (_, other) in zip(plain, ours, strict=True)]
    iterations = [[labelling.iterations for _, labelling in found] for found in (plain, ours)]
    slow, fast = (float(np.mean([seconds for seconds, _ in found])) for found in (plain, ours))
    click.echo(f"one core, {IMAGES} images: plain {slow:.2f} s an identity, ours {fast:.2f} s: {slow / fast:.2f} times")
    click.echo(f"iterations: plain {iterations[0]}, ours {iterations[1]}")
    click.echo(f"cells with the same label: {np.mean(agreement):.2f} %, at least {min(agreement):.2f} %")


def train_ours(decoder: nn.Sequential, features: torch.Tensor, camids: torch.Tensor, params: Coparse) -> Labelling:
    """As a worker does."""
    height, width = features.shape[2:]
    return train_decoders(decoder, to_tiles(features[None]), height, width, camids[None], params, [1])[0]


def train_plainly(decoder: nn.Sequential, features: torch.Tensor, camids: torch.Tensor, params: Coparse) -> Labelling:
    """What the authors' code computes, from the weights of `decoder`."""
    layers: list[nn.Module] = []
    for layer in decoder:
        if isinstance(layer, nn.Conv2d):
            made = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size[0], padding=layer.padding[0])
            made.weight = nn.Parameter(layer.weight.detach().contiguous())
            layers.append(made)
        else:
            layers.append(nn.BatchNorm2d(layer.num_features) if isinstance(layer, nn.BatchNorm2d) else nn.ReLU())
    network, values = nn.Sequential(*layers), features.float()
    optimiser = torch.optim.SGD(network.parameters(), params.learning_rate, params.momentum)
    classify, difference = nn.CrossEntropyLoss(), nn.L1Loss()
    paired = torch.from_numpy(np.flatnonzero(np.diff(camids.numpy()) == 0))

    def differ(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return difference(first - second, torch.zeros_like(first))

    iteration, left = 0, params.labels
    while iteration < params.iterations and left > params.min_labels:
        iteration += 1
        optimiser.zero_grad()
        output = network(values)
        cells = output.permute(0, 2, 3, 1).contiguous().view(-1, params.labels)
        labels = cells.argmax(1)
        left = len(np.unique(labels.numpy()))
        straight = differ(output[:, :, 1:], output[:, :, :-1]) + differ(output[..., 1:], output[..., :-1])
        diagonal = differ(output[:, :, 1:, 1:], output[:, :, :-1, :-1]) + differ(
            output[:, :, 1:, :-1], output[:, :, :-1, 1:]
        )
        local = straight + params.diagonal_weight * diagonal
        back = differ(output[paired], output[paired + 1])
        (classify(cells, labels) + params.local_weight * local + params.back_weight * back).backward()
        optimiser.step()
    shape = (len(features), *features.shape[2:])
    return Labelling(labels.view(shape).to(torch.uint8).numpy(), iteration, left)


def with_workers(store: Path, camids: np.ndarray, params: Coparse, repeats: int) -> None:
    """All identities by one and by two processes, their start included and taken off."""
    rows = {pid: np.arange(IMAGES) + IMAGES * (pid - 1) for pid in range(1, IDENTITIES + 1)}
    many = {pid: rows[(pid - 1) % IDENTITIES + 1] for pid in range(1, 4 * IDENTITIES + 1)}
    source = Input(store, "features")
    work, every = partial(label_identity, params=params, seed=(0,)), np.tile(camids, IDENTITIES)
    once = partial(work, params=params.model_copy(update={"iterations": 1}))
    times = {}
    for workers in (1, 2):
        few = {pid: rows[pid] for pid in range(1, workers + 1)}
        taken = []
        for _ in range(repeats):
            began = time.perf_counter()
            list(map_identities(once, source, few, every, workers, hcnet_bytes))
            started = time.perf_counter()
            list(map_identities(work, source, many, every, workers, hcnet_bytes))
            taken.append(time.perf_counter() - 2 * started + began)
        times[workers] = float(np.median(taken)) / len(many)
    click.echo(f"an identity, by 1 worker {times[1]:.2f} s, by 2 {times[2]:.2f} s: {times[1] / times[2]:.2f} times")


def in_own_process(work: Callable[..., T], *arguments: object) -> T:
    """Call a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def compute_features(work: Path) -> np.ndarray:
    """Features of all identities, the large one last: (N, 256, 64, 32) float16."""
    sets = (("small", IDENTITIES, IMAGES), ("large", 2, LARGE))
    settings = YAML(typ="safe").load(REPOSITORY / "params.yaml")["synthetic"] | {"height": SIZE[0], "width": SIZE[1]}
    network = PRNet(new_card("tf_efficientnet_lite0", 256, True, 4, 2, SIZE)).eval()
    load_weights(network.backbone, "tf_efficientnet_lite0", "package")
    found = []
    for name, count, images in sets:
        root = work / name
        synthesise(root, **settings | {"train_identities": count, "test_identities": 1, "images_per_identity": images})
        table = read_market1501(root).sort_values(["pid", "camid", "frame"])
        paths = table["path"][table["split"] == "train"].tolist()
        pixels = np.stack(
            [load_image(root / path, *SIZE) for path in paths[-images * (count if name == "small" else 1) :]]
        )
        with torch.inference_mode():
            found += [network.maps(torch.from_numpy(batch)).half().numpy() for batch in np.array_split(pixels, 8)]
    return np.concatenate(found)


if __name__ == "__main__":
    main()
