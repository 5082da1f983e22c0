"""Work on many identities by the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hcga.cluster.shared import Shared, shared_array
from hcga.coparsing.inputs import Input
from hcga.stores import read_rows

if TYPE_CHECKING:
    from hcga.cluster.workers import Workers
T = TypeVar("T")
AHEAD = 1  # identity for each worker: who dies with it is to blame, and nobody beside it


def map_on_cluster(
    work: Callable[[int, np.ndarray, np.ndarray], T],
    source: Input,
    identities: Mapping[int, np.ndarray],
    camids: np.ndarray,
    cluster: Workers,
) -> Iterator[tuple[int, T]]:
    """As `hcga.coparsing.pool.map_identities`; errors as of `Workers.map`."""
    store = cluster.share(source.store)
    tasks = {pid: (work, store, source.name, pid, rows, camids[rows]) for pid, rows in identities.items()}
    return cluster.map(_do, tasks, "identity", AHEAD, in_order=False)


def _do(
    work: Callable[[int, np.ndarray, np.ndarray], T],
    store: Shared,
    name: str,
    pid: int,
    rows: np.ndarray,
    camids: np.ndarray,
) -> T:
    return work(pid, camids, read_rows(shared_array(store, name), rows))
