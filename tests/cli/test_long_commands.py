import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hcga.errors import InputError
from hcga.runs.commands import alone_in, reason_of, run_logged
from hcga.runs.stopping import stopping_as_by_ctrl_c

# A run of a command that starts another, which asks for time to tidy up.
PROGRAM = """import sys
from pathlib import Path
from hcga.runs.commands import alone_in, run_logged
from hcga.runs.stopping import stopping_as_by_ctrl_c
folder = Path(sys.argv[1])
starter = "import subprocess, sys; subprocess.run([sys.executable, sys.argv[1]])"
with alone_in(folder, "hcga ablate") as lock, (folder / "log").open("w") as log, stopping_as_by_ctrl_c():
    try:
        run_logged([sys.executable, "-c", starter, str(folder / "stage.py")], folder, log, lock)
    except KeyboardInterrupt:
        sys.exit(130)
"""
STAGE = """import os, time
print(os.getpid(), flush=True)
try:
    time.sleep(60)
finally:
    print("tidied up", flush=True)
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[[], tuple[subprocess.Popen[bytes], int]]:
    """Give a function that starts a program with a run in it; return it and the process at the end of the chain."""

    def run() -> tuple[subprocess.Popen[bytes], int]:
        (tmp_path / "program.py").write_text(PROGRAM)
        (tmp_path / "stage.py").write_text(STAGE)
        process = subprocess.Popen([sys.executable, tmp_path / "program.py", tmp_path])
        until = time.monotonic() + 60
        while not (log := tmp_path / "log").is_file() or not log.read_text().endswith("\n"):
            assert time.monotonic() < until
            time.sleep(0.05)
        return process, int(log.read_text())

    return run


@pytest.fixture(autouse=True)
def _terminal() -> Iterator[None]:
    """The tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def is_locked(folder: Path) -> bool:
    try:
        with alone_in(folder, "hcga ablate"):
            return False
    except InputError as error:
        return "another `hcga ablate` runs in this checkout" in str(error)


def test_a_run_that_outlives_its_program_keeps_the_lock(tmp_path: Path, start: Callable[..., Any]) -> None:
    program, last = start()
    assert is_locked(tmp_path)
    program.kill()
    program.wait()
    assert is_locked(tmp_path)
    os.kill(last, signal.SIGKILL)
    until = time.monotonic() + 30
    while is_locked(tmp_path):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_run_and_all_that_it_has_started(
    tmp_path: Path, start: Callable[..., Any], number: signal.Signals
) -> None:
    program, last = start()
    program.send_signal(number)
    assert program.wait(30) == 130
    assert (tmp_path / "log").read_text().splitlines()[1] == "tidied up"
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("Error: a.jpg: cannot be decoded\nERROR: failed to reproduce 'prepare'\n", "Error: a.jpg: cannot be decoded"),
        ("Traceback\n  x\ntorch.OutOfMemoryError: 3 GB\nERROR: failed", "torch.OutOfMemoryError: 3 GB"),
        ("ERROR: Unable to acquire lock\n", "ERROR: Unable to acquire lock"),
        ("", "its log does not say why"),
    ],
)
def test_the_reason_of_a_failure_is_found_in_the_log(log: str, reason: str) -> None:
    assert reason_of(log) == reason


def test_an_exit_status_is_returned(tmp_path: Path) -> None:
    with alone_in(tmp_path, "hcga ablate") as lock, (tmp_path / "log").open("w") as log, stopping_as_by_ctrl_c():
        assert run_logged([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, log, lock) == 3


def test_what_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stopping_as_by_ctrl_c():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
