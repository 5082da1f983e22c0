"""Progress of long loops: a bar on a terminal, a line now and then in a log, and whoever else listens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from hcga.wording import counted, duration

T = TypeVar("T")
LINE_SECONDS = 30.0  # between lines in a log
log = logging.getLogger(__name__)


class Level(NamedTuple):
    """How far a loop is."""

    what: str
    done: int
    total: int
    unit: str


Listener = Callable[[Sequence[Level]], None]
_loops: list[Progress] = []  # that run now, the outermost first
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` of every step of every loop in the block: the loops that run, the outermost first."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class Progress:
    """A loop that shows how far it is; to be used as a context.

    Parameters
    ----------
    what : str
        What is done, such as 'co-parsing'.
    total : int
        Number of steps.
    unit : str
        What a step is, such as 'image'.
    done : int
        Steps done before.
    shown : bool
        Whether a person is to see it; False for a loop that writes lines of its own. Listeners hear of it all the same.
    """

    def __init__(self, what: str, total: int, unit: str, done: int = 0, shown: bool = True) -> None:
        self._what, self._total, self._unit, self._done, self._shown = what, total, unit, done, shown
        off = None if shown else True  # None: off where there is no terminal
        self._bar = tqdm(total=total, initial=done, desc=what, unit=unit, leave=not _loops, disable=off)
        self._began = self._spoke = time.monotonic()
        self._first = done

    def __enter__(self) -> Progress:
        _loops.append(self)
        self.update(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        _loops.remove(self)

    def update(self, steps: int = 1) -> None:
        """Say that more steps are done."""
        self._done += steps
        self._bar.update(steps)
        for listener in _listeners:
            listener([loop.level for loop in _loops])
        now = time.monotonic()
        if self._shown and self._bar.disable and now - self._spoke > LINE_SECONDS:
            self._spoke = now
            left = (now - self._began) / max(1, self._done - self._first) * (self._total - self._done)
            total = counted(self._total, self._unit)
            log.info("%s: %d of %s, about %s left", self._what, self._done, total, duration(left))

    @property
    def level(self) -> Level:
        """How far the loop is."""
        return Level(self._what, self._done, self._total, self._unit)


def track(things: Iterable[T], what: str, total: int, unit: str, done: int = 0, shown: bool = True) -> Iterator[T]:
    """Give things one after another and show how many have been dealt with; arguments as of `Progress`."""
    with Progress(what, total, unit, done, shown) as progress:
        for thing in things:
            yield thing
            progress.update()
