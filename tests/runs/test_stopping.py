"""The first request to stop is noted, the second ends the process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hcga.runs import stopping
from hcga.runs.busy import LOCKS
from hcga.runs.processes import TOGETHER
from hcga.runs.stage import _name
from hcga.runs.stopping import SIGNALS, Stopped, stop_requests, stopping_at_once


@pytest.fixture(autouse=True)
def _terminal() -> Iterator[None]:
    """The tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_request_is_noted(number: signal.Signals) -> None:
    asked: list[Stopped | None] = []

    def work() -> None:
        with stop_requests() as stop:
            asked.append(stop())
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # the same one: it came by two ways
            asked.append(stop())

    with pytest.raises(Stopped) as stopped:  # a request that nobody has answered
        work()
    before, asked_for = asked
    assert before is None
    assert asked_for is stopped.value
    assert (asked_for.code, str(asked_for)) == (128 + number, f"stopped by {number.name}")


def test_a_second_ctrl_c_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "SAME", 0)

    def insist() -> None:
        with stop_requests():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        insist()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_block_ends_at_once_and_closes_what_is_open(number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    before, closed = signal.getsignal(number), []

    def work() -> None:
        with stopping_at_once():
            try:
                os.kill(os.getpid(), number)
            finally:
                closed.append(True)

    with pytest.raises(Stopped) as stopped:
        work()
    assert (stopped.value.code, closed) == (128 + number, [True])
    assert caplog.messages == [f"stopped by {number.name}; `dvc repro` goes on from what is done"]
    assert signal.getsignal(number) == before


def test_reads_that_nobody_awaits_are_not_listed_at_the_end(tmp_path: Path) -> None:
    """A stage is stopped while zarr reads: its event loop ends with the process, and has tasks left."""
    code = f"""
import asyncio, os, signal
import numpy as np, zarr
from zarr.storage import LocalStore
from hcga.runs.stopping import stopping_at_once

class Stopping(LocalStore):
    asked = False

    async def get(self, key, *arguments, **named):
        found = await super().get(key, *arguments, **named)
        if key.startswith("c/"):
            if not Stopping.asked:
                Stopping.asked = True
                os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        return found

store = Stopping({str(tmp_path / "store")!r})
zarr.create_array(store, shape=(64,), chunks=(1,), dtype="uint8")[:] = np.arange(1, 65)
with stopping_at_once():
    zarr.open_array(store)[:]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_request_that_python_ignores_is_made_again() -> None:
    """As in `__del__`, where an error has nowhere to go."""
    before, ignored = sys.unraisablehook, []

    class Dying:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            ignored.append("not yet")

    def work() -> None:
        with stopping_at_once():
            Dying()
            ignored.append("went on")
            time.sleep(30)
            ignored.append("to the end")

    with pytest.raises(Stopped):
        work()
    assert ignored == ["went on"]
    assert sys.unraisablehook == before


def test_in_a_block_that_ends_at_once_the_first_request_may_still_be_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "SAME", 0)
    noted = []

    def insist() -> None:
        with stopping_at_once(), stop_requests() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            noted.append(stop())
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        insist()
    assert noted != [None]


@pytest.mark.parametrize("block", [stop_requests, stopping_at_once])
def test_handlers_are_as_before_afterwards(block: Callable[[], AbstractContextManager[object]]) -> None:
    before = [signal.getsignal(which) for which in SIGNALS]
    with block():
        assert not any(signal.getsignal(which) == handler for which, handler in zip(SIGNALS, before, strict=True))
    assert [signal.getsignal(which) for which in SIGNALS] == before


@pytest.mark.parametrize("block", [stop_requests, stopping_at_once])
def test_what_nohup_ignores_stays_ignored(block: Callable[[], AbstractContextManager[object]]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with block():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize(
    ("rank", "others", "stage", "name"),
    [
        ("0", TOGETHER, "train@r1", "train@r1"),
        ("1", TOGETHER, "train@r1", ""),
        ("1", {"RANK"}, "train@r1", "train@r1"),
        ("1", TOGETHER, "evaluate@r1", "evaluate@r1"),
        ("1", TOGETHER, "", ""),
    ],
)
def test_a_scheduler_s_rank_takes_no_name_from_a_stage(
    monkeypatch: pytest.MonkeyPatch, rank: str, others: set[str], stage: str, name: str
) -> None:
    for variable in others:
        monkeypatch.setenv(variable, rank)
    monkeypatch.setenv("DVC_STAGE", stage)
    assert _name() == name


def test_a_stage_stops_and_saves_when_dvc_has_ended(tmp_path: Path) -> None:
    """DVC alone may be killed, as by `kill` or for want of memory, and then takes no output of its stage."""
    stage = """import sys, time
from pathlib import Path
from hcga.runs.stage import stop_with_dvc
from hcga.runs.stopping import stop_requests
with stop_requests() as stop:
    stop_with_dvc(Path(sys.argv[1]))
    print("begun", flush=True)
    while not stop():
        time.sleep(0.05)
    print("saved", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as dvc:
        (tmp_path / LOCKS).parent.mkdir(parents=True)
        (tmp_path / LOCKS).write_text(json.dumps({"write": {"a": {"pid": dvc.pid, "cmd": "dvc repro"}}}))
        command = [sys.executable, "-c", stage, tmp_path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            time.sleep(1)
            assert process.poll() is None
            dvc.kill()
            dvc.wait()
            assert process.stdout.read() == "saved\n"
            assert process.wait(60) == 128 + signal.SIGTERM
