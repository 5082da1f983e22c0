import json
import re
from pathlib import Path

import pytest
from conftest import DEFAULT

from hcga import validation
from hcga.errors import InputError
from hcga.params import Params, load_params
from hcga.runs.recorded import _stages
from hcga.runs.workspace import Workspace, refuse_common_splits


@pytest.mark.parametrize("below", [".", "data", "data/metrics"])
def test_the_checkout_is_found_from_below(workspace_folder: Path, below: str) -> None:
    workspace = Workspace(workspace_folder / below)
    assert workspace.root == workspace_folder
    assert workspace.params == load_params(DEFAULT)


def test_outside_a_checkout_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no dvc\.yaml here or above; change into the checkout"):
        Workspace(tmp_path)


@pytest.mark.parametrize(
    ("stage", "option", "round_name", "expected"),
    [
        ("prepare", "samples", "", "data/samples.csv"),
        ("coparse", "masks", "r2", "data/masks/r2.zarr"),
        ("evaluate", "metrics", "r1", "data/metrics/r1.json"),
        ("train", "model", "r3", "data/models/r3.safetensors"),
    ],
)
def test_paths_are_those_of_dvc_yaml(
    workspace_folder: Path, stage: str, option: str, round_name: str, expected: str
) -> None:
    assert Workspace(workspace_folder).path(stage, option, round_name) == workspace_folder / expected


def test_another_dvc_yaml_has_other_paths(workspace_folder: Path) -> None:
    file = workspace_folder / "dvc.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("data/", "elsewhere/"), encoding="utf-8")
    assert Workspace(workspace_folder).path("coparse", "masks", "r1") == workspace_folder / "elsewhere/masks/r1.zarr"


def test_an_unknown_round_is_named_with_those_there_are(workspace_folder: Path) -> None:
    with pytest.raises(InputError, match=r"no round 'r7' in params\.yaml; known: r1, r2, r3"):
        Workspace(workspace_folder).path("coparse", "masks", "r7")


def test_a_split_of_a_root_is_read_once(tmp_path: Path, default_params: Params) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to("set")
    one = default_params.datasets["main"].model_copy(update={"root": "set", "splits": ["train", "query"]})
    refuse_common_splits({"one": one, "two": one.model_copy(update={"splits": ["gallery"]})}, tmp_path)
    for root in ("set/", str(tmp_path / "set"), "link"):
        other = one.model_copy(update={"root": root, "splits": ["query"]})
        with pytest.raises(
            InputError, match=rf"datasets\.two\.splits: query of {root} is in datasets\.one already; take"
        ):
            refuse_common_splits({"one": one, "two": other}, tmp_path)
    with pytest.raises(InputError, match=r"datasets\.one\.splits: train of set is in datasets\.one already"):
        refuse_common_splits({"one": one.model_copy(update={"splits": ["train", "train"]})}, tmp_path)


def test_outputs_are_what_stages_write_and_sources_what_git_should_have(workspace_folder: Path) -> None:
    workspace = Workspace(workspace_folder)
    outputs, sources = workspace.outputs(), workspace.sources()
    assert {"data/synthetic", "data/masks/${key}.zarr", "data/masks/${key}.png", "data/metrics/${key}.json"} <= outputs
    assert {"hcga/coparsing", "pipeline/train.py", "data/repairs"} <= sources
    assert {name for name in sources if not name.startswith(("hcga/", "pipeline/"))} == {"data/repairs"}


@pytest.mark.parametrize(
    "text", ["", "<<<<<<< HEAD\n", "[]", "other: 1\n", "stages: []", "stages: {train: 1}", "\udcff"]
)
@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml"])
def test_a_broken_file_of_dvc_is_named(workspace_folder: Path, name: str, text: str) -> None:
    (workspace_folder / name).write_text(text, "utf-8", "surrogateescape")
    with pytest.raises(InputError, match=rf"(?s){re.escape(name)}.*; take it back from Git"):
        Workspace(workspace_folder).locked()


def test_a_dvc_lock_of_many_rounds_is_read(workspace_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {f"train@r{number}": {"cmd": "train", "outs": []} for number in range(1000)}
    (workspace_folder / "dvc.lock").write_text(json.dumps({"stages": stages}))
    workspace = Workspace(workspace_folder)
    monkeypatch.setattr(validation, "LARGEST", 1000)
    monkeypatch.setattr(validation, "LARGEST_TEXT", 10_000)
    assert workspace.locked() == stages
    assert _stages(workspace_folder / "dvc.lock") == stages
    monkeypatch.setattr(validation, "LARGEST", 500)
    with pytest.raises(InputError, match=r"dvc\.lock is not valid YAML: more than 5,000 values"):
        _stages(workspace_folder / "dvc.lock")


def test_a_long_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("seed: 1\n" * 10)
    monkeypatch.setattr(validation, "LARGEST_TEXT", 79)
    monkeypatch.setattr(Path, "read_text", None)
    with pytest.raises(InputError, match=r"params\.yaml is not valid YAML: 80 bytes, 79 are the most"):
        load_params(file)


@pytest.mark.parametrize("path", ["../../elsewhere", "/etc/elsewhere", "data/../../elsewhere"])
def test_a_dvc_yaml_leads_nowhere_else(workspace_folder: Path, path: str) -> None:
    """That of another revision may be anybody's, and what it names is written to."""
    file = workspace_folder / "dvc.yaml"
    file.write_text(file.read_text().replace("--masks data/masks/${key}.zarr", f"--masks {path}/${{key}}.zarr"))
    with pytest.raises(InputError, match=r"dvc\.yaml: coparse has '.*elsewhere.*', which leads out of the checkout"):
        Workspace(workspace_folder).path("coparse", "masks", "r1")
