"""A network's forward pass over images of a store, batch by batch: here, or on workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import zarr

from hcga.ahead import load_ahead
from hcga.cluster.connection import connected
from hcga.cluster.shared import Shared, shared_array, shared_file
from hcga.devices import choose_device, precision
from hcga.network.checkpoints import load_model
from hcga.network.prnet import Card, PRNet
from hcga.params import Dask
from hcga.runs.environment import Environment, environment
from hcga.stores import array, folder_of, read_rows

if TYPE_CHECKING:
    from hcga.cluster.workers import Workers
Pass = Callable[[PRNet, torch.Tensor], Sequence[torch.Tensor]]  # of a batch of images, (n, H, W, 3) uint8
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # of each result of a pass: name to shape of a row, and dtype
AHEAD = 2  # batches for each worker: one on its way while another is computed


class Remote(NamedTuple):
    """A network whose file workers read."""

    workers: Workers
    file: Path


@contextmanager
def placed(file: Path, device: str, threads: int | None, dask: Dask | None) -> Iterator[tuple[PRNet | Remote, Card]]:
    """Give the network of a file where it is to compute: on a device of this machine, or on a cluster's workers.

    Parameters
    ----------
    file : Path
    device, threads, dask
        Of params.yaml.

    Raises
    ------
    InputError
        As of `choose_device`, `load_model` and `connected`.
    """
    with connected(dask, device, threads) as workers:
        network, card = load_model(file)
        yield (Remote(workers, file) if workers else network.to(choose_device(device, threads))), card


def environment_of(network: PRNet | Remote) -> Environment:
    """Where a network computes."""
    return network.workers.environment if isinstance(network, Remote) else environment(network.mean.device)


def forward(
    network: PRNet | Remote, compute: Pass, images: zarr.Group, batches: Sequence[slice], shapes: Shapes, into: Path
) -> Iterator[Callable[[], list[np.ndarray]]]:
    """Compute batch after batch, in order; the next one is read, or computed by a worker, in the meantime.

    Parameters
    ----------
    network : PRNet or Remote
    compute : callable
        Of a module, so that a worker can import it.
    images : zarr.Group
        The store of images.
    batches : sequence of slice
        Rows.
    shapes : mapping
        As `Shapes`.
    into : Path
        Store for the results, for messages.

    Yields
    ------
    callable
        Gives the results of a batch as they are to be stored.

    Raises
    ------
    FloatingPointError
        By what is yielded, or on a worker: a result is not finite.
    """
    ready = partial(_ready, shapes=shapes, into=into)
    if isinstance(network, Remote):
        yield from _by_workers(network, partial(_forward_shared, compute=compute, ready=ready), images, batches)
        return
    device, pixels = network.mean.device, array(images, "images")
    for batch, values in load_ahead(batches, lambda batch: _read(pixels, batch).to(device)):
        yield partial(ready, _pass(network, compute, values), batch)


def _by_workers(
    network: Remote, task: Callable[..., list[np.ndarray]], images: zarr.Group, batches: Sequence[slice]
) -> Iterator[Callable[[], list[np.ndarray]]]:
    file, store = (network.workers.share(path) for path in (network.file, folder_of(images)))
    tasks = {batch.start: (file, store, network.workers.device, batch) for batch in batches}
    for _, results in network.workers.map(task, tasks, "images from row", AHEAD, in_order=True):
        yield partial(list, results)


def _forward_shared(
    file: Shared,
    store: Shared,
    device: torch.device,
    batch: slice,
    compute: Pass,
    ready: Callable[..., list[np.ndarray]],
) -> list[np.ndarray]:
    """Compute a batch on a worker."""
    values = _read(shared_array(store, "images"), batch).to(device)
    return ready(_pass(_shared_network(file, device), compute, values), batch)


@lru_cache(maxsize=1)
def _shared_network(file: Shared, device: torch.device) -> PRNet:
    with shared_file(file) as path:
        return load_model(path)[0].to(device)


def _read(pixels: zarr.Array[Any], batch: slice) -> torch.Tensor:
    return torch.from_numpy(read_rows(pixels, np.arange(batch.start, batch.stop)))


def _pass(network: PRNet, compute: Pass, values: torch.Tensor) -> Sequence[torch.Tensor]:
    with torch.inference_mode(), precision(network.mean.device):
        return compute(network, values)


def _ready(results: Sequence[torch.Tensor], batch: slice, shapes: Shapes, into: Path) -> list[np.ndarray]:
    """Results as they are to be stored."""
    dtypes = [getattr(torch, dtype) for _, dtype in shapes.values()]  # torch rounds faster than numpy
    stored = [values.to(dtype) for values, dtype in zip(results, dtypes, strict=True)]
    for values, name in zip(stored, shapes, strict=True):
        if values.is_floating_point() and not values.isfinite().all():
            raise FloatingPointError(
                f"{into}: {name} of the images after row {batch.start} are not finite as {values.dtype}; the training "
                "before has diverged: lower train.learning_rate"
            )
    return [values.cpu().numpy() for values in stored]
