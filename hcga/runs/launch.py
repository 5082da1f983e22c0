"""Run a script by several processes of this machine, as torchrun does, with its errors in words.

python -m hcga.runs.launch COUNT SCRIPT ARGUMENT...
"""

from __future__ import annotations

import logging
import os
import sys
import uuid

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from hcga.runs.processes import LAUNCHER

PATIENCE = 60  # seconds in which processes that are asked to stop may save


def main() -> None:
    """Start them and wait; exit code 0 if all have ended well."""
    count, *command = sys.argv[1:]
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what is lost is said below
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does: one thread each, unless params.yaml says more
    os.environ[LAUNCHER] = str(os.getpid())
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=int(count),
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        shutdown_timeout=PATIENCE,
    )
    try:
        elastic_launch(config, sys.executable)(*command)
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        how = f"signal {-failure.exitcode}" if failure.exitcode < 0 else f"exit code {failure.exitcode}"
        print(f"Error: process {rank} of {count} ended with {how}, so the others have ended too; what was kept stays, "
              "and `dvc repro` goes on from there", file=sys.stderr)  # fmt: skip
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
