"""The log of runs: while a stage runs, after it, after it has failed or was killed."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hcga.runs import processes, runlog
from hcga.runs.progress import Level, track
from hcga.runs.runlog import FOLDER, Run, RunLog
from hcga.runs.stopping import Stopped


def test_a_stage_that_runs_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "WRITE_SECONDS", -1)
    log = RunLog(tmp_path)
    assert log.read()[1:] == ([], [], {})
    with log.recording("train@r1"):
        for _ in track(range(4), "training", 4, "epoch"):
            for number in track(range(2), "epoch", 2, "batch"):
                (run,) = log.read().running
                assert (run.stage, run.pid, run.alive, run.error) == ("train@r1", os.getpid(), True, "")
                assert run.levels[1] == Level("epoch", number, 2, "batch")
        assert log.read().running[0].share == 1
        assert log.read()[2:] == ([], {})
    assert log.read()[1:3] == ([], [])
    assert abs(log.read().at - time.time()) < 60
    done = log.finished()["train@r1"]
    assert 0 <= done.seconds < 60
    assert abs(done.ended - time.time()) < 60
    assert 10 < done.peak_mb < 20_000


def test_at_no_moment_a_stage_neither_runs_nor_has_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, unlink = [], Path.unlink

    def note(path: Path, missing_ok: bool = False) -> None:
        known.append(list(RunLog(tmp_path).finished()))
        unlink(path, missing_ok)

    with RunLog(tmp_path).recording("prepare"):
        monkeypatch.setattr(Path, "unlink", note)
    assert known == [["prepare"]]
    assert RunLog(tmp_path).read().running == []


def test_states_are_written_every_half_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log, seen = [100.0], RunLog(tmp_path), []
    monkeypatch.setattr(runlog, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    with log.recording("embed@r1"):
        for _ in track(range(9), "embedding", 9, "image"):
            seen.append(log.read().running[0].levels[0].done)
            clock[0] += 0.2
    assert seen == [0, 0, 0, 3, 3, 3, 6, 6, 6]


def test_what_a_training_had_of_epochs_is_kept(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for stage, unit in (("train@r1", "epoch"), ("embed@r1", "image")):
        with log.recording(stage):
            for _ in track(range(3), "outer", 3, unit):
                list(track(range(2), "inner", 2, "batch"))
    with log.recording("train@r2"):
        list(track(range(0), "training", 0, "epoch"))
    assert {stage: run.epochs for stage, run in log.finished().items()} == {
        "train@r1": 3,
        "embed@r1": None,
        "train@r2": 0,
    }


def test_an_error_stays_until_the_stage_runs_again(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with pytest.raises(ValueError, match="no images"), log.recording("prepare"):
        raise ValueError("no images")
    ((run,), running) = log.read().ended, log.read().running
    assert (run.stage, run.error, run.alive, running) == ("prepare", "no images", False, [])
    assert abs(run.noted - time.time()) < 60
    with log.recording("prepare"):
        assert log.read().running[0].error == ""
    assert log.read()[1:3] == ([], [])
    assert list(log.finished()) == ["prepare"]


def test_a_stage_that_goes_on_after_an_end_of_its_own_is_marked(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with pytest.raises(KeyError), log.recording("train@r1"):
        raise KeyError
    for stage in ("train@r1", "train@r2"):
        with log.recording(stage):
            pass
    assert {stage: run.continued for stage, run in log.finished().items()} == {"train@r1": True, "train@r2": False}
    with log.recording("train@r1"):
        pass
    assert not log.finished()["train@r1"].continued


@pytest.mark.parametrize("error", [None, KeyError])
def test_the_first_of_several_processes_is_marked_as_their_launcher_would_be(
    tmp_path: Path, error: type[BaseException] | None
) -> None:
    """The launcher has begun, and becomes another program, so that it never comes to its end."""
    log = RunLog(tmp_path)
    if error:
        with pytest.raises(error), log.recording("train@r1"):
            raise error
    launcher = log.recording("train@r1")
    launcher.__enter__()
    with log.recording("train@r1"):
        pass
    assert log.finished()["train@r1"].continued == (error is not None)


@pytest.mark.parametrize("state", ["", {"host": "node7"}, {"born": 1}])
def test_after_a_state_of_which_little_is_known_a_stage_is_marked(tmp_path: Path, state: Any) -> None:
    log = RunLog(tmp_path)
    with log.recording("train@r1"):
        file = tmp_path / FOLDER / "train@r1.json"
        left = json.dumps(json.loads(file.read_text()) | state) if state else ""
    file.write_text(left)
    with log.recording("train@r1"):
        pass
    assert log.finished()["train@r1"].continued


def test_what_began_last_stands_last(tmp_path: Path) -> None:
    stages = ["train@r2", "check", "report", "embed@r1", "draw@r3"]
    for stage in stages:
        with pytest.raises(ValueError, match="no images"), RunLog(tmp_path).recording(stage):
            raise ValueError("no images")
    assert [run.stage for run in RunLog(tmp_path).read().ended] == stages


@pytest.mark.parametrize(("error", "words"), [(Stopped(signal.SIGINT), "stopped by SIGINT"), (OSError(), "OSError")])
def test_an_error_without_words_has_some(tmp_path: Path, error: BaseException, words: str) -> None:
    with pytest.raises(type(error)), RunLog(tmp_path).recording("prepare"):
        raise error
    assert RunLog(tmp_path).read().ended[0].error == words


def test_a_full_disk_costs_the_log_and_not_the_stage(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("no folder")
    with RunLog(tmp_path).recording("prepare"):
        pass
    assert RunLog(tmp_path).read()[1:] == ([], [], {})


def test_a_killed_stage_is_known_to_be_gone(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from hcga.runs.runlog import RunLog\n"
        "with RunLog(pathlib.Path(sys.argv[1])).recording('extract@r1'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (run,) = RunLog(tmp_path).read().ended
    assert (run.stage, run.alive) == ("extract@r1", False)


def test_a_process_that_has_the_number_of_an_earlier_one_is_not_the_stage(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with (
        log.recording("extract@r1"),
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        (run,) = log.read().running
        assert run.alive
        assert not run._replace(pid=other.pid).alive
        assert not run._replace(born=None).alive


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
def test_a_process_that_only_waits_to_be_reaped_has_ended(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from hcga.runs.runlog import RunLog\n"
        "with RunLog(pathlib.Path(sys.argv[1])).recording('extract@r1'): print(flush=True), input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        (run,) = RunLog(tmp_path).read().running
        assert run.alive
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not run.alive


def test_without_proc_the_number_of_the_process_must_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "PROCESSES", tmp_path)
    with RunLog(tmp_path).recording("extract@r1"):
        (run,) = RunLog(tmp_path).read().running
        assert (run.born, run.alive) == (0, True)
        assert not run._replace(pid=2**22 + 1).alive


def test_a_stage_on_another_machine_is_believed_to_run(tmp_path: Path) -> None:
    with RunLog(tmp_path).recording("train@r1"):
        (run,) = RunLog(tmp_path).read().running
    assert not run.elsewhere
    other = run._replace(host="node7", pid=2**22 + 1)
    assert (other.elsewhere, other.alive) == (True, True)
    assert not other._replace(error="no disk").alive


def test_a_stage_that_ends_while_one_looks_was_not_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RunLog(tmp_path)
    recording = log.recording("train@r1")
    recording.__enter__()

    def ends(run: Run) -> bool:
        recording.__exit__(None, None, None)
        return False

    monkeypatch.setattr(Run, "alive", property(ends))
    reading = log.read()
    assert (reading.running, reading.ended, list(reading.finished)) == ([], [], ["train@r1"])


def test_the_last_whole_run_counts(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    entries = [("embed@r1", 30.0, 9.0), ("embed@r1", 10.0, 5.0), ("report", 20.0, 1.0)]
    lines = [json.dumps({"stage": s, "ended": e, "seconds": t, "peak_mb": 1.0}) for s, e, t in entries]
    (tmp_path / FOLDER / "times.jsonl").write_text("\n".join(lines))
    finished = RunLog(tmp_path).finished()
    assert {stage: run.seconds for stage, run in finished.items()} == {"embed@r1": 9.0, "report": 1.0}
    assert list(finished)[-1] == "embed@r1"


ODD = [
    b'{"stage": "train@r1", "en',
    b"[]",
    b"3",
    b'{"stage": 1}',
    b"\xff\xfe",
    b'{"stage": "x", "of": "another version"}',
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_entry_is_named_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, odd: bytes
) -> None:
    log = RunLog(tmp_path)
    with log.recording("train@r2"):
        pass
    times = tmp_path / FOLDER / "times.jsonl"
    times.write_bytes(odd + b"\n" + times.read_bytes())
    (tmp_path / FOLDER / "train@r1.json").write_bytes(odd)
    (tmp_path / FOLDER / "folder.json").mkdir()
    with caplog.at_level(logging.WARNING):
        assert log.read()[1:3] == ([], [])
        assert list(log.finished()) == ["train@r2"]
    for name in ("times.jsonl, line 1: no entry of this log", "train@r1.json, line 1: no", "folder.json: passed over"):
        assert name in caplog.text


def test_of_a_wrong_type_are_no_entries_either(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with log.recording("train@r1"):
        (file,) = (tmp_path / FOLDER).glob("*.json")
        state = json.loads(file.read_text())
        for wrong in ({"began": "soon"}, {"pid": None}, {"levels": [["training", 1]]}, {"levels": 3}):
            file.write_text(json.dumps(state | wrong))
            assert log.read()[1:3] == ([], [])
        file.write_text(json.dumps(state))
        assert len(log.read().running) == 1


@pytest.mark.parametrize(
    ("levels", "share"),
    [
        ([], 0.0),
        ([Level("images", 3, 4, "image")], 0.75),
        ([Level("training", 1, 4, "epoch"), Level("epoch 2", 5, 10, "batch")], 0.375),
        ([Level("training", 4, 4, "epoch"), Level("epoch 5", 5, 10, "batch")], 1.0),
        ([Level("nothing", 0, 0, "image")], 0.0),
    ],
)
def test_share_of_nested_loops(levels: list[Level], share: float) -> None:
    assert Run("x", "here", 1, 5, 0.0, 0.0, levels, "").share == share
