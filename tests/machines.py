"""A scheduler and workers of Dask as processes of their own, which tests may kill."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT

TASKS = Path(__file__).parent / "cluster"  # which workers import


class Machines:
    """A scheduler and its workers; to be used as a context.

    Parameters
    ----------
    folder : Path
        For logs and what workers spill.
    **variables : str
        Of the scheduler's environment.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self._folder, self._processes = folder, list[subprocess.Popen[bytes]]()
        file = folder / "scheduler.json"
        options = ("--scheduler-file", file, "--host", "127.0.0.1", "--port", "0")
        self.scheduler = self._start("scheduler", *options, **variables)
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        self.address: str = json.loads(file.read_text())["address"]

    def add_worker(self, *options: str, **variables: str) -> "subprocess.Popen[bytes]":
        """Start a worker; without a nanny, a killed one is gone."""
        options = ("--nthreads", "1", "--no-nanny", *options)
        return self._start("worker", self.address, "--local-directory", self._folder, *options, **variables)

    @property
    def log(self) -> str:
        return (self._folder / "log.txt").read_text()

    def _start(self, what: str, *arguments: object, **variables: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, arguments), "--no-dashboard"]
        paths = os.pathsep.join(map(str, (ROOT, TASKS)))
        environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **variables}
        with (self._folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self._folder)
        self._processes.append(process)
        return process

    def __enter__(self) -> "Machines":
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
