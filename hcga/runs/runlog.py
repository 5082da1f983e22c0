"""What runs, and how long stages took: a log in the folder .hcga beside the pipeline, never one of its outputs.

DVC keeps no times, and an output that holds them would not be reproducible. Every stage that DVC starts writes a
file of its own there while it runs and a line of times.jsonl when it is done.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from hcga.errors import InputError
from hcga.files import fresh
from hcga.runs.processes import birth, peak_megabytes
from hcga.runs.progress import Level, listening

T = TypeVar("T")
FOLDER = ".hcga"
WRITE_SECONDS = 0.5  # at least, between two states of a running stage
log = logging.getLogger(__name__)


class Run(NamedTuple):
    """A stage that has begun and is not done."""

    stage: str  # as DVC names it, such as train@r1
    host: str  # the machine on which it runs
    pid: int
    born: int | None  # when its process began, see `hcga.runs.processes.birth`
    began: float  # seconds since the epoch
    noted: float  # when this was written: the last sign of it
    levels: list[Level]  # loops that run, the outermost first
    error: str  # what stopped it, if anything did
    continued: bool = False  # as of `Finished`

    @property
    def elsewhere(self) -> bool:
        """Whether it runs on another machine, which shares the folder."""
        return self.host != platform.node()

    @property
    def alive(self) -> bool:
        """Whether it runs; one on another machine is believed to."""
        return not self.error and (self.elsewhere or (self.born is not None and self.born == birth(self.pid)))

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
    epochs: int | None = None  # that it trained
    continued: bool = False  # whether a run before had not come to its end, so that this may have done the rest alone


class Reading(NamedTuple):
    """What the log says at one moment; the lists have the latest last."""

    at: float  # seconds since the epoch
    running: list[Run]
    ended: list[Run]  # that failed or were cut short
    finished: dict[str, Finished]  # the last whole run of each stage


class RunLog:
    """The log of a checkout.

    Parameters
    ----------
    root : Path
        Where dvc.yaml stands, which is where DVC lets stages run. In an experiment with a folder of its own
        (`dvc exp run --temp` or `--queue`) that is another checkout, with a log of its own.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER

    @contextmanager
    def recording(self, stage: str) -> Iterator[None]:
        """Record a stage that runs in the block."""
        host, pid, began = platform.node(), os.getpid(), time.time()
        last, epochs = 0.0, None
        state = self._folder / f"{stage}.json"
        continued = state.is_file() and not any(_is_launcher(run) for run in _entries(Run, state))

        def write(levels: Sequence[Level], error: str = "") -> None:
            run = Run(stage, host, pid, birth(pid), began, time.time(), list(levels), error, continued)
            with suppress(OSError, InputError), fresh(state) as draft:  # a full disk need not be its end
                draft.write_text(json.dumps(run._asdict()), "utf-8")

        def note(levels: Sequence[Level]) -> None:
            nonlocal last, epochs
            epochs = next((level.total for level in levels if level.unit == "epoch"), epochs)
            if time.monotonic() - last > WRITE_SECONDS:
                last = time.monotonic()
                write(levels)

        write([])
        try:
            with listening(note):
                yield
        except BaseException as error:
            write([], str(error) or type(error).__name__)
            raise
        done = Finished(stage, time.time(), time.time() - began, peak_megabytes(), epochs, continued)
        with suppress(OSError), (self._folder / "times.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(done._asdict()) + "\n")
        with suppress(OSError):  # last: at no moment it neither runs nor has run
            state.unlink()

    def read(self) -> Reading:
        """What it says now, all at once: stages end and begin while one thinks about it."""
        at, running, ended = time.time(), [], []
        for file in self._folder.glob("*.json"):
            for run in _entries(Run, file):
                if run.alive:
                    running.append(run)
                elif file.exists():  # else it has come to its end since it was read
                    ended.append(run)
        for runs in (running, ended):
            runs.sort(key=lambda run: run.began)
        return Reading(at, running, ended, self.finished())

    def finished(self) -> dict[str, Finished]:
        """The last whole run of each stage, the latest last."""
        runs = sorted(_entries(Finished, self._folder / "times.jsonl"), key=lambda run: run.ended)
        last = {run.stage: run for run in runs}
        return {run.stage: run for run in runs if run is last[run.stage]}


def _is_launcher(run: Run) -> bool:
    """Whether a run has only started processes that train together, of which the first records it again."""
    return run.alive and not run.elsewhere and not run.continued


def _entries(kind: type[T], file: Path) -> Iterator[T]:
    """Entries of a file, one a line, without what is none, as a full disk or another version leaves it."""
    try:
        lines = file.read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):  # none yet, or the stage ends at this moment
        return
    except OSError as error:
        log.warning("%s: passed over (%s); it is only a log: delete it", file, error.strerror)
        return
    adapter = TypeAdapter(kind)
    for number, line in enumerate(lines, 1):
        try:
            yield adapter.validate_json(line)
        except ValidationError:
            log.warning("%s, line %d: no entry of this log, passed over; delete the line", file, number)
