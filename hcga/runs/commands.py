"""Long commands run under this program: alone in their folder, with a log, and stopped when it is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from hcga.errors import InputError
from hcga.guards import locks

PATIENCE = 60  # seconds that an interrupted command has to end


@contextmanager
def alone_in(folder: Path, command: str) -> Iterator[IO[str]]:
    """Lock a folder in which a command of this program, such as `hcga ablate`, works: a second one would disturb it.

    Raises
    ------
    InputError
        It is locked.
    """
    with (folder / "lock").open("w") as file:
        if not locks(file.fileno(), folder):
            raise InputError(f"another `{command}` runs in this checkout; wait until it is done, or stop it")
        yield file


def environment_of(root: Path) -> dict[str, str]:
    """Variables under which the stages run with this Python and the `hcga` of their own commit."""
    first = {"PATH": Path(sys.executable).parent, "PYTHONPATH": root}
    return os.environ | {
        name: os.pathsep.join(filter(None, [str(path), os.environ.get(name, "")])) for name, path in first.items()
    }


def run_logged(
    command: list[str], root: Path, log: IO[str], lock: IO[str], variables: Mapping[str, str] | None = None
) -> int:
    """Run a command in a process group of its own, which ends with this process, and return its exit status."""
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment_of(root) | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=[lock.fileno()],
    )
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGINT)
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        finally:  # also when Ctrl-C comes again
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise


def reason_of(text: str) -> str:
    """What a log says of a failure: a stage's own message, else the exception that ended it, else what DVC says."""
    for pattern in (r"^Error: .*", r"^[\w.]+(?:Error|Exception|Interrupt)\b.*", r"^ERROR: .*"):
        messages: list[str] = re.findall(pattern, text, re.MULTILINE)
        if messages:
            return messages[-1]
    return "its log does not say why"
