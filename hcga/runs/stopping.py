"""Requests to stop: by Ctrl-C, or by SIGTERM as schedulers send it before they kill."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# The last is of a terminal that is closed; what `nohup` has had ignored stays so.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOON, SAME = 0.05, 1.0  # seconds
log = logging.getLogger(__name__)


class Stopped(SystemExit):
    """A process ends because it was asked to; its exit code is the shell's for the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


def _handled() -> list[signal.Signals]:
    return [which for which in SIGNALS if which != signal.SIGHUP or signal.getsignal(which) != signal.SIG_IGN]


def _end_quietly() -> None:
    """Say nothing of what zarr has begun to read and nobody awaits, when its event loop ends with this process."""
    logging.getLogger("asyncio").disabled = True
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None


Stop = Callable[[], Stopped | None]  # what to raise once somebody has asked, else None


def never() -> None:
    """Nobody asks: a `Stop` for work that nothing is lost of."""


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """End the block by `Stopped` when somebody asks, so that what is open is closed, and workers end with it."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    def insist(ignored: Any) -> None:  # Python goes on after an error where nothing can catch it, as in __del__
        if isinstance(ignored.exc_value, Stopped):
            threading.Timer(SOON, os.kill, (os.getpid(), ignored.exc_value.number)).start()
        else:
            told(ignored)

    before = {which: signal.signal(which, stop) for which in _handled()}
    told, sys.unraisablehook = sys.unraisablehook, insist
    try:
        yield
    except Stopped as request:
        log.info("%s; `dvc repro` goes on from what is done", request)
        atexit.register(_end_quietly)  # the last to be registered is the first to be called
        raise
    finally:
        sys.unraisablehook = told
        for which, handler in before.items():
            signal.signal(which, handler)


@contextmanager
def stopping_as_by_ctrl_c() -> Iterator[None]:
    """Let what ends a program without asking, such as a closed terminal, end it as Ctrl-C does."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = {which: signal.signal(which, stop) for which in _handled() if which != signal.SIGINT}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Catch a request to stop in the block, so that something can be saved before; another, later one stops at once.

    One within a second is the same: a scheduler asks all processes of a job, and torchrun those that it has started.
    Requests reach the main thread; in others there is nothing to catch.

    Yields
    ------
    Stop

    Raises
    ------
    Stopped
        At the end of a block that has ended well, if somebody has asked: nobody's request is lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield never
        return
    asked: list[Stopped] = []
    since = 0.0
    before: dict[signal.Signals, Any] = {}

    def note(number: int, _: FrameType | None) -> None:
        nonlocal since
        if not asked:
            asked.append(Stopped(number))
            since = time.monotonic()
        elif time.monotonic() - since > SAME:
            restore()
            os.kill(os.getpid(), number)

    def restore() -> None:
        for which, handler in before.items():
            signal.signal(which, handler)

    for which in _handled():
        before[which] = signal.signal(which, note)
    try:
        yield lambda: asked[0] if asked else None
    finally:
        restore()
    if asked:
        raise asked[0]
