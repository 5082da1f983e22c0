"""The code that makes a report, as Git knows it."""

import os
import subprocess
from pathlib import Path

import pytest

from hcga.report.code import name_code


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("hcga/masks/parts.py", "pipeline/report.py", "dvc.yaml", "params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n", encoding="utf-8")
    call(tmp_path, "init", "-q")
    call(tmp_path, "add", ".")
    call(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return tmp_path


def call(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_commit_is_named_whatever_stands_in_params(checkout: Path) -> None:
    (checkout / "params.yaml").write_text("2\n", encoding="utf-8")  # the page shows it
    assert name_code(checkout) == f"commit {call(checkout, 'rev-parse', 'HEAD')}"


@pytest.mark.parametrize("name", ["hcga/masks/parts.py", "pipeline/report.py", "dvc.yaml", "hcga/new.py"])
def test_code_that_is_not_as_committed_is_named(checkout: Path, name: str) -> None:
    (checkout / name).write_text("2\n", encoding="utf-8")
    assert name_code(checkout).endswith(f", with changes in {name}")
    call(checkout, "add", ".")
    assert name_code(checkout).endswith(f", with changes in {name}")


def test_without_a_commit_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert name_code(tmp_path) == "unknown"
    call(tmp_path, "init", "-q")
    assert name_code(tmp_path) == "unknown"


def test_without_git_it_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert name_code(checkout) == "unknown"
