"""Co-parsing, extraction and embedding here and by workers of a Dask cluster, both on this machine.

    python benchmarks/cluster.py --work /somewhere

The identities are those of benchmarks/coparsing.py: 22 images each, features of 256 channels, 64 x 32 cells. Images of
256 x 128 pixels go through tf_efficientnet_lite0. Here are processes of the pool, which are started within the time as
in a stage, or threads of one process; there are as many workers of one thread. Medians and ranges; the first run, with
which workers load PyTorch, does not count.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import numpy as np
from coparsing import IDENTITIES, IMAGES, SIZE, compute_features
from distributed import LocalCluster
from runs import REPOSITORY, median

from hcga.cluster.connection import connected
from hcga.coparsing.identity import label_identity
from hcga.coparsing.inputs import Input
from hcga.coparsing.memory import hcnet_bytes
from hcga.coparsing.pool import map_identities
from hcga.network.checkpoints import save_model
from hcga.network.forward import placed
from hcga.network.inference import embed, extract
from hcga.network.prnet import PRNet, new_card
from hcga.params import Dask, load_params
from hcga.runs.stage import PATH
from hcga.store_writing import write_store
from hcga.stores import open_store

SEEN = 256  # images that are extracted and embedded


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for images, features and a network.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(work: Path, repeats: int) -> None:
    """Print seconds for all identities and images, by 1 and 2 processes, threads or workers."""
    if not (work / "features.zarr").exists():
        write_store(work / "features.zarr", {"features": compute_features(work)})
    if not (work / "images.zarr").exists():
        pixels = np.random.default_rng(0).integers(0, 256, (SEEN, *SIZE, 3), np.uint8)
        write_store(work / "images.zarr", {"images": pixels})
    card = new_card("tf_efficientnet_lite0", 256, True, 4, 2, SIZE)
    save_model(PRNet(card), card, work / "model.safetensors")
    stages: dict[str, Callable[..., list[float]]]
    stages = {"coparse": coparse, "extract": infer, "embed": partial(infer, matching=True)}
    for count in (1, 2):
        with workers(count) as dask:
            for name, run in stages.items():
                here, there = (median(run(work, count, repeats, on)) for on in (None, dask))
                click.echo(f"{name}, {count}: here {here} s, Dask {there} s")


def coparse(work: Path, count: int, repeats: int, dask: Dask | None) -> list[float]:
    """Label all identities."""
    camids = np.tile(np.arange(IMAGES) * 4 // IMAGES, IDENTITIES)
    label = partial(label_identity, params=load_params(REPOSITORY / "params.yaml").coparse, seed=(0,))
    rows = {pid: np.arange(IMAGES) + IMAGES * pid for pid in range(IDENTITIES)}
    source = Input(work / "features.zarr", "features")
    with connected(dask, "cpu", 1) as cluster:
        return times(lambda: list(map_identities(label, source, rows, camids, count, hcnet_bytes, cluster)), repeats)


def infer(work: Path, count: int, repeats: int, dask: Dask | None, matching: bool = False) -> list[float]:
    """Extract, or embed, all images."""
    images = open_store(work / "images.zarr")
    with placed(work / "model.safetensors", "cpu", 1 if dask else count, dask) as (network, card):

        def run() -> None:
            with tempfile.TemporaryDirectory(dir=work) as folder:
                if matching:
                    embed(network, card, images, 4.0, Path(folder) / "embeddings.zarr")
                else:
                    extract(network, card, images, SEEN, Path(folder) / "features.zarr")

        return times(run, repeats)


def times(run: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each run but the first."""
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return taken[1:]


@contextmanager
def workers(count: int) -> Iterator[Dask]:
    """Start workers as processes of this machine."""
    with LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster:  # type: ignore[no-untyped-call]
        yield Dask(scheduler=cluster.scheduler_address, cluster=None, share=None, stages=["coparse"])


if __name__ == "__main__":
    main()
