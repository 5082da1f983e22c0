"""Workers that are jobs of SLURM, each of which is submitted again when it has ended."""

from __future__ import annotations

import asyncio
from typing import Any

import dask
from dask.utils import parse_timedelta
from dask_jobqueue.core import Job, JobQueueCluster
from dask_jobqueue.slurm import SLURMJob


class Jobs(JobQueueCluster):
    """A scheduler in this process, and jobs that have one worker or several, which end together at the walltime.

    dask-jobqueue 0.9 does not replace them: `scale` never does, `adapt` only where a job has one worker, as those of
    others are called otherwise than their job.
    """

    job_cls = SLURMJob

    def _update_worker_status(self, op: str, msg: Any) -> None:
        if op == "remove":
            worker = self.scheduler_info["workers"][msg]["name"]
            patience = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
            for name, job in self.workers.items():
                if _is_of(worker, name):
                    asyncio.get_running_loop().call_later(patience, self._replace, name, job)
        super()._update_worker_status(op, msg)  # type: ignore[no-untyped-call]

    def _replace(self, name: str, job: Job) -> None:
        """Submit a job again, unless that has been done or a worker of it is there."""
        there = any(_is_of(worker["name"], name) for worker in self.scheduler_info["workers"].values())
        if self.workers.get(name) is job and not there:
            del self.workers[name]
            self._futures.add(asyncio.ensure_future(job.close()))
            self._correct_state()  # type: ignore[no-untyped-call]


def _is_of(worker: str, job: str) -> bool:
    return worker == job or worker.startswith(f"{job}-")
