"""What workers are asked to do in tests; they import it from here."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from threadpoolctl import threadpool_info

from hcga.cluster.kind import Kind, Setting, configure_worker


def count_threads(*_: object) -> tuple[int, ...]:
    """How many threads PyTorch and the libraries of linear algebra may use."""
    return torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())


def die_with(whom: int, folder: Path, pid: int, camids: np.ndarray, values: np.ndarray) -> int:
    """Kill the worker, also that which tries again, and leave a note each time."""
    if pid == whom:
        (folder / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return len(camids)


def at_gate(work: Callable[..., object], folder: Path, *arguments: object) -> object:
    """Leave a note with the worker's number, and work once there is a file `open`, or one `once`, which lets one in."""
    (folder / f"{os.getpid()}-{uuid4().hex}").touch()
    while not (folder / "open").exists():
        with suppress(FileNotFoundError):
            (folder / "once").unlink()
            break
        time.sleep(0.05)
    return work(*arguments)


def refuse(pid: int, camids: np.ndarray, values: np.ndarray) -> None:
    raise OSError(f"identity {pid}")


def configure_late(setting: Setting) -> Kind:
    """Answer like a worker that has something else to do first."""
    time.sleep(1)
    return configure_worker(setting)


def wait_long(*_: object) -> None:
    time.sleep(600)


def note(folder: Path, key: int) -> int:
    (folder / str(key)).touch()
    return key


def end_job_once(ended: Path, key: int) -> int:
    """End the job of this worker, as at its walltime, if no worker has done so before."""
    if not ended.exists():
        ended.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)  # it ends with its nanny
    return key
