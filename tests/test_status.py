"""What is said of a run, by hand-made times."""

import os
import platform

import pytest

from hcga.params import Params
from hcga.progress import Level
from hcga.runlog import Finished, Run, _birth
from hcga.status import describe_runs, expected_seconds, seconds_left

STAGES = ["prepare", "extract@r1", "train@r1", "extract@r2", "train@r2", "report"]
NOW = 10_000.0


def took(**seconds: float) -> dict[str, Finished]:
    names = {name: name.replace("_", "@") for name in seconds}
    return {names[name]: Finished(names[name], 100.0 + i, seconds[name], 10.0) for i, name in enumerate(seconds)}


def running(stage: str, passed: float, *levels: Level) -> Run:
    """Give a run whose process is this one."""
    pid = os.getpid()
    return Run(stage, platform.node(), pid, _birth(pid), NOW - passed, NOW - 3, list(levels), "")


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
    run = running("train@r2", 8, Level("training", done, 10, "epoch"))
    assert seconds_left(run, took(train_r1=30.0), default_params, NOW) == pytest.approx(left)


def test_nothing_is_said_of_a_stage_without_times_or_one_that_takes_longer(default_params: Params) -> None:
    assert seconds_left(running("prepare", 5), {}, default_params, NOW) is None
    assert seconds_left(running("prepare", 5), took(prepare=4.0), default_params, NOW) is None


def test_what_runs_and_what_is_to_do_after_it(default_params: Params) -> None:
    run = running("train@r1", 80, Level("training", 1, 2, "epoch"), Level("epoch 2", 0, 5, "batch"))
    plan, finished = STAGES[2:], took(train_r2=60.0, extract_r2=5.0)
    assert describe_runs([run], finished, plan, default_params, NOW) == [
        "running    train@r1, 1 min 20 s so far, about 1 min 20 s left",
        "           training: 1 of 2 epochs",
        "           epoch 2: 0 of 5 batches",
        "to do      extract@r2, train@r2, report: more than 1 min 5 s",
    ]
    assert describe_runs([run], finished, ["train@r1"], default_params, NOW)[-1] == ("to do      nothing after that")


def test_a_stage_on_another_machine_is_said_to_be_there(default_params: Params) -> None:
    run = running("train@r1", 80)._replace(host="node7", pid=2**22 + 1)
    first, second = describe_runs([run], took(report=2.0), ["train@r1", "report"], default_params, NOW)
    assert first == "running    train@r1 on node7, last heard of 3 s ago, 1 min 20 s so far"
    assert second == "to do      report: about 2 s"


def test_what_has_failed_and_what_was_cut_short(default_params: Params) -> None:
    runs = [
        running("extract@r1", 80)._replace(error="no disk left:\n  / is full"),
        running("train@r1", 80)._replace(pid=2**22 + 1),
    ]
    assert describe_runs(runs, {}, STAGES[1:], default_params, NOW) == [
        "failed     extract@r1, 3 s ago: no disk left:\n             / is full",
        "cut short  train@r1, last heard of 3 s ago: its process 4194305 is gone",
        "to do      extract@r1, train@r1, extract@r2, ..., report (5 stages); `dvc repro` does it",
    ]


def test_a_failure_is_forgotten_once_its_stage_is_up_to_date(default_params: Params) -> None:
    runs = [
        running("train@r1", 80)._replace(error="no disk left"),
        running("train@r2", 80)._replace(pid=2**22 + 1),
        running("train@r9", 80)._replace(error="a round that is not there any more"),
    ]
    lines = describe_runs(runs, took(report=2.0), [], default_params, NOW)
    assert [line.split()[0] for line in lines] == ["idle", "to"]
    assert describe_runs([running("train@r9", 80)], {}, [], default_params, NOW)[0].startswith("running")


def test_where_nothing_runs(default_params: Params) -> None:
    assert describe_runs([], {}, STAGES, default_params, NOW) == [
        "idle       no stage has run here yet",
        "to do      prepare, extract@r1, train@r1, ..., report (6 stages); `dvc repro` does it",
    ]
    finished = {
        "train@r2": Finished("train@r2", NOW - 7260, 3.0, 1.0),
        "report": Finished("report", NOW - 7200, 3.0, 1.0),
    }
    assert describe_runs([], finished, [], default_params, NOW) == [
        "idle       no stage runs; the last, report, ended 2 h 0 min ago and took 3 s",
        "to do      nothing: all stages are up to date",
    ]
    idle, _ = describe_runs([], finished, ["report"], default_params, NOW - 7190)
    assert idle.endswith("ended 10 s ago and took 3 s; if `dvc repro` runs, the next one begins soon")
    assert describe_runs([], finished, ["report"], default_params, NOW)[0].endswith("took 3 s")
    assert describe_runs([], finished, [], default_params, NOW - 7190)[0].endswith("took 3 s")
