"""Co-parsing by processes of a pool and by workers of a Dask cluster, both on this machine.

    python benchmarks/cluster.py --work /somewhere

The identities are those of benchmarks/coparsing.py: 22 images each, features of 256 channels, 64 x 32 cells. Workers
run before the clock does; processes of the pool are started within it, as in a stage. The best of some runs is printed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import numpy as np
from coparsing import IDENTITIES, IMAGES, compute_features
from distributed import LocalCluster
from runs import REPOSITORY

from hcga.cluster.connection import connected
from hcga.cluster.workers import Workers
from hcga.coparsing.identity import label_identity
from hcga.coparsing.inputs import Input
from hcga.coparsing.memory import hcnet_bytes
from hcga.coparsing.pool import Work, map_identities
from hcga.params import Dask, load_params
from hcga.stage import PATH
from hcga.store_writing import write_store


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the features.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(work: Path, repeats: int) -> None:
    """Print seconds for all identities, by 1 and 2 processes or workers."""
    store = work / "features.zarr"
    if not store.exists():
        write_store(store, {"features": compute_features(work)})
    camids = np.tile(np.arange(IMAGES) * 4 // IMAGES, IDENTITIES)
    label = partial(label_identity, camids=camids, params=load_params(REPOSITORY / "params.yaml").coparse, seed=(0,))
    for count in (1, 2):
        here = min(seconds(label, store, count, None) for _ in range(repeats))
        with workers(count) as cluster:
            seconds(label, store, count, cluster)  # loads PyTorch there
            there = min(seconds(label, store, count, cluster) for _ in range(repeats))
        click.echo(f"{count}: pool {here:.1f} s, its start included; Dask {there:.1f} s")


def seconds(label: Work[object], store: Path, count: int, cluster: Workers | None) -> float:
    """Label all identities."""
    rows = {pid: np.arange(IMAGES) + IMAGES * pid for pid in range(IDENTITIES)}
    began = time.perf_counter()
    list(map_identities(label, Input(store, "features"), rows, count, hcnet_bytes, cluster))
    return time.perf_counter() - began


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Start workers as processes of this machine."""
    with LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster:  # type: ignore[no-untyped-call]
        params = Dask(scheduler=cluster.scheduler_address, cluster=None, share=None)
        with connected(params, "cpu", 1) as found:
            assert found
            yield found


if __name__ == "__main__":
    main()
