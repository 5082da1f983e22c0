"""What is left of a run, by hand-made times."""

import os
import time

import pytest

from hcga.params import Params
from hcga.progress import Level
from hcga.runlog import Finished, Run
from hcga.status import describe_runs, duration, estimate, expected_seconds

STAGES = ["prepare", "extract@r1", "train@r1", "extract@r2", "train@r2", "report"]


def took(**seconds: float) -> dict[str, Finished]:
    names = {name: name.replace("_", "@") for name in seconds}
    return {names[name]: Finished(names[name], 100.0 + i, seconds[name], 10.0) for i, name in enumerate(seconds)}


def test_a_stage_takes_what_it_took_or_what_it_took_in_another_round(default_params: Params) -> None:
    finished = took(extract_r1=8.0, train_r1=30.0, train_r2=24.0)
    assert expected_seconds("extract@r1", finished, default_params) == 8.0
    assert expected_seconds("extract@r3", finished, default_params) == 8.0
    assert expected_seconds("train@r3", finished, default_params) == 24.0
    assert expected_seconds("report", finished, default_params) is None


def test_training_goes_by_epochs(default_params: Params) -> None:
    rounds = {
        name: default_params.rounds[name].model_copy(update={"until_epoch": until})
        for name, until in (("r1", 6), ("r2", 9), ("r3", 21))
    }
    params = default_params.model_copy(update={"rounds": rounds})
    assert expected_seconds("train@r2", took(train_r1=30.0), params) == 15.0
    assert expected_seconds("train@r3", took(train_r1=30.0), params) == 60.0


@pytest.mark.parametrize(
    ("done", "left"), [(0, 22.0), (1, 22.0), (2, 32.0), (5, 8.0)], ids=["before", "a tenth", "own speed", "late"]
)
def test_a_stage_goes_by_its_own_speed_once_it_has_one(default_params: Params, done: int, left: float) -> None:
    run = Run("train@r2", 1, 100.0, [Level("training", done, 10, "epoch")], "")
    outlook = estimate(run, STAGES, took(train_r1=30.0, report=2.0), default_params, 108.0)
    assert outlook.of_stage == pytest.approx(left)
    assert (outlook.of_rest, outlook.unknown) == (2.0, 0)


def test_nothing_is_known_at_first(default_params: Params) -> None:
    assert estimate(Run("prepare", 1, 0.0, [], ""), STAGES, {}, default_params, 5.0) == (None, None, 5)


def test_lines_for_a_person(default_params: Params) -> None:
    now = time.time()
    runs = [
        Run("prepare", 2**22 + 1, now, [], ""),
        Run("extract@r1", os.getpid(), now, [], "no disk left"),
        Run("train@r1", os.getpid(), now - 80, [Level("training", 1, 2, "epoch"), Level("epoch 2", 0, 5, "batch")], ""),
    ]
    finished = took(train_r2=60.0, extract_r2=5.0)
    assert describe_runs(runs, finished, STAGES, default_params) == [
        "cut short  prepare: its process 4194305 is gone; `dvc repro` begins it again",
        "failed     extract@r1: no disk left",
        "running    train@r1, 1 min 20 s so far, about 1 min 20 s left",
        "           training: 1 of 2 epochs",
        "           epoch 2: 0 of 5 batches",
        "then       extract@r2, train@r2, report: more than 1 min 5 s if none is up to date",
    ]


def test_lines_where_nothing_runs(default_params: Params) -> None:
    assert describe_runs([], {}, STAGES, default_params) == [
        "idle       no stage has run here yet; `dvc repro` runs them"
    ]
    finished = {"report": Finished("report", time.time() - 7200, 3.0, 1.0)}
    (line,) = describe_runs([], finished, STAGES, default_params)
    assert line == "idle       report was the last stage to run, 2 h 0 min ago; it took 3 s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (7325, "2 h 2 min"), (90000, "1 d 1 h"), (3599.9, "1 h 0 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
