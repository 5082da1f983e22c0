"""What dvc.lock says of a run against what is there now."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hcga.runs.staleness import changed_params, is_stale, written_anew
from hcga.runs.workspace import Workspace


def test_params_that_changed_since_the_run_are_named(workspace_folder: Path) -> None:
    workspace = Workspace(workspace_folder)
    assert changed_params(workspace) == [], "no dvc.lock: nothing is known of a run"
    yaml = YAML(typ="safe")
    params = yaml.load(workspace.params_file)
    coparse = params["coparse"] | {"back_weight": 0.5, "gone": 1}
    stages = {
        "evaluate@r1": {"params": {"params.yaml": {"evaluate": params["evaluate"]}}},
        "coparse@r1": {"params": {"params.yaml": {"coparse": coparse, "seed": params["seed"]}}},
        "train@old": {"params": {"params.yaml": {"gam": {"t": 7}}}},  # a round that is no more
        "report": {"params": {"params.yaml": {"rounds": {"r1": {"prev": "init", "until_epoch": 6}}}}},
        "check": {"params": {"params.yaml": {"part_classes": 7}}},  # makes nothing that others read
    }
    yaml.dump({"schema": "2.0", "stages": stages}, workspace_folder / "dvc.lock")
    assert changed_params(workspace) == ["coparse.back_weight", "coparse.gone", "rounds.r2", "rounds.r3"]


def test_what_has_been_written_anew_since_a_stage_read_it(workspace_folder: Path) -> None:
    lock, workspace = workspace_folder / "dvc.lock", Workspace(workspace_folder)
    assert written_anew(workspace, "evaluate", "r1") == []
    deps = "deps: [{path: data/a, md5: 1}, {path: data/b, md5: 2}, {path: code.py, md5: 3}]"
    outs = "outs: [{path: data/a, md5: 9}, {path: data/b, md5: 2}]"
    lock.write_text(f"stages:\n  evaluate@r1: {{{deps}}}\n  coparse@r1: {{{outs}}}\n")
    assert written_anew(workspace, "evaluate", "r1") == ["data/a"]
    assert written_anew(workspace, "evaluate", "r2") == written_anew(workspace, "coparse", "r1") == []


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({}, []),
        ({"train@r1": {"params": {"params.yaml": {"gam": {"t": 7}}}}}, ["r2"]),
        ({"coparse@r1": {"params": {"params.yaml": {"seed": 99}}}}, ["r1", "r2"]),
        ({"coparse@r2": {"params": {"params.yaml": {"seed": 99}}}}, ["r2"]),
        ({"evaluate@r1": {"params": {"params.yaml": {"seed": 99}}}}, []),
        ({"check": {"params": {"params.yaml": {"part_classes": 99}}}}, []),
        ({"catalogue@main": {"params": {"params.yaml": {"seed": 99}}}}, ["r1", "r2"]),
        ({"prepare": {"deps": [{"path": "data/checked.txt", "md5": 9}]}}, ["r1", "r2"]),
    ],
)
def test_a_stage_is_stale_if_one_before_it_would_run_again(
    workspace_folder: Path, change: dict[str, dict[str, object]], stale: list[str]
) -> None:
    def reads(*paths: str) -> dict[str, object]:
        return {"deps": [{"path": path, "md5": 1} for path in paths]}

    def writes(path: str) -> dict[str, object]:
        return {"outs": [{"path": path, "md5": 1}]}

    stages = {
        "check": writes("data/checked.txt"),
        "catalogue@old": writes("data/catalogues/old.csv") | {"params": {"params.yaml": {"seed": 99}}},  # is no more
        "catalogue@main": writes("data/catalogues/main.csv"),
        "prepare": reads("data/checked.txt", "hcga/preparation.py", "data/catalogues") | writes("data/images.zarr"),
        "coparse@r1": reads("data/images.zarr") | writes("data/masks/r1.zarr"),
        "train@r1": reads("data/masks/r1.zarr") | writes("data/models/r1"),
        "coparse@r2": reads("data/images.zarr", "data/models/r1") | writes("data/masks/r2.zarr"),
        "evaluate@r1": reads("data/models/r1"),
    }
    for name, entry in change.items():
        stages[name] |= entry
    YAML(typ="safe").dump({"stages": stages}, workspace_folder / "dvc.lock")
    workspace = Workspace(workspace_folder)
    assert [name for name in ("r1", "r2") if is_stale(workspace, "coparse", name)] == stale


def test_of_what_no_run_is_known_nothing_is_stale(workspace_folder: Path) -> None:
    assert not is_stale(Workspace(workspace_folder), "coparse", "r1")
