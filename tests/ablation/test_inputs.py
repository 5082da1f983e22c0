import os
import subprocess
from pathlib import Path

import pytest
from conftest import DEFAULT, ROOT, change

from hcga.ablation.inputs import refuse_uncommitted, with_full_paths
from hcga.errors import InputError
from hcga.params import read_params
from hcga.runs.workspace import Workspace


@pytest.fixture
def checkout(tmp_path: Path) -> Workspace:
    """Give a committed checkout with the pipeline's dvc.yaml, a module, and a data set that Git does not have."""
    root = tmp_path / "checkout"
    for name in ("hcga/coparsing", "pipeline", "raw/train", "kept", "data/synthetic"):
        (root / name).mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    (root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (root / "params.yaml").write_bytes(DEFAULT.read_bytes())
    (root / ".gitignore").write_text("/data/*\n/raw/\n")
    for name in ("hcga/coparsing/losses.py", "hcga/errors.py", "pipeline/train.py", "kept/1.jpg", "README.md"):
        (root / name).write_text("1")
    for name in ("raw/train/1.jpg", "data/synthetic/1.jpg", "weights.pth"):
        (root / name).write_text("1")
    call(root, "init", "-q")
    call(root, "add", "hcga", "pipeline", "kept", "dvc.yaml", "params.yaml", ".gitignore", "README.md")
    call(root, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "first")
    return Workspace(root)


def call(root: Path, *arguments: str) -> None:
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *arguments], cwd=root, env=environment, check=True)


def test_params_and_what_no_stage_reads_may_be_uncommitted(checkout: Workspace) -> None:
    for name in ("params.yaml", "README.md", "new.py", "dvc.lock"):
        (checkout.root / name).write_text("2")
    refuse_uncommitted(checkout)


@pytest.mark.parametrize(
    "name", ["hcga/coparsing/losses.py", "hcga/coparsing/new.py", "hcga/errors.py", "pipeline/train.py", "dvc.yaml"]
)
def test_code_must_be_committed(checkout: Workspace, name: str) -> None:
    with (checkout.root / name).open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=rf"not committed: {name}\. An experiment is filed under its commit"):
        refuse_uncommitted(checkout)


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("data/synthetic", "data/synthetic"),  # a stage makes it
        ("kept", "kept"),  # Git has it
        ("raw", "{root}/raw"),
        ("../beside", "{above}/beside"),
        ("nowhere", "nowhere"),  # stage check says that it is missing
        ("/nowhere", "/nowhere"),
    ],
)
def test_data_that_git_does_not_have_are_named_in_full(checkout: Workspace, root: str, expected: str) -> None:
    values = read_params(DEFAULT)
    values["datasets"]["main"]["root"] = root
    found = with_full_paths(values, checkout)
    top = checkout.root.resolve()
    assert found["datasets"]["main"]["root"] == expected.format(root=top, above=top.parent)
    assert values["datasets"]["main"]["root"] == root
    found["datasets"]["main"]["root"] = root
    assert found == values


def test_so_are_weights_in_a_file_and_a_folder_of_which_git_has_a_part(checkout: Workspace) -> None:
    (checkout.root / "kept/2.jpg").write_text("2")
    values = read_params(DEFAULT) | {"external": {"root": "kept", "labels": "parts"}}
    change(values, {"backbone.weights": "weights.pth"})
    found = with_full_paths(values, checkout)
    assert found["backbone"]["weights"] == str(checkout.root.resolve() / "weights.pth")
    assert found["external"]["root"] == str(checkout.root.resolve() / "kept")
