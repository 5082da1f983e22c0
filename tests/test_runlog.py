"""The log of runs: while a stage runs, after it, after it has failed or was killed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hcga import runlog
from hcga.progress import Level, track
from hcga.runlog import FOLDER, Run, RunLog


def test_a_stage_that_runs_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "WRITE_SECONDS", -1)
    log = RunLog(tmp_path)
    assert log.runs() == []
    assert log.finished() == {}
    with log.recording("train@r1"):
        for _ in track(range(4), "training", 4, "epoch"):
            for number in track(range(2), "epoch", 2, "batch"):
                (run,) = log.runs()
                assert (run.stage, run.pid, run.alive, run.error) == ("train@r1", os.getpid(), True, "")
                assert log.running() == ["train@r1"]
                assert run.levels[1] == Level("epoch", number, 2, "batch")
        assert log.runs()[0].share == 1
        assert log.finished() == {}
    assert log.runs() == []
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
    assert RunLog(tmp_path).runs() == []


def test_states_are_written_now_and_then_only(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with log.recording("embed@r1"):
        list(track(range(50), "embedding", 50, "image"))
        assert log.runs()[0].levels == [Level("embedding", 0, 50, "image")]


def test_an_error_stays_until_the_stage_runs_again(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with pytest.raises(ValueError, match="no images"), log.recording("prepare"):
        raise ValueError("no images")
    (run,) = log.runs()
    assert (run.stage, run.error, run.alive) == ("prepare", "no images", False)
    assert log.running() == []
    assert abs(run.noted - time.time()) < 60
    with log.recording("prepare"):
        assert log.runs()[0].error == ""
    assert log.runs() == []
    assert list(log.finished()) == ["prepare"]


@pytest.mark.parametrize(("error", "words"), [(KeyboardInterrupt(), "interrupted"), (OSError(), "OSError")])
def test_an_error_without_words_has_some(tmp_path: Path, error: BaseException, words: str) -> None:
    with pytest.raises(type(error)), RunLog(tmp_path).recording("prepare"):
        raise error
    assert RunLog(tmp_path).runs()[0].error == words


def test_a_full_disk_costs_the_log_and_not_the_stage(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("no folder")
    with RunLog(tmp_path).recording("prepare"):
        pass
    assert RunLog(tmp_path).runs() == []
    assert RunLog(tmp_path).finished() == {}


def test_a_killed_stage_is_known_to_be_gone(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from hcga.runlog import RunLog\n"
        "with RunLog(pathlib.Path(sys.argv[1])).recording('extract@r1'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (run,) = RunLog(tmp_path).runs()
    assert (run.stage, run.alive) == ("extract@r1", False)


def test_a_process_that_has_the_number_of_an_earlier_one_is_not_the_stage(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with (
        log.recording("extract@r1"),
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        (run,) = log.runs()
        assert run.alive
        assert not run._replace(pid=other.pid).alive
        assert not run._replace(born=None).alive


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
def test_a_process_that_only_waits_to_be_reaped_has_ended(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from hcga.runlog import RunLog\n"
        "with RunLog(pathlib.Path(sys.argv[1])).recording('extract@r1'): print(flush=True), input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        (run,) = RunLog(tmp_path).runs()
        assert run.alive
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not run.alive


def test_without_proc_the_number_of_the_process_must_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runlog, "PROCESSES", tmp_path)
    with RunLog(tmp_path).recording("extract@r1"):
        (run,) = RunLog(tmp_path).runs()
        assert (run.born, run.alive) == (0, True)
        assert not run._replace(pid=2**22 + 1).alive


def test_a_stage_on_another_machine_is_believed_to_run(tmp_path: Path) -> None:
    with RunLog(tmp_path).recording("train@r1"):
        (run,) = RunLog(tmp_path).runs()
    assert not run.elsewhere
    other = run._replace(host="node7", pid=2**22 + 1)
    assert (other.elsewhere, other.alive) == (True, True)
    assert not other._replace(error="no disk").alive


def test_the_last_whole_run_counts_and_cut_lines_do_not(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    entries = [("embed@r1", 30.0, 9.0), ("embed@r1", 10.0, 5.0), ("report", 20.0, 1.0)]
    lines = [json.dumps({"stage": s, "ended": e, "seconds": t, "peak_mb": 1.0}) for s, e, t in entries]
    (tmp_path / FOLDER / "times.jsonl").write_text("\n".join([*lines, '{"stage": "train@r1", "en']))
    (tmp_path / FOLDER / "train@r1.json").write_text('{"stage": "tr')
    (tmp_path / FOLDER / "train@r2.json").write_text('{"stage": "train@r2", "of": "another version"}')
    log = RunLog(tmp_path)
    assert {stage: run.seconds for stage, run in log.finished().items()} == {"embed@r1": 9.0, "report": 1.0}
    assert list(log.finished())[-1] == "embed@r1"
    assert log.runs() == []


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
