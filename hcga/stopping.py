"""Requests to stop: by Ctrl-C, or by SIGTERM as schedulers send it before they kill."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """A process ends because it was asked to; its exit code is the shell's for the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self._name = signal.Signals(number).name

    def __str__(self) -> str:
        return f"stopped by {self._name}"


@contextmanager
def stop_requests() -> Iterator[Callable[[], Stopped | None]]:
    """Catch the first request to stop in the block, so that something can be saved before; a second one stops at once.

    Yields
    ------
    callable
        Gives what to raise once somebody has asked, else None.
    """
    asked: list[Stopped] = []
    before: dict[signal.Signals, Any] = {}

    def note(number: int, _: FrameType | None) -> None:
        asked.append(Stopped(number))
        restore()

    def restore() -> None:
        for which, handler in before.items():
            signal.signal(which, handler)

    for which in SIGNALS:
        before[which] = signal.signal(which, note)
    try:
        yield lambda: asked[0] if asked else None
    finally:
        restore()
