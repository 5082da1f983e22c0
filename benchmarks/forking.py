"""Runs scripts in processes forked from one that has loaded what they load, which takes most of their time.

For benchmarks/faulty.py, which writes jobs to standard input, a line of JSON each, and reads two lines: the number of
the process when it has begun, and how it ended.
"""

from __future__ import annotations

import json
import multiprocessing.process
import os
import runpy
import sys
from typing import Any

from inject import arm

import hcga.coparsing.coparse
import hcga.datasets.synthetic
import hcga.evaluation
import hcga.masks.sheet
import hcga.network.inference
import hcga.report.build
import hcga.training.loop  # noqa: F401


def work(job: dict[str, Any]) -> None:
    """Be the process that a job asks for."""
    os.setsid()
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for handle, place in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(handle, place)
    os.chdir(job["root"])
    multiprocessing.process.ORIGINAL_DIR = job["root"]  # type: ignore[attr-defined]  # where workers look for the script
    os.environ["DVC_STAGE"] = job["stage"]
    sys.argv = job["command"]
    if job["fault"]:
        arm(*job["fault"])
    runpy.run_path(sys.argv[0], run_name="__main__")


def main() -> None:
    """Serve until the input ends; the first line says that all is loaded."""
    print("ready", flush=True)
    while line := sys.stdin.readline():
        if not (pid := os.fork()):
            work(json.loads(line))
            return
        print(pid, flush=True)
        _, ended = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    main()
