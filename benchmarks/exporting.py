"""Processor time an image takes in each form of a network: PyTorch, compiled, exported, and ONNX by onnxruntime.

    python benchmarks/exporting.py                                        tf_efficientnet_lite0 at 128 x 64
    python benchmarks/exporting.py --backbone hrnet_w32 --size 256x128    the paper's

Random weights (batch statistics those of noise), images of noise, one thread. Of processor time, as other work on the
machine takes none of it, the forms take turns, and the quickest run of all turns counts. Off is the largest difference
from PyTorch, as a share of the largest value: in the vectors of image and person and the highest probabilities. Under
parts, in the parts' vectors, where a cell at GAM's threshold may fall on the other side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
from torch import nn

from hcga.devices import choose_device
from hcga.network.prnet import Card, PRNet, new_card
from hcga.params import Embed, Gam, Matching
from hcga.using.card import NO_LICENCE, ModelCard, Use
from hcga.using.deployed import Deployed, Run, as_onnx, relative_deviation, run_module, run_onnx, trace

BATCHES = (1, 64)
COMPARED = {"off": ("image", "foreground", "peak"), "parts": ("parts",)}


@click.command()
@click.option("--backbone", default="tf_efficientnet_lite0", show_default=True)
@click.option("--size", default="128x64", show_default=True, help="Height x width, pixels.")
@click.option("--turns", type=click.IntRange(1), default=7, show_default=True)
@click.option("--seconds", type=float, default=1.0, show_default=True, help="Least time of a turn.")
def main(backbone: str, size: str, turns: int, seconds: float) -> None:
    """Print milliseconds an image, by form and batch."""
    choose_device("cpu", threads=1)
    height, width = (int(text) for text in size.split("x"))
    deployed = new_deployed(new_card(backbone, 256, True, 4, 2, (height, width)).model_copy(update={"parsing": True}))
    forms = new_forms(deployed)
    rng = np.random.default_rng(1)
    rows: dict[str, dict[str, str]] = {name: {} for name in forms}
    for batch in BATCHES:
        images = rng.integers(0, 256, (batch, height, width, 3), np.uint8)
        wanted = run_module(deployed)(images)
        best = dict.fromkeys(forms, float("inf"))
        for name, run in forms.items():  # the first run compiles
            found = run(images)
            for what, outputs in COMPARED.items():
                off = max(relative_deviation(wanted[output], found[output]) for output in outputs)
                rows[name] |= {f"{what}, {batch}": f"{off:.0e}"}
        for _ in range(turns):
            for name, run in forms.items():
                best[name] = min(best[name], time_an_image(run, images, seconds))
        for name, milliseconds in best.items():
            rows[name] |= {f"ms, {batch}": f"{milliseconds:.2f}"}
    click.echo(f"{backbone}, {size}, one thread, quickest run of {turns} turns:")
    click.echo(
        pd.DataFrame(rows).T[[f"{what}, {batch}" for batch in BATCHES for what in ("ms", *COMPARED)]].to_string()
    )


def new_deployed(card: Card) -> Deployed:
    """Draw a network at random."""
    matching = Matching(features="F+P", similarity="paper", visibility="any", least_share=0.01, least_confidence=0.75)
    use = Use(
        gam=Gam(t=4.0),
        embed=Embed(binary=None, flip=False),
        matching=matching,
        round="r1",
        datasets={},
        validation=None,
        figures={},
        initial_weights="none",
        code="none",
        licence=NO_LICENCE,
        hcga="none",
        params={},
    )
    torch.manual_seed(0)
    network = PRNet(card)
    nn.init.normal_(network.parsing_head.weight, std=0.2)  # else all probabilities lie at GAM's threshold
    settle(network, card)
    return Deployed(network, ModelCard(**card.model_dump(), use=use))


def settle(network: PRNet, card: Card) -> None:
    """Give batch norms the statistics of noise, so that values neither vanish nor explode."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randint(256, (8, card.height, card.width, 3), dtype=torch.uint8), 4.0)
    network.eval()


def new_forms(deployed: Deployed) -> dict[str, Run]:
    """Each form of a network, ready to run."""
    program = trace(deployed)
    compiled: Any = torch.compile(deployed, dynamic=True)  # as docs/using.md says
    return {
        "PyTorch": run_module(deployed),
        "torch.compile": run_module(compiled),
        "ExportedProgram": run_module(program.module()),
        "ONNX": run_onnx(as_onnx(program, {}), threads=1),
    }


def time_an_image(run: Callable[[np.ndarray], object], images: np.ndarray, seconds: float) -> float:
    """Milliseconds of processor time an image in the quickest of as many runs as fill some seconds."""
    until = time.perf_counter() + seconds
    times: list[float] = []
    while not times or time.perf_counter() < until:
        began = time.process_time()
        run(images)
        times.append(time.process_time() - began)
    return 1000 * min(times) / len(images)


if __name__ == "__main__":
    main()
