"""What DVC has to do, in a pipeline of two rounds that copies files."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import WriteParams
from dvc.repo import Repo

from hcga.errors import InputError
from hcga.runs.due import due_stages

STAGES = """\
stages:
  report:
    cmd: cp figures.r1 report
    deps: [figures.r1, figures.r2, params.yaml]
    outs: [report]
  check:
    meta: {constant: true}
    cmd: echo valid > checked
    deps: [params.yaml]
    outs: [checked]
  train:
    foreach: ${rounds}
    do:
      cmd: cp model.${item.prev} model.${key} && echo ${item.epochs} >> model.${key}
      params: [train]
      deps:
        - checked
        - code.py
        - model.${item.prev}
      outs:
        - model.${key}
  evaluate:
    foreach: ${rounds}
    do:
      cmd: cp model.${key} figures.${key}
      params: [evaluate]
      deps:
        - model.${key}
      outs:
        - figures.${key}
"""
PARAMS = "evaluate: 1\ntrain: 1\nrounds:\n  r1: {prev: init, epochs: 4}\n  r2: {prev: r1, epochs: 8}\n"
ORDER = ["check", "train@r1", "evaluate@r1", "train@r2", "evaluate@r2", "report"]
LATER = ["evaluate@r1", "train@r2", "evaluate@r2", "report"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep DVC's own files out of the user's folders."""
    folder = str(tmp_path_factory.mktemp("settings"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, folder)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, settings: None) -> Path:
    """Give a checkout whose stages have all run; to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, text in (("dvc.yaml", STAGES), ("params.yaml", PARAMS), ("code.py", "pass"), ("model.init", "0\n")):
            Path(name).write_text(text)
        with Repo.init(no_scm=True) as repo:
            assert [stage.name for stage in repo.reproduce()] == ORDER
    return folder


@pytest.fixture
def checkout(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a checkout whose stages have all run, as the working directory."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(file: str, old: str, new: str) -> Callable[[], object]:
    return lambda: Path(file).write_text(Path(file).read_text().replace(old, new))


def test_after_a_run_nothing_is_due(checkout: Path) -> None:
    assert due_stages(checkout) == []


@pytest.mark.parametrize(
    ("change", "due"),
    [
        (edit("params.yaml", "evaluate: 1", "evaluate: 2"), ["check", "evaluate@r1", "evaluate@r2", "report"]),
        (edit("params.yaml", "train: 1", "train: 2"), ORDER),
        (edit("params.yaml", "epochs: 8", "epochs: 9"), ["check", "train@r2", "evaluate@r2", "report"]),
        (edit("params.yaml", "evaluate: 1", "evaluate: 1  # as in the paper"), ["check", "report"]),
        (edit("code.py", "pass", "return"), ORDER[1:]),
        (edit("model.init", "0", "1"), ORDER[1:]),
        (edit("model.r1", "0", "1"), ORDER[1:]),
        (lambda: Path("figures.r2").unlink(), ["evaluate@r2", "report"]),
        (lambda: Path("dvc.lock").unlink(), ORDER),
    ],
    ids=["figures", "training", "command", "comment", "code", "input", "output edited", "lost", "lock"],
)
def test_what_a_change_makes_due(checkout: Path, change: Callable[[], object], due: list[str]) -> None:
    change()
    assert due_stages(checkout) == due


def test_what_a_stage_that_runs_makes_due(checkout: Path) -> None:
    assert due_stages(checkout, ["train@r1"]) == ["train@r1", *LATER]
    assert due_stages(checkout, ["evaluate@r1"]) == ["evaluate@r1", "report"]
    assert due_stages(checkout, ["check"]) == ["check"]
    edit("code.py", "pass", "return")()
    assert due_stages(checkout, ["train@r2"]) == ["train@r2", "evaluate@r2", "report"], "train@r1 must be done"


def test_what_a_stage_that_runs_has_deleted_is_no_hindrance(checkout: Path) -> None:
    Path("model.r1").unlink()
    assert due_stages(checkout, ["train@r1"]) == ["train@r1", *LATER]


def test_looking_locks_nothing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvc.rwlock.rwlock", lambda *_: pytest.fail("a stage about to begin would stop"))
    with Repo() as repo, repo.lock:
        assert due_stages(checkout) == []


def test_data_added_by_hand_is_no_stage(checkout: Path) -> None:
    with Repo() as repo:
        repo.add("model.init")
    assert due_stages(checkout) == []


def test_a_folder_below_and_another_one_make_no_difference(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("below").mkdir()
    for folder in ("below", "/"):
        monkeypatch.chdir(folder)
        assert due_stages(checkout) == []
        assert due_stages(checkout, ["evaluate@r1"]) == ["evaluate@r1", "report"]
    (checkout / "code.py").write_text("return")
    assert due_stages(checkout, ["train@r2"]) == ["train@r2", "evaluate@r2", "report"]


def test_what_dvc_cannot_read_is_said(checkout: Path) -> None:
    Path("dvc.lock").write_text("stages: {train@r1: {}}\n")
    with pytest.raises(InputError, match=r"DVC says: .*dvc\.lock.*; mend that, or take it back from Git"):
        due_stages(checkout)
    shutil.rmtree(".dvc")
    with pytest.raises(InputError, match=r"no folder \.dvc; take it back from Git"):
        due_stages(checkout)


def test_round_by_round_in_the_real_pipeline(workspace_folder: Path, settings: None, write_params: WriteParams) -> None:
    """Each round has its figures before the next begins; DVC looks so at the real dvc.yaml."""
    epochs = {"r1": 2, "r2": 4, "r3": 6, "r4": 8}
    rounds = {name: {"prev": f"r{i}" if i else "init", "until_epoch": epochs[name]} for i, name in enumerate(epochs)}
    write_params({"rounds": rounds}, workspace_folder / "params.yaml")
    each = [f"{verb}@{name}" for name in rounds for verb in ("extract", "coparse", "train", "embed", "evaluate")]
    drawn = [f"draw@{name}" for name in rounds]
    first = ["check", "synthesise", "catalogue@main", "prepare", "translate", "initialise"]
    assert due_stages(workspace_folder) == [*first, *each, *drawn, "report"]


def test_only_the_note_of_stage_check_never_changes() -> None:
    from stages import DVC

    metas = {verb: entry.get("do", entry).get("meta", {}) for verb, entry in DVC["stages"].items()}
    assert [verb for verb, meta in metas.items() if meta.get("constant")] == ["check"]
    assert {key for meta in metas.values() for key in meta} == {"constant", "varies"}
