"""`hcga verify`, in a pipeline of two rounds that adds numbers; and of the real one in test_pipeline.py."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo

from hcga.cli.main import main

STAGES = """\
stages:
  report:
    cmd: mkdir -p data/report && date +%N > data/report/page && ls data/figures > data/report/names
    deps: [data/figures]
    outs: [data/report]
    meta: {varies: {data/report/page: the time}}
  train:
    foreach: ${rounds}
    do:
      cmd: cat data/models/${item.prev} code.py > data/models/${key} && echo ${item.epochs} >> data/models/${key}
      params: [train]
      deps:
        - code.py
        - data/models/${item.prev}
      outs:
        - data/models/${key}
  evaluate:
    foreach: ${rounds}
    do:
      cmd: sh evaluate.sh data/models/${key} data/figures/${key}.json
      deps:
        - data/models/${key}
      metrics:
        - data/figures/${key}.json: {cache: false}
"""
EVALUATE = 'printf \'{"mAP": %s.0, "epoch": 4, "run": {"threads": 1}}\' $(wc -l < $1) > $2\n'
PARAMS = "train: {rate: 1}\nrounds:\n  r1: {prev: init, epochs: 4}\n  r2: {prev: r1, epochs: 8}\n"
ORDER = ["train@r1", "evaluate@r1", "train@r2", "evaluate@r2", "report"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a checkout whose stages have all run; to be copied."""
    folder, settings = tmp_path_factory.mktemp("finished"), str(tmp_path_factory.mktemp("settings"))
    for name in ("models", "figures", "report"):
        (folder / "data" / name).mkdir(parents=True)
    files = {"dvc.yaml": STAGES, "params.yaml": PARAMS, "evaluate.sh": EVALUATE, "code.py": "1\n"}
    for name, text in (files | {"data/models/init": "0\n"}).items():
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, settings)
        patch.chdir(folder)
        with Repo.init(no_scm=True) as repo:
            stages = repo.reproduce()
        assert {stage.name for stage in stages} == set(ORDER)
        yield folder


