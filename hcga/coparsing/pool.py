"""Work on many identities, each by itself: in a pool of processes on processor cores, or by workers of a cluster."""

from __future__ import annotations

import logging
import multiprocessing
import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import zarr
from threadpoolctl import threadpool_limits

from hcga.coparsing.inputs import Input, as_input
from hcga.coparsing.memory import choose_workers
from hcga.coparsing.on_cluster import map_on_cluster
from hcga.errors import InputError
from hcga.resources import free_memory, need_handles, need_shared_memory
from hcga.runs.processes import end_with
from hcga.runs.progress import track
from hcga.runs.stopping import stop_requests
from hcga.stores import array, open_store, read_rows
from hcga.wording import counted

if TYPE_CHECKING:
    from hcga.cluster.workers import Workers
log = logging.getLogger(__name__)
T = TypeVar("T")
TRIES = 2  # of an identity alone; whoever was at work beside it may have been meant before
NOBODY = np.iinfo(np.int64).min
SCARCE = (
    "most likely for want of memory. What is done is kept: free some memory, or set coparse.workers lower, and run "
    "`dvc repro` again"
)
Images = tuple[np.ndarray, np.ndarray]  # of an identity: rows and cameras, (n,) int64
Work = Callable[[int, np.ndarray, np.ndarray], T]  # of pid, cameras (n,) int64 and values (n, ...) of its images


def map_identities(
    work: Work[T],
    source: Input,
    identities: Mapping[int, np.ndarray],
    camids: np.ndarray,
    workers: int | None,
    of_image: Callable[[tuple[int, ...]], float],
    cluster: Workers | None = None,
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
    camids : (N,) int64
        Camera of each image; the work is given those of its rows.
    workers : int or None
        Number of processes; None for one a core, or as many as there is memory for.
    of_image : callable
        Bytes of memory that the work takes for an image, by the shape of its input, (q, h, w).
    cluster : Workers, optional
        They do it instead of processes here, and decide about number and memory.

    Yields
    ------
    (int, T)
        pid and what `work` returns, in the order of completion.

    Raises
    ------
    InputError
        The store is missing or lacks the array; there is not enough memory of one's own or to share, or too few files
        may be open; or a worker was killed and again when its identity was tried alone.
    Exception
        What `work` raises; what has not begun is given up.
    """
    largest_first = {pid: identities[pid] for pid in sorted(identities, key=lambda pid: (-len(identities[pid]), pid))}
    if cluster:
        found = map_on_cluster(work, source, largest_first, camids, cluster)
    else:
        found = _map_here(work, source, largest_first, camids, workers, of_image)
    yield from track(found, "co-parsing", len(identities), "identity")


def _map_here(
    work: Work[T],
    source: Input,
    identities: Mapping[int, np.ndarray],
    camids: np.ndarray,
    workers: int | None,
    of_image: Callable[[tuple[int, ...]], float],
) -> Iterator[tuple[int, T]]:
    need_shared_memory()
    shape = as_input(np.asarray(array(open_store(source.store), source.name)[:1])).shape[1:]
    workers = choose_workers([*map(len, identities.values())], of_image(shape), workers, free_memory())
    need_handles(workers)
    log.info("%d identities, %d workers of one thread each", len(identities), workers)
    return _map(work, source, {pid: (rows, camids[rows]) for pid, rows in identities.items()}, workers)


class _WorkerDied(Exception):
    """A worker was killed; no exception of its work could tell."""

    def __init__(self, pids: Collection[int]) -> None:
        super().__init__()
        self.pids = pids  # that were being worked on, by it or by others


def _map(work: Work[T], source: Input, identities: Mapping[int, Images], workers: int) -> Iterator[tuple[int, T]]:
    """As `_map_here`; whose worker has died is tried again, alone."""
    left, at_rest = dict(identities), 0
    while left:
        try:
            for pid, result in _map_in_pool(work, source, left, workers):
                del left[pid]
                yield pid, result
        except _WorkerDied as death:
            suspects = [pid for pid in death.pids if pid in left]
            at_rest += not suspects
            if at_rest == TRIES:
                raise InputError(f"a co-parsing worker was killed {TRIES} times before it began; {SCARCE}") from None
            for pid in suspects:
                log.warning("a worker was killed, perhaps that of identity %d: it is tried again, alone", pid)
                yield pid, _try_alone(work, source, pid, left.pop(pid))


def _try_alone(work: Work[T], source: Input, pid: int, images: Images) -> T:
    for _ in range(TRIES):
        with suppress(_WorkerDied):
            ((_, result),) = _map_in_pool(work, source, {pid: images}, 1)
            return result
    raise InputError(
        f"identity {pid} ({counted(len(images[0]), 'image')}): its co-parsing worker was killed {TRIES} times, though "
        f"it was the only one; {SCARCE}"
    )


def _map_in_pool(
    work: Work[T], source: Input, identities: Mapping[int, Images], workers: int
) -> Iterator[tuple[int, T]]:
    context = _context()
    at_work, started = context.RawArray("q", [NOBODY] * workers), context.Value("q", 0)
    with ProcessPoolExecutor(workers, context, _start_worker, (work, source, at_work, started)) as pool:
        try:
            with stop_requests():  # a worker that is half started would not end with the others
                tasks = {pool.submit(_do, pid, *images): pid for pid, images in identities.items()}
            for task in as_completed(tasks):
                yield tasks[task], task.result()
        except BrokenProcessPool:
            raise _WorkerDied(sorted(set(at_work) - {NOBODY})) from None
        except BaseException:  # nobody waits for the others
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


def _context() -> BaseContext:
    """Workers fork from one process that has loaded PyTorch and done nothing else: half a GB that they share.

    That process and the workers never see Ctrl-C, which reaches all processes of a terminal: this one ends them.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    resource_tracker.ensure_running()  # it unblocks what is blocked
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which processes inherit
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    return context


_work: Work[Any]  # of a worker
_values: zarr.Array[Any]
_at_work: Any  # whom each worker is working on, as shared memory
_slot: int  # of this worker there


def _start_worker(work: Work[Any], source: Input, at_work: Any, started: Any) -> None:
    parent = multiprocessing.parent_process()
    if parent and parent.pid:
        end_with(parent.pid)
    torch.set_num_threads(1)
    threadpool_limits(1)
    global _work, _values, _at_work, _slot
    _work, _values, _at_work = work, array(open_store(source.store), source.name), at_work
    with started.get_lock():
        _slot = started.value
        started.value += 1


def _do(pid: int, rows: np.ndarray, camids: np.ndarray) -> Any:
    _at_work[_slot] = pid  # until it takes the next: its result is on the way for a while
    return _work(pid, camids, read_rows(_values, rows))
