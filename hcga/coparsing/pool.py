"""Work on many identities, each by itself, in a pool of processes on processor cores."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

import numpy as np
import torch
import zarr
from threadpoolctl import threadpool_limits

from hcga.coparsing.inputs import Input
from hcga.cores import available_cores
from hcga.errors import InputError
from hcga.progress import track
from hcga.stores import array, open_store, read_rows

log = logging.getLogger(__name__)
T = TypeVar("T")
Work = Callable[[int, np.ndarray, np.ndarray], T]  # of pid, its rows (n,) int64 and their values (n, ...)


def map_identities(
    work: Work[T], source: Input, identities: Mapping[int, np.ndarray], workers: int | None
) -> Iterator[tuple[int, T]]:
    """Do some work on the features of each identity.

    The workers read the store themselves, compute on one thread each and write nothing: where the work has a seed of
    its own for each pid, neither the number of workers nor the order changes a result.

    Parameters
    ----------
    work : callable
        Something that can be sent to another process, such as a function of a module.
    source : Input
    identities : mapping of int to (n,) int64
        pid to rows; the largest are started first.
    workers : int or None
        Number of processes; None for one a core.

    Yields
    ------
    (int, T)
        pid and what `work` returns, in the order of completion.

    Raises
    ------
    InputError
        The store is missing or lacks the array, or a worker was killed.
    Exception
        What `work` raises; what has not begun is given up.
    """
    array(open_store(source.store), source.name)  # refused here, not in a worker
    workers = min(workers or available_cores(), len(identities))
    log.info("%d identities, %d workers of one thread each", len(identities), workers)
    largest_first = sorted(identities, key=lambda pid: (-len(identities[pid]), pid))
    with ProcessPoolExecutor(workers, _context(), _start_worker, (work, source)) as pool:
        tasks = {pool.submit(_do, pid, identities[pid]): pid for pid in largest_first}
        try:
            for task in track(as_completed(tasks), "co-parsing", len(tasks), "identity"):
                yield tasks[task], task.result()
        except BrokenProcessPool:
            raise InputError(
                "a co-parsing worker was killed, most likely for want of memory; with fewer coparse.workers "
                f"(now {workers}) each has more of it: then run `dvc repro` again"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _context() -> BaseContext:
    """Workers fork from one process that has loaded PyTorch and done nothing else: half a GB that they share."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


_work: Work[Any]  # of a worker
_values: zarr.Array[Any]


def _start_worker(work: Work[Any], source: Input) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    threadpool_limits(1)
    global _work, _values
    _work, _values = work, array(open_store(source.store), source.name)


def _end_with_parent() -> None:
    """A killed parent cannot tell its workers, which would wait for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _do(pid: int, rows: np.ndarray) -> Any:
    return _work(pid, rows, read_rows(_values, rows))
