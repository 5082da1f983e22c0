"""What runs, and how long stages took: a log in the folder .hcga beside the pipeline, never one of its outputs.

DVC keeps no times, and an output that holds them would not be reproducible. Every stage that DVC starts writes a
file of its own there while it runs and a line of times.jsonl when it is done.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from hcga.files import fresh
from hcga.progress import Level, listening

T = TypeVar("T")
FOLDER = ".hcga"
PROCESSES = Path("/proc")  # of Linux
WRITE_SECONDS = 0.5  # at least, between two states of a running stage


class Run(NamedTuple):
    """A stage that has begun and is not done."""

    stage: str  # as DVC names it, such as train@r1
    host: str  # the machine on which it runs
    pid: int
    born: int | None  # when its process began, see `_birth`
    began: float  # seconds since the epoch
    noted: float  # when this was written: the last sign of it
    levels: list[Level]  # loops that run, the outermost first
    error: str  # what stopped it, if anything did

    @property
    def elsewhere(self) -> bool:
        """Whether it runs on another machine, which shares the folder."""
        return self.host != platform.node()

    @property
    def alive(self) -> bool:
        """Whether it runs; one on another machine is believed to."""
        return not self.error and (self.elsewhere or (self.born is not None and self.born == _birth(self.pid)))

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
        host, pid, began, last = platform.node(), os.getpid(), time.time(), 0.0
        state = self._folder / f"{stage}.json"

        def write(levels: Sequence[Level], error: str = "") -> None:
            run = Run(stage, host, pid, _birth(pid), began, time.time(), list(levels), error)
            with suppress(OSError), fresh(state) as draft:  # such as a full disk, which this stage may not need
                draft.write_text(json.dumps(run._asdict()), "utf-8")

        def note(levels: Sequence[Level]) -> None:
            nonlocal last
            if time.monotonic() - last > WRITE_SECONDS:
                last = time.monotonic()
                write(levels)

        write([])
        try:
            with listening(note):
                yield
        except BaseException as error:
            write([], "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__)
            raise
        done = Finished(stage, time.time(), time.time() - began, _peak_megabytes())
        with suppress(OSError), (self._folder / "times.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(done._asdict()) + "\n")
        with suppress(OSError):  # last: at no moment it neither runs nor has run
            state.unlink()

    def runs(self) -> list[Run]:
        """Stages that run, or that ended before they were done, the latest last."""
        texts = []
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError):  # the stage ends at this moment
                texts.append(path.read_text("utf-8"))
        runs = [run._replace(levels=[Level(*level) for level in run.levels]) for run in _read(Run, texts)]
        return sorted(runs, key=lambda run: run.began)

    def running(self) -> list[str]:
        """Names of the stages that run."""
        return [run.stage for run in self.runs() if run.alive]

    def finished(self) -> dict[str, Finished]:
        """The last whole run of each stage, the latest last."""
        file = self._folder / "times.jsonl"
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        runs = sorted(_read(Finished, lines), key=lambda run: run.ended)
        last = {run.stage: run for run in runs}
        return {run.stage: run for run in runs if run is last[run.stage]}


def _read(kind: type[T], texts: Iterable[str]) -> Iterator[T]:
    """Entries, without what was cut short, as by a full disk, or is of another version: the log is no result."""
    for text in texts:
        with suppress(ValueError, TypeError):
            yield kind(**json.loads(text))


def _birth(pid: int) -> int | None:
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


def _peak_megabytes() -> float:
    """Largest resident set of this process: by Linux's own note, since what getrusage says begins with the parent's."""
    status = PROCESSES / "self" / "status"
    if status.is_file():
        return int(status.read_text("utf-8").partition("VmHWM:")[2].split()[0]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
