"""What runs, and how long stages took: a log in the folder .hcga beside the pipeline, never one of its outputs.

DVC keeps no times, and an output that holds them would not be reproducible. Every stage that DVC starts writes a
file of its own there while it runs and a line of times.jsonl when it is done.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from hcga.files import fresh
from hcga.progress import Level, listening

FOLDER = ".hcga"
WRITE_SECONDS = 0.5  # at least, between two states of a running stage


class Run(NamedTuple):
    """A stage that has begun and is not done."""

    stage: str  # as DVC names it, such as train@r1
    pid: int
    began: float  # seconds since the epoch
    levels: list[Level]  # loops that run, the outermost first
    error: str  # what stopped it, if anything did

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    @property
    def share(self) -> float:
        """How much of it is done, in [0, 1], as far as its loops tell."""
        share = 0.0
        for level in reversed(self.levels):
            share = min(1.0, (level.done + share) / max(1, level.total))
        return share


class Finished(NamedTuple):
    """What a stage took that ran to its end."""

    stage: str
    ended: float  # seconds since the epoch
    seconds: float
    peak_mb: float  # of its process; workers are not contained


class RunLog:
    """The log of a checkout.

    Parameters
    ----------
    root : Path
        Where dvc.yaml stands.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER

    @contextmanager
    def recording(self, stage: str) -> Iterator[None]:
        """Record a stage that runs in the block."""
        began, last = time.time(), 0.0
        state = self._folder / f"{stage}.json"

        def write(levels: Sequence[Level], error: str = "") -> None:
            with fresh(state) as draft:
                draft.write_text(json.dumps(Run(stage, os.getpid(), began, list(levels), error)._asdict()), "utf-8")

        def note(levels: Sequence[Level]) -> None:
            nonlocal last
            if time.monotonic() - last > WRITE_SECONDS:
                last = time.monotonic()
                with suppress(OSError):  # such as a full disk, which this stage may not need
                    write(levels)

        write([])
        try:
            with listening(note):
                yield
        except BaseException as error:
            write([], str(error) or type(error).__name__)
            raise
        state.unlink(missing_ok=True)
        done = Finished(stage, time.time(), time.time() - began, _peak_megabytes())
        with (self._folder / "times.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(done._asdict()) + "\n")

    def runs(self) -> list[Run]:
        """Stages that run, or that ended before they were done."""
        states = []
        for path in sorted(self._folder.glob("*.json")):
            with suppress(FileNotFoundError):  # the stage ends at this moment
                states.append(_read(path.read_text("utf-8")))
        found = [Run(**{**state, "levels": [Level(*level) for level in state["levels"]]}) for state in states if state]
        return sorted(found, key=lambda run: run.began)

    def finished(self) -> dict[str, Finished]:
        """The last whole run of each stage, the latest last."""
        file = self._folder / "times.jsonl"
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        runs = sorted((Finished(**entry) for entry in map(_read, lines) if entry), key=lambda run: run.ended)
        last = {run.stage: run for run in runs}
        return {run.stage: run for run in runs if run is last[run.stage]}


def _read(text: str) -> dict[str, Any]:
    """One entry; nothing if it was cut short, as by a full disk: the log is no result."""
    try:
        entry: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return entry


def _peak_megabytes() -> float:
    """Largest resident set of this process: by Linux's own note, since what getrusage says begins with the parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text("utf-8").partition("VmHWM:")[2].split()[0]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
