"""A connection to the workers that params.yaml names."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from hcga.cluster.extra import need_packages
from hcga.cluster.kind import Setting
from hcga.errors import InputError
from hcga.params import Dask, Slurm

if TYPE_CHECKING:
    from hcga.cluster.workers import Workers
log = logging.getLogger(__name__)


def workers_of(stage: str, params: Dask | None) -> Dask | None:
    """Where the workers of a stage are; None if it computes here."""
    return params if params and stage in params.stages else None


@contextmanager
def connected(params: Dask | None, device: str, threads: int | None) -> Iterator[Workers | None]:
    """Connect to the workers of a Dask scheduler, or of one of our own whose workers are jobs.

    Parameters
    ----------
    params : Dask or None
        None for no workers: all is computed here.
    device : str
        Of params.yaml, where each worker computes.
    threads : int or None
        Of each worker; None for as many as this process would take, so that its bytes are those of a run here.

    Yields
    ------
    Workers or None

    Raises
    ------
    InputError
        A package or the scheduler is not there; or as of `Workers`.
    """
    if params is None:
        yield None
        return
    need_packages(params)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is lost is said by `Workers`
    from hcga.cluster.workers import Workers

    with _scheduler(params) as scheduler, _client(scheduler) as client:
        address = client.scheduler.address
        log.info("computing on the workers of %s", address)
        yield Workers(client, address, params.share, Setting(device, threads or torch.get_num_threads()))


@contextmanager
def _scheduler(params: Dask) -> Iterator[Any]:
    """Address of a scheduler, or a cluster that has one."""
    if params.cluster is None:
        yield params.scheduler
        return
    with slurm_cluster(params.cluster) as cluster:
        cluster.scale(jobs=params.cluster.jobs)
        yield cluster


def slurm_cluster(params: Slurm) -> Any:
    """Give a scheduler in this process whose workers are jobs of SLURM, none of them submitted yet."""
    interrupted = signal.getsignal(signal.SIGINT)
    from hcga.cluster.jobs import Jobs

    signal.signal(signal.SIGINT, interrupted)  # which the import of dask-jobqueue has replaced
    return Jobs(
        cores=params.workers,  # tasks at a time: one a worker
        processes=params.workers,
        job_cpu=params.cores,
        memory=params.memory,
        walltime=params.walltime,
    )


@contextmanager
def _client(scheduler: Any) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(scheduler)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise InputError(
            f"dask.scheduler: no scheduler answers at {scheduler} ({error}); start one (`dask scheduler`) and its "
            "workers, or set dask to null"
        ) from None
    with client:
        yield client
