"""What is said of a run, by hand-made times."""

import json
import os
import platform
from pathlib import Path

import pytest

from hcga.params import Params
from hcga.runs.busy import Busy
from hcga.runs.processes import birth
from hcga.runs.progress import Level
from hcga.runs.runlog import Finished, Reading, Run
from hcga.runs.status import describe_leftovers, describe_runs, expected_seconds, seconds_left, still_stands
from hcga.runs.workspace import Workspace

STAGES = ["prepare", "extract@r1", "train@r1", "extract@r2", "train@r2", "report"]
NOW = 10_000.0


def took(**seconds: float) -> dict[str, Finished]:
    names = {name: name.replace("_", "@") for name in seconds}
    return {names[name]: Finished(names[name], 100.0 + i, seconds[name], 10.0) for i, name in enumerate(seconds)}


def running(stage: str, passed: float, *levels: Level) -> Run:
    """Give a run whose process is this one."""
    pid = os.getpid()
    return Run(stage, platform.node(), pid, birth(pid), NOW - passed, NOW - 3, list(levels), "")


def reading(
    *running: Run, ended: tuple[Run, ...] = (), finished: dict[str, Finished] | None = None, at: float = NOW
) -> Reading:
    return Reading(at, list(running), list(ended), finished or {})


def test_a_stage_takes_what_it_took_or_what_it_took_in_another_round(default_params: Params) -> None:
    finished = took(extract_r1=8.0, train_r1=30.0, train_r2=24.0)
    assert expected_seconds("extract@r1", finished, default_params) == 8.0
    assert expected_seconds("train@r1", finished, default_params) == 30.0, "its own, though another's is later"
    assert expected_seconds("extract@r3", finished, default_params) == 8.0
    assert expected_seconds("train@r3", finished, default_params) == 24.0
    assert expected_seconds("report", finished, default_params) is None


def test_what_is_kept_of_rounds_that_are_no_more_is_named(workspace_folder: Path) -> None:
    data = workspace_folder / "data"
    for name in ("models/.r9.safetensors.0a1b.part", "models/.r2.safetensors.0a1b.part", "masks/.r9.zarr.part"):
        (data / name).mkdir(parents=True)
    for name in ("models/.init.safetensors.part", "masks/.r9.csv.lock.part", "catalogues/.main.csv.part"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).touch()
    (data / "models/.r9.safetensors.0a1b.part/model").write_bytes(bytes(2_600_000))
    kept = ["data/masks/.r9.zarr.part", "data/models/.r9.safetensors.0a1b.part"]
    assert describe_leftovers(Workspace(workspace_folder)) == [
        f"left over  {kept[0]}, 0 MB, of r9: `rm -r {kept[0]}` if that is no more",
        f"left over  {kept[1]}, 3 MB, of r9: `rm -r {kept[1]}` if that is no more",
    ]


def test_training_goes_by_epochs(default_params: Params) -> None:
    rounds = {
        name: default_params.rounds[name].model_copy(update={"until_epoch": until})
        for name, until in (("r1", 6), ("r2", 9), ("r3", 21))
    }
    params = default_params.model_copy(update={"rounds": rounds})
    assert expected_seconds("train@r2", took(train_r1=30.0), params) == 15.0
    assert expected_seconds("train@r3", took(train_r1=30.0), params) == 60.0
    shorter = {name: run._replace(epochs=2) for name, run in took(train_r2=30.0).items()}  # than it is now
    assert expected_seconds("train@r2", shorter, params) == 45.0
    assert expected_seconds("train@r3", shorter, params) == 180.0
    none = {name: run._replace(epochs=0) for name, run in shorter.items()}
    assert expected_seconds("train@r2", none, params) == 90.0


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
    assert describe_runs(reading(run, finished=finished), plan, default_params) == [
        "running    train@r1, 1 min 20 s so far, about 1 min 20 s left",
        "           training: 1 of 2 epochs",
        "           epoch 2: 0 of 5 batches",
        "to do      extract@r2, train@r2, report: more than 1 min 5 s",
    ]
    assert describe_runs(reading(run), ["train@r1"], default_params)[-1] == "to do      nothing after that"


def test_a_stage_on_another_machine_is_said_to_be_there(default_params: Params) -> None:
    run = running("train@r1", 80)._replace(host="node7", pid=2**22 + 1)
    first, second = describe_runs(reading(run, finished=took(report=2.0)), ["train@r1", "report"], default_params)
    assert first == "running    train@r1 on node7, last heard of 3 s ago, 1 min 20 s so far"
    assert second == "to do      report: about 2 s"


def test_what_has_failed_and_what_was_cut_short(default_params: Params) -> None:
    ended = (
        running("extract@r1", 80)._replace(error="no disk left:\n  / is full"),
        running("train@r1", 80)._replace(pid=2**22 + 1),
    )
    assert describe_runs(reading(ended=ended), STAGES[1:], default_params) == [
        "failed     extract@r1, 3 s ago: no disk left:\n             / is full",
        "cut short  train@r1, last heard of 3 s ago: its process 4194305 is gone",
        "to do      extract@r1, train@r1, extract@r2, ..., report (5 stages); `dvc repro` does it",
    ]


def test_a_failure_stands_until_its_stage_is_up_to_date_or_what_it_reads_is_changed(workspace_folder: Path) -> None:
    workspace, failed = Workspace(workspace_folder), running("train@r1", 80)._replace(error="no disk left")
    files = [workspace_folder / name for name in ("params.yaml", "dvc.yaml", "code.py")]
    deps = [{"path": "code.py"}, {"path": "gone"}]
    (workspace_folder / "dvc.lock").write_text(json.dumps({"stages": {"train@r1": {"deps": deps}}}))
    for file in files:
        file.touch()
        os.utime(file, (failed.noted - 1, failed.noted - 1))
    assert still_stands(failed, ["train@r1"], workspace)
    assert not still_stands(failed, ["train@r2"], workspace)
    for file in files:
        os.utime(file, (failed.noted + 1, failed.noted + 1))
        assert not still_stands(failed, ["train@r1"], workspace)
        os.utime(file, (failed.noted - 1, failed.noted - 1))


def test_where_nothing_runs(default_params: Params) -> None:
    assert describe_runs(reading(), STAGES, default_params) == [
        "idle       no stage has run here yet",
        "to do      prepare, extract@r1, train@r1, ..., report (6 stages); `dvc repro` does it",
    ]
    finished = {
        "train@r2": Finished("train@r2", NOW - 7260, 3.0, 1.0),
        "report": Finished("report", NOW - 7200, 3.0, 1.0),
    }
    assert describe_runs(reading(finished=finished), [], default_params) == [
        "idle       no stage runs; the last, report, ended 2 h 0 min ago and took 3 s",
        "to do      nothing: all stages are up to date",
    ]


def test_between_stages_dvc_is_said_to_be_at_work(default_params: Params) -> None:
    dvc = Busy(77, "dvc repro", "data/features/r2.zarr")
    assert describe_runs(reading(finished=took(report=2.0)), ["train@r2"], default_params, dvc) == [
        "busy       dvc repro (process 77) is at data/features/r2.zarr: "
        "it compares or stores files, or a stage is starting",
        "to do      train@r2",
    ]
    run = running("train@r1", 80)
    first, last = describe_runs(reading(run), ["train@r1", "report"], default_params, dvc)
    assert (first.split()[0], last) == ("running", "to do      report")
