"""What the system knows of processes."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

PROCESSES = Path("/proc")  # of Linux
LAUNCHER = "HCGA_LAUNCHER"  # variable with the process of `hcga.runs.launch`, for those that it starts
TOGETHER = {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR"}  # that torchrun sets; schedulers set some of them
WATCH_SECONDS = 0.5  # between two looks whether a process is there


def birth(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine did: its number alone may be another's by now.

    0 where there is no /proc and it is only known to be there; None if it has ended.
    """
    if not (PROCESSES / "self" / "stat").is_file():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return 0
    try:
        state, *fields = (PROCESSES / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(fields[18])


def end_with(pid: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Have this process end soon after another one, which may be killed and then cannot tell those that wait for it."""
    born = birth(pid)

    def watch() -> None:
        while born is not None and birth(pid) == born:
            time.sleep(WATCH_SECONDS)
        os.kill(os.getpid(), by)

    threading.Thread(target=watch, daemon=True).start()


def train_together() -> bool:
    """Whether torchrun, or `hcga.runs.launch`, has started this process with others."""
    return os.environ.keys() >= TOGETHER


def peak_megabytes() -> float:
    """Largest resident set of this process: by Linux's own note, since what getrusage says begins with the parent's."""
    status = PROCESSES / "self" / "status"
    if status.is_file():
        return int(status.read_text("utf-8").partition("VmHWM:")[2].split()[0]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
