"""HCNet on many identities on processor cores: one after another in a pool of processes."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

from hcga.coparsing.identity import Labelling, label_together
from hcga.cores import available_cores
from hcga.errors import InputError
from hcga.params import Coparse
from hcga.progress import track
from hcga.stores import array, open_store, read_rows

log = logging.getLogger(__name__)


def label_identities(
    features: Path,
    identities: Mapping[int, np.ndarray],
    camids: np.ndarray,
    params: Coparse,
    seed: tuple[int, ...],
) -> Iterator[tuple[int, Labelling]]:
    """Label the images of each identity with HCNet.

    The workers read the store themselves, compute on one thread each and write nothing; an identity's seed comes
    from `seed` and its pid. So neither the number of workers nor the order changes a label.

    Parameters
    ----------
    features : Path
        Store with array `features`, (N, q, h, w) float16.
    identities : mapping of int to (n,) int64
        pid to rows; the largest are started first.
    camids : (N,) int64
    params : Coparse
        `workers`: number of processes; None for one a core.
    seed : tuple of int
        (seed, epoch).

    Yields
    ------
    (int, Labelling)
        pid and its labels, in the order of completion.

    Raises
    ------
    InputError
        The store is missing or holds no features, or a worker was killed.
    FloatingPointError
        See `label_together`; what has not begun is given up.
    """
    array(open_store(features), "features")  # refused here, not in a worker
    workers = min(params.workers or available_cores(), len(identities))
    log.info("%d identities, %d workers of one thread each", len(identities), workers)
    largest_first = sorted(identities, key=lambda pid: (-len(identities[pid]), pid))
    with ProcessPoolExecutor(workers, _context(), _start_worker, (features,)) as pool:
        tasks = {
            pool.submit(_label, identities[pid], camids[identities[pid]], params, (*seed, pid)): pid
            for pid in largest_first
        }
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


_features: zarr.Array[Any]  # of a worker


def _start_worker(features: Path) -> None:
    torch.set_num_threads(1)
    global _features
    _features = array(open_store(features), "features")


def _label(rows: np.ndarray, camids: np.ndarray, params: Coparse, seed: tuple[int, ...]) -> Labelling:
    (found,) = label_together(read_rows(_features, rows)[None], camids[None], params, [seed])
    return found
