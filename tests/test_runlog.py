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
                assert run.levels[1] == Level("epoch", number, 2, "batch")
        assert log.runs()[0].share == 1
        assert log.finished() == {}
    assert log.runs() == []
    done = log.finished()["train@r1"]
    assert 0 <= done.seconds < 60
    assert abs(done.ended - time.time()) < 60
    assert 10 < done.peak_mb < 20_000


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
    assert (run.stage, run.error) == ("prepare", "no images")
    with log.recording("prepare"):
        assert log.runs()[0].error == ""
    assert log.runs() == []
    assert list(log.finished()) == ["prepare"]


def test_a_killed_stage_is_known_to_be_gone(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from hcga.runlog import RunLog\n"
        "with RunLog(pathlib.Path(sys.argv[1])).recording('extract@r1'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (run,) = RunLog(tmp_path).runs()
    assert (run.stage, run.alive) == ("extract@r1", False)


def test_the_last_whole_run_counts_and_cut_lines_do_not(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    entries = [("embed@r1", 30.0, 9.0), ("embed@r1", 10.0, 5.0), ("report", 20.0, 1.0)]
    lines = [json.dumps({"stage": s, "ended": e, "seconds": t, "peak_mb": 1.0}) for s, e, t in entries]
    (tmp_path / FOLDER / "times.jsonl").write_text("\n".join([*lines, '{"stage": "train@r1", "en']))
    (tmp_path / FOLDER / "train@r1.json").write_text('{"stage": "tr')
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
    assert Run("x", 1, 0.0, levels, "").share == share