@pytest.fixture
def checkout(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a checkout whose stages have all run, as the working directory; its path has a blank."""
    folder = tmp_path / "my checkout"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    return folder


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["verify", *arguments])


def verdicts(result: Result) -> dict[str, str]:
    """Return what is said of each stage, without the time it took."""
    lines = [line.split(maxsplit=3) for line in result.stdout.splitlines()[:-1] if not line.startswith(" ")]
    return {words[0]: words[3] for words in lines}


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Read all files with their times, save for the folder that verify works in and DVC's note of the last use."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".hcga" not in path.parts]
    found = {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    return {name: state for name, state in found.items() if not name.startswith(".dvc/tmp/")}


def replace(path: Path, content: str) -> None:
    path.unlink()  # it may be a link into the cache
    path.write_text(content)


def test_all_stages_in_the_order_of_dvc_and_nothing_changes(checkout: Path) -> None:
    before = state_of(checkout)
    result = verify()
    assert result.exit_code == 0, result.output
    assert list(verdicts(result)) == ORDER
    assert set(verdicts(result).values()) == {"equal bytes"}
    assert "data/report/page differs, as it may: it shows the time" in result.stdout
    assert result.stdout.splitlines()[-1] == "5 of 5 stages are as recorded"
    assert state_of(checkout) == before
    assert [path.name for path in (checkout / ".hcga").rglob("*") if path.is_file()] == ["lock"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train"], ["train@r1", "train@r2"]),
        (["evaluate@r2", "train@r2"], ["train@r2", "evaluate@r2"]),
        (["report", "report"], ["report"]),
    ],
)
def test_stages_by_name(checkout: Path, names: list[str], expected: list[str]) -> None:
    assert list(verdicts(verify(*names))) == expected


def test_an_unknown_stage_is_a_mistake_of_use(checkout: Path) -> None:
    result = verify("trian@r1")
    assert result.exit_code == 2
    assert "no stage 'trian@r1'; did you mean 'train@r1'? dvc.yaml has: train, evaluate, report" in result.stderr
    assert verify("--tolerance", "0").exit_code == verify("--tolerance", "2").exit_code == 2


def test_a_stage_that_writes_something_else_is_alone_in_that(checkout: Path) -> None:
    """What evaluate does has changed unseen: it differs, and what reads it does not."""
    (checkout / "evaluate.sh").write_text(EVALUATE.replace("%s.0", "%s.1"))
    result = verify()
    assert result.exit_code == 1
    said = verdicts(result)
    assert [name for name, verdict in said.items() if verdict == "DIFFERS"] == ["evaluate@r1", "evaluate@r2"]
    assert said["report"] == "equal bytes"
    assert "data/figures/r1.json: mAP: 3, now 3.1" in result.stdout
    assert "3 of 5 stages are as recorded; differ: evaluate@r1, evaluate@r2" in result.stdout
    assert "note: bytes are equal on one kind of processor" in result.stderr


@pytest.mark.parametrize(("tolerance", "verdict"), [("0.05", "within 0.05"), ("0.03", "DIFFERS")])
def test_a_tolerance_is_a_share_of_the_recorded_value(checkout: Path, tolerance: str, verdict: str) -> None:
    (checkout / "evaluate.sh").write_text(EVALUATE.replace("%s.0", "%s.1"))
    result = verify("evaluate@r1", "--tolerance", tolerance)
    assert verdicts(result) == {"evaluate@r1": verdict}
    assert result.exit_code == (verdict == "DIFFERS")


@pytest.mark.parametrize(("figure", "verdict"), [("%s.0", "equal but for what it says of"), ("%s.1", "within 0.05")])
def test_another_machine_alone_is_no_difference(checkout: Path, figure: str, verdict: str) -> None:
    (checkout / "evaluate.sh").write_text(EVALUATE.replace('"threads": 1', '"threads": 2').replace("%s.0", figure))
    result = verify("evaluate@r1", "--tolerance", "0.05")
    assert verdicts(result)["evaluate@r1"].startswith(verdict)
    assert "data/figures/r1.json: run.threads: 1, now 2" in result.stdout
    assert result.exit_code == 0
    assert verify("evaluate@r1").exit_code == (figure == "%s.1")


def test_an_input_that_was_edited_is_taken_from_the_cache(checkout: Path) -> None:
    replace(checkout / "data/models/r1", "edited\n")
    result = verify("train", "evaluate@r1")
    assert verdicts(result) == {"train@r1": "DIFFERS", "evaluate@r1": "equal bytes", "train@r2": "equal bytes"}
    assert (
        "data/models/r1: the stage writes what dvc.lock has, but in the workspace there is something" in result.stdout
    )


def test_a_folder_of_outputs_is_put_together_as_it_was(checkout: Path) -> None:
    (checkout / "data/figures/stray").write_text("not of any stage")
    result = verify("report")
    assert "cannot be verified" not in result.stdout  # figures are not in the cache, and those here are as they were
    assert result.exit_code == 0, result.output


def test_what_is_lost_is_named(checkout: Path) -> None:
    replace(checkout / "data/models/r1", "edited\n")
    shutil.rmtree(checkout / ".dvc/cache")
    result = verify("train", "evaluate@r1")
    lost = "cannot be verified: data/models/r1 as the stage read it is neither here nor in DVC's cache; `dvc fetch`"
    assert result.exit_code == 1
    assert verdicts(result)["train@r2"].startswith(lost)
    assert "could not be verified: evaluate@r1, train@r2" in result.stdout


def test_a_damaged_cache_is_named(checkout: Path) -> None:
    replace(checkout / "data/models/r1", "edited\n")
    for file in (checkout / ".dvc/cache/files").rglob("*"):
        if file.is_file() and file.read_bytes().startswith(b"0\n1\n4"):
            file.chmod(0o644)
            file.write_text("0\n1\n5\n")
    result = verify("evaluate@r1")
    assert verdicts(result)["evaluate@r1"].startswith("cannot be verified: data/models/r1: DVC's cache is damaged")


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("code.py", "1", "2", "code.py has changed since it ran"),
        ("params.yaml", "rate: 1", "rate: 2", "train.rate has changed in params.yaml"),
        ("params.yaml", "epochs: 4", "epochs: 5", "its command has changed in dvc.yaml"),
        ("dvc.lock", "train@r1", "train@r0", "it has not run yet"),
        ("data/models/init", "0", "1", "data/models/init has changed since it ran"),
    ],
)
def test_a_stage_that_is_not_up_to_date_is_not_verified(
    checkout: Path, file: str, old: str, new: str, why: str
) -> None:
    (checkout / file).write_text((checkout / file).read_text().replace(old, new))
    result = verify("train@r1")
    assert result.exit_code == 1
    assert verdicts(result)["train@r1"].startswith(f"cannot be verified: not up to date: {why}")
    assert "`dvc repro` first" in result.stdout


def test_an_edited_dvc_lock_differs_from_what_is_written(checkout: Path) -> None:
    lock = checkout / "dvc.lock"
    outs = lock.read_text().partition("train@r2")[2].partition("outs:")[2]
    md5 = outs.partition("md5: ")[2][:32]
    lock.write_text(lock.read_text().replace(md5, f"{md5[:-1]}{'1' if md5[-1] == '0' else '0'}"))
    result = verify("train@r2")
    assert verdicts(result) == {"train@r2": "DIFFERS"}
    assert "those that were recorded are neither here nor in DVC's cache" in result.stdout
    assert "the workspace has what the stage writes, and dvc.lock something else" in result.stdout


def test_a_stage_that_fails_says_why_and_the_others_go_on(checkout: Path) -> None:
    (checkout / "evaluate.sh").write_text("echo 'Error: no figures today' && exit 1\n")
    result = verify("evaluate@r1", "train@r2")
    assert result.exit_code == 1
    assert verdicts(result) == {"evaluate@r1": "FAILED: Error: no figures today", "train@r2": "equal bytes"}


def test_what_is_kept_can_be_looked_at(checkout: Path) -> None:
    result = verify("train@r1", "--keep")
    assert "kept: .hcga/verify" in result.stderr
    folder = checkout / ".hcga/verify/train@r1"
    assert (folder / "outputs/data/models/r1").read_bytes() == (checkout / "data/models/r1").read_bytes()
    assert (folder / "log.txt").is_file()
    verify("train@r2")
    assert not folder.exists()


def test_an_edit_while_a_stage_runs_is_no_difference(checkout: Path) -> None:
    (checkout / "evaluate.sh").write_text("echo >> code.py; echo >> data/models/r1; echo '{}' > $2\n")
    (checkout / "data/models/r1").chmod(0o644)
    result = verify("evaluate@r1")
    assert verdicts(result)["evaluate@r1"].startswith("cannot be verified: data/models/r1 has changed while it ran")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("sh evaluate.sh data/models/r1 ./data/figures/r1.json", "data/figures/r1.json is written, and the stage's"),
        ("sh evaluate.sh data/models/r1 $PWD/data/figures/r1.json", "data/figures/r1.json is written, and the stage's"),
        ("sh evaluate.sh data/models/r1", "data/figures/r1.json is written, and the stage's"),
    ],
)
def test_a_stage_that_would_write_into_the_workspace_is_not_run(checkout: Path, command: str, why: str) -> None:
    usual = "sh evaluate.sh data/models/${key} data/figures/${key}.json"
    for name, text in (("dvc.yaml", usual), ("dvc.lock", usual.replace("${key}", "r1"))):
        path = checkout / name
        path.write_text(path.read_text().replace(text, command))
    before = state_of(checkout)
    assert verdicts(verify("evaluate@r1"))["evaluate@r1"].startswith(f"cannot be verified: {why}")
    assert state_of(checkout) == before


def test_what_does_not_fit_on_the_disk_is_not_begun(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(".")._replace(free=3)
    monkeypatch.setattr("hcga.verification.rerun.shutil.disk_usage", lambda _: usage)
    assert "cannot be verified: writes 0.0 GB, and 0.0 are free" in verify("train@r1").stdout


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda: Path("dvc.lock").unlink(), "dvc.lock: no such file, so no stage has run here; `dvc repro` first"),
        (lambda: Path("dvc.lock").write_text("stages: 3"), "`stages` is no mapping of stages"),
        (lambda: shutil.rmtree(".dvc"), "no folder .dvc"),
        (lambda: Path("dvc.yaml").unlink(), "no dvc.yaml here or above"),
    ],
)
def test_what_is_missing_is_said_in_words(checkout: Path, damage: object, message: str) -> None:
    damage()  # type: ignore[operator]
    result = verify()
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")


def test_a_path_without_its_digest(checkout: Path) -> None:
    lock = checkout / "dvc.lock"
    lock.write_text("\n".join(line for line in lock.read_text().splitlines() if "md5: " not in line))
    assert "Error: " in verify().stderr


def test_two_at_once_and_a_run_of_dvc(checkout: Path) -> None:
    (checkout / ".hcga/verify").mkdir(parents=True)
    with (checkout / ".hcga/verify/lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another `hcga verify` runs in this checkout" in verify().stderr
    holder = {str(checkout / "data/models/r1"): {"pid": os.getpid(), "cmd": "dvc repro"}}
    (checkout / ".dvc/tmp/rwlock").write_text(json.dumps({"write": holder}))
    assert "DVC is at work in this checkout (dvc repro); wait until it is done" in verify().stderr
