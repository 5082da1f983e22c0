"""The one exception for what a user gave: params, data sets, weights."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager

REMEDY = "`dvc repro` makes it, `dvc checkout --force` takes it from DVC's cache"  # of what stages have written
OTHER_VERSION = (
    "another version of this program made it. `dvc repro` makes it anew; a revision is looked at with its own version: "
    "`git worktree add` it and run `hcga view` there"
)


class InputError(Exception):
    """Something given from outside is wrong.

    The message names the file, field or value and says what to do; stage scripts and the command line print
    it without a traceback and exit with 1. Signs that a terminal would obey, or cannot show, are spelled out in it.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


@contextmanager
def remedy(text: str) -> Iterator[None]:
    """Have errors of the block that would send to the pipeline, as of a damaged store, name another remedy."""
    try:
        yield
    except InputError as error:
        raise InputError(error.args[0].replace(REMEDY, text)) from error.__cause__


def printable(text: str) -> str:
    """Spell out signs of a text that are neither printable nor ends of lines: a name of a file may hold any."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text)


class _Brief(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 200, 200
        self.maxdict = self.maxlist = self.maxtuple = 20

    def repr_int(self, x: int, level: int) -> str:
        """Write an integer; Python refuses those of thousands of digits."""
        return repr(x) if x.bit_length() <= 200 else f"<an integer of {x.bit_length()} bits>"


def brief(value: object) -> str:
    """Write a value as Python does, but of what is long or deep a part: one that was read may have any size."""
    return _Brief().repr(value)
