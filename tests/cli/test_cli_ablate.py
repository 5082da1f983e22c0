"""`hcga ablate` on a small pipeline: two rows, two seeds, two rounds; interrupted in the second run, then finished."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from conftest import DEFAULT
from ruamel.yaml import YAML

from hcga.ablation import results
from hcga.ablation.agreement import compare
from hcga.cli.main import main
from hcga.errors import InputError
from hcga.params import read_params
from hcga.params_file import write_values

pytestmark = pytest.mark.slow

PIPELINE = """stages:
  prepare:
    cmd: python pipeline/stage.py prepare --samples data/samples.csv
    params: [prepare, datasets]
    deps: [pipeline/stage.py]
    outs:
      - data/samples.csv: {persist: true}
  coparse:
    foreach: ${rounds}
    do:
      cmd: python pipeline/stage.py coparse@${key} --masks data/masks/${key}.zarr
      params: [coparse, seed]
      deps: [data/samples.csv, pipeline/stage.py]
      outs:
        - data/masks/${key}.zarr
  train:
    foreach: ${rounds}
    do:
      cmd: python pipeline/stage.py train@${key} --history data/history/${key}.csv
      params: [seed]
      deps:
        - data/masks/${key}.zarr
        - pipeline/stage.py
      outs:
        - data/history/${key}.csv
  evaluate:
    foreach: ${rounds}
    do:
      cmd: python pipeline/stage.py evaluate@${key} --metrics data/metrics/${key}.json
      params: [evaluate, seed, train]
      deps:
        - data/masks/${key}.zarr
        - data/history/${key}.csv
        - pipeline/stage.py
      metrics:
        - data/metrics/${key}.json: {cache: false}
"""
# Notes each start in the file STARTED names; waits in the second row's evaluation while the file PAUSE names is there.
STAGE = """import json, os, sys, time
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

stage, target = sys.argv[1], Path(sys.argv[3])
params = YAML(typ="safe").load(Path("params.yaml"))
seed, verb = params["seed"], stage.partition("@")[0]
with open(os.environ["STARTED"], "a") as file:
    print(stage, seed, file=file)
target.parent.mkdir(parents=True, exist_ok=True)
if verb == "prepare":
    people = Path(params["datasets"]["main"]["root"], "people.csv").read_bytes()
    target.write_bytes(people)
if verb == "coparse":
    import zarr
    rng = np.random.default_rng(seed)
    store = zarr.create_group(store=str(target), zarr_format=3)
    for name, labels in (("masks", 4), ("labels", 18)):
        store.create_array(name, data=rng.integers(0, labels, (5, 4, 2), np.uint8))
if verb == "train":
    target.write_text(f"epoch,learning_rate,loss,accuracy\\n1,0.1,3.0,50.0\\n2,0.1,{seed}.5,70.0\\n")
if verb == "evaluate":
    if params["train"]["margin"] == 9:
        raise ValueError("it is 9") if Path(os.environ["PAUSE"]).exists() else SystemExit("Error: 9 is too much")
    foreground = params["evaluate"]["features"] == "F"
    while foreground and Path(os.environ["PAUSE"]).exists():
        time.sleep(0.05)
    figures = {"rank1": 10.0 * seed + 5 * foreground, "rank5": 80.0, "mAP": 20.0, "mAP_trapezoid": 19.0}
    figures["queries"] = 2210
    target.write_text(json.dumps({"epoch": 6, "retrieval": figures, "masks": {"iou_foreground": 30.0 + seed}}))
"""
TABLE = """title: What is matched
source: Table 0
seeds: [1, 2]
base: {gam.t: null}
rows:
  both:
    set: {evaluate.features: F+P}
    paper: {occluded_dukemtmc: {rank1: 65.9, mAP_trapezoid: 56.0}}
  foreground:
    set: {evaluate.features: F}
"""
PEOPLE = "split,pid,camid,sequence,frame,path,dataset\n" + "".join(
    f"train,{pid},{camid},1,1,{pid}_{camid}.jpg,main\n" for pid, camid in [(3, 1), (3, 2), (8, 1), (9, 1), (9, 2)]
)
NAMES = ["matched-both-seed1", "matched-foreground-seed1", "matched-both-seed2", "matched-foreground-seed2"]


class Grid(NamedTuple):
    """A repository and what the ablation in it printed."""

    root: Path
    interrupted: subprocess.CompletedProcess[str]
    finished: Result


def call(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commit(root: Path, message: str) -> None:
    call(root, "git", "add", "-A")
    call(root, "git", "commit", "-qm", message)


def dvc(root: Path, *arguments: str) -> str:
    return call(root, sys.executable, "-m", "dvc", *arguments)


def make_repository(root: Path) -> None:
    for name in ("pipeline", "raw", "tables"):
        (root / name).mkdir(parents=True)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "pipeline/stage.py").write_text(STAGE)
    (root / "tables/matched.yaml").write_text(TABLE)
    (root / "raw/people.csv").write_text(PEOPLE)
    (root / ".gitignore").write_text("/data/*\n!/data/metrics/\n/raw/\n/.hcga/\n")
    values = read_params(DEFAULT)
    values["datasets"]["main"] |= {"layout": "occluded_dukemtmc", "root": "raw"}
    values["rounds"] = {"r1": {"prev": "init", "until_epoch": 3}, "r2": {"prev": "r1", "until_epoch": 6}}
    write_values(DEFAULT.read_text("utf-8"), values, root / "params.yaml")
    call(root, "git", "init", "-q")
    call(root, "git", "config", "user.name", "x")
    call(root, "git", "config", "user.email", "x@example.org")
    dvc(root, "init", "-q")
    commit(root, "first")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Keep DVC and Git away from the user's settings, and call `hcga` in this process and in others."""
    folder = tmp_path_factory.mktemp("settings")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, str(folder))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv("STARTED", str(folder / "started"))
        patch.setenv("PAUSE", str(folder / "pause"))
        yield patch


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, settings: pytest.MonkeyPatch) -> Grid:
    """Give a repository in which the table was interrupted in its second run, and then run to the end."""
    root = tmp_path_factory.mktemp("ablate") / "checkout"
    make_repository(root)
    Path(os.environ["PAUSE"]).touch()
    interrupted = interrupt(root, "evaluate@r1 1", times=2)
    Path(os.environ["PAUSE"]).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finished = ablate()
    assert finished.exit_code == 0, finished.output
    return Grid(root, interrupted, finished)


def interrupt(root: Path, line: str, times: int) -> subprocess.CompletedProcess[str]:
    """Start the ablation and press Ctrl-C when a stage has started so many times."""
    command = [sys.executable, "-c", "from hcga.cli.main import main; main()", "ablate", "tables/matched.yaml"]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while starts().count(line) < times and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def starts() -> list[str]:
    """Stages that have run, each with its seed."""
    file = Path(os.environ["STARTED"])
    return file.read_text().splitlines() if file.exists() else []


def ablate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ablate", "tables/matched.yaml", *arguments])


@pytest.fixture
def inside(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(grid.root)
    return grid.root


@pytest.fixture
def later(inside: Path) -> Iterator[Path]:
    """Give the repository at a commit later, which has a dvc.lock of its own, and take it back to the first."""
    (inside / "notes.md").write_text("notes")
    (inside / "dvc.lock").write_text("schema: '2.0'\n")
    commit(inside, "second")
    yield inside
    now = call(inside, "git", "rev-parse", "HEAD").strip()
    for name in call(inside, "git", "for-each-ref", "--format=%(refname)", f"refs/exps/{now[:2]}/{now[2:]}").split():
        call(inside, "git", "update-ref", "-d", name)
    call(inside, "git", "reset", "--quiet", "--hard", "HEAD~1")


@pytest.fixture
def copy(grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the repository, to change."""
    root = shutil.copytree(grid.root, tmp_path / "copy", symlinks=True)
    shutil.rmtree(root / ".hcga")
    monkeypatch.chdir(root)
    return root


def test_ctrl_c_stops_and_the_same_command_goes_on(grid: Grid) -> None:
    assert grid.interrupted.returncode == 130
    assert grid.interrupted.stderr == "\nstopped; the same command goes on from here\n"
    head, watch, first, second = grid.interrupted.stdout.splitlines()
    assert head == "4 runs, 0 of them finished"
    assert watch == "to watch them: cd .hcga/ablations/checkout && hcga status"
    assert first.startswith("[1/4] matched-both-seed1        ")
    assert first.endswith("Rank-1 10.0  Rank-5 80.0  mAP 20.0  mask fg IoU 31.0")
    assert second.strip() == "[2/4] matched-foreground-seed1"
    lines = grid.finished.stdout.splitlines()
    assert lines[0] == "4 runs, 1 of them finished"
    assert lines[2].startswith("[1/4] matched-both-seed1        has run   ")
    assert [line.split()[1] for line in lines[2:6]] == NAMES
    assert [line.split(" s ")[1].split()[1] for line in lines[3:6]] == ["15.0", "20.0", "25.0"]


def test_what_runs_share_is_computed_once(grid: Grid) -> None:
    ran = [line for line in starts() if not line.startswith(("train", "evaluate"))]
    assert len([line for line in starts() if line.startswith("train")]) == 4
    assert ran == [
        "prepare 1",
        *(f"coparse@r{number} {seed}" for seed in (1, 2) for number in (1, 2)),
    ]
    assert starts().count("evaluate@r1 1") == 3  # the interrupted one twice
    assert starts().count("evaluate@r2 1") == 2


def test_the_user_s_checkout_stays_as_it_was(inside: Path) -> None:
    assert call(inside, "git", "status", "--porcelain") == ""
    assert call(inside, "git", "log", "--format=%s").split() == ["first"]
    assert not (inside / "data").exists()
    assert not (inside / "dvc.lock").exists()


def test_their_own_checkout_has_the_user_s_settings(inside: Path) -> None:
    own = inside / ".hcga/ablations/checkout"
    assert call(own, "git", "config", "--local", "user.name") == "x\n"
    assert dvc(own, "cache", "dir") == dvc(inside, "cache", "dir")


def test_dvc_lists_the_runs_with_their_params_and_comments(inside: Path) -> None:
    assert sorted(dvc(inside, "exp", "list", "--name-only").split()) == sorted(NAMES)
    assert all(f"[{name}]" in dvc(inside, "exp", "show", "--md") for name in NAMES)
    text = call(inside, "git", "show", f"{reference(inside, NAMES[3])}:params.yaml")
    values = YAML(typ="safe").load(text)
    assert (values["seed"], values["evaluate"]["features"], values["gam"]["t"]) == (2, "F", None)
    assert values["datasets"]["main"]["root"] == str(inside.resolve() / "raw")
    assert "# Drives every random choice of the method" in text


def reference(root: Path, name: str) -> str:
    (found,) = [
        line for line in call(root, "git", "for-each-ref", "--format=%(refname)").split() if line.endswith(name)
    ]
    return found


def test_each_run_keeps_its_log(inside: Path) -> None:
    logs = inside / ".hcga/ablations/logs"
    assert sorted(path.stem for path in logs.iterdir()) == sorted(NAMES)
    assert "Running stage 'coparse@r2'" in (logs / f"{NAMES[0]}.log").read_text()
    twice = (logs / f"{NAMES[1]}.log").read_text()
    assert twice.count("==== 20") == 2
    assert "Ran experiment(s): matched-foreground-seed1" in twice


def masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What the stage has drawn."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, (5, 4, 2), np.uint8), rng.integers(0, 18, (5, 4, 2), np.uint8)


def test_show_sums_up_seeds_beside_the_paper_and_writes_it(inside: Path, tmp_path: Path) -> None:
    shown = ablate("--show", "--output", str(tmp_path / "tables"))
    assert shown.exit_code == 0, shown.output
    assert grid_table(shown.stdout) == grid_table(ablate("--show").stdout)
    (first, second), (first_labels, second_labels) = zip(masks(1), masks(2), strict=True)
    rows_of = {3: np.arange(2), 8: np.array([2]), 9: np.arange(3, 5)}
    agreed = compare([first, second], [first_labels, second_labels], rows_of)
    masks_of_both = f"2 31.5 ± 0.7 {agreed.same_part:.1f} {agreed.rand_parts:.2f} {agreed.rand_labels:.2f}"
    assert grid_table(shown.stdout) == [
        "both 2 15.0 ± 7.1 65.9 80.0 ± 0.0 20.0 ± 0.0 19.0 ± 0.0 56.0",
        "foreground 2 20.0 ± 7.1 - 80.0 ± 0.0 20.0 ± 0.0 19.0 ± 0.0 -",
        f"all {masks_of_both}",
    ]
    files = {path.name for path in (tmp_path / "tables").iterdir()}
    kinds = (".md", ".svg", ".csv", "-rounds.csv", "-runs.csv", "-identities.csv")
    assert files == {f"matched{kind}" for kind in kinds}
    runs = pd.read_csv(tmp_path / "tables/matched-runs.csv")
    assert (runs["training_loss"] == runs["seed"] + 0.5).all(), "of the last epoch"
    assert set(runs["baseline"]) == {call(inside, "git", "rev-parse", "HEAD").strip()}
    table = pd.read_csv(tmp_path / "tables/matched-identities.csv")
    assert table[["row", "round", "pid"]].drop_duplicates().shape[0] == len(table) == 2 * 2 * 3
    of_first = table[(table["row"] == "both") & (table["round"] == "r2")]
    np.testing.assert_allclose(of_first["same_part"], agreed.identities["same_part"], atol=1e-3)


def grid_table(text: str) -> list[str]:
    """Lines of the tables, their cells with one space between."""
    return [" ".join(line.split()) for line in text.splitlines() if line.startswith(("both ", "foreground ", "all "))]


def test_show_without_a_table_shows_each_that_has_runs(inside: Path) -> None:
    never = inside / "tables/never.yaml"
    never.write_text(TABLE)
    every = CliRunner().invoke(main, ["ablate", "--show"])
    assert every.exit_code == 0, every.output
    assert every.stdout == ablate("--show").stdout
    never.write_text(f"name: matched\n{TABLE}")
    twice = CliRunner().invoke(main, ["ablate", "--show"])
    never.unlink()
    assert twice.stdout.count("Table 0: What is matched") == 2
    conflict = CliRunner().invoke(main, ["ablate", "--show", "--set", "evaluate.features=I"])
    assert conflict.exit_code == 1
    assert conflict.stderr.startswith("Error: --set evaluate.features: table matched sets it itself")
    other = CliRunner().invoke(main, ["ablate", "--show", "--label", "other"])
    assert other.exit_code == 1
    assert "no run of a table has such a name; there are matched-" in other.stderr
    unnamed = CliRunner().invoke(main, ["ablate"])
    assert unnamed.exit_code == 2
    assert "name a TABLE, such as tables/mask_source.yaml" in unnamed.stderr


def test_dry_lists_what_would_run(inside: Path) -> None:
    assert ablate("--dry").stdout.splitlines() == [f"{name}  has run" for name in NAMES]
    lines = ablate("--dry", "--validation", "0.2", "--rows", " both", "--seeds", "1,2,1").stdout.splitlines()
    assert lines == ["matched-both-seed1-val20  would run", "matched-both-seed2-val20  would run"]
    lines = ablate("--dry", "--seeds", "1", "--rows", "both", "--set", "train.flip=0.1").stdout.splitlines()
    assert lines == ["matched-both-seed1  cannot run: there is one with train.flip 0.5 instead of 0.1; use --label"]


def test_held_out_identities_have_names_of_their_own_and_no_paper(inside: Path) -> None:
    shown = ablate("--show", "--validation", "0.2").stdout
    assert "tested on 20 % of the training identities" in shown
    assert "- 4 of 4 runs are missing: matched-both-seed1-val20" in shown
    assert grid_table(shown) == []


def test_show_says_that_nothing_has_run(copy: Path) -> None:
    for name in call(copy, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split():
        call(copy, "git", "update-ref", "-d", name)
    shown = CliRunner().invoke(main, ["ablate", "--show"])
    assert shown.exit_code == 1
    assert shown.stderr.startswith("Error: nothing has run yet; `hcga ablate TABLE` runs a table")


def test_runs_with_other_params_are_neither_shown_nor_overwritten(inside: Path) -> None:
    shown = ablate("--show", "--set", "train.flip=0.1")
    assert "matched-both-seed1 of commit" in shown.stdout
    assert "is left out: it ran with train.flip 0.5 instead of 0.1" in " ".join(shown.stdout.split())
    refused = ablate("--set", "train.flip=0.1")
    assert refused.exit_code == 1
    assert (
        "matched-both-seed1 has run at this commit with other params: train.flip 0.5 instead of 0.1" in refused.stderr
    )
    assert "--label NAME, or drop the earlier one: dvc exp remove matched-both-seed1" in refused.stderr
    assert sorted(dvc(inside, "exp", "list", "--name-only").split()) == sorted(NAMES)


def test_code_that_is_not_committed_is_refused(copy: Path) -> None:
    with (copy / "pipeline/stage.py").open("a") as file:
        file.write("# more\n")
    refused = ablate()
    assert refused.exit_code == 1
    assert "not committed: pipeline/stage.py." in refused.stderr


def test_a_second_ablation_is_refused_while_one_runs(inside: Path) -> None:
    with (inside / ".hcga/ablations/lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = ablate()
    assert refused.exit_code == 1
    assert "another `hcga ablate` runs in this checkout" in refused.stderr


def test_at_a_later_commit_runs_are_shown_and_run_again_from_the_cache(later: Path) -> None:
    before = call(later, "git", "rev-parse", "--short=7", "HEAD~1").strip()
    assert ablate("--dry", "--seeds", "1").stdout.splitlines() == [
        f"{name}  would run; has run at commit {before}" for name in NAMES[:2]
    ]
    shown = ablate("--show", "--seeds", "1").stdout
    assert f"- 2 of 2 runs are of commit {before}, not of HEAD." in shown
    assert grid_table(shown)[0].startswith("both 1 10.0 65.9 80.0")
    already = len(starts())
    done = ablate("--seeds", "1")
    assert done.exit_code == 0, done.output
    assert "2 have run at an earlier commit and run again" in done.stdout
    assert "not of HEAD" not in done.stdout
    mixed = " ".join(ablate("--show").stdout.split())
    assert "- Means of row both, foreground are over runs of several commits." in mixed
    assert {line.partition("@")[0] for line in starts()[already:]} == set()


def test_a_run_that_was_removed_runs_again(inside: Path) -> None:
    dvc(inside, "exp", "remove", NAMES[1])
    shown = ablate("--show")
    assert "- 1 of 4 runs are missing: matched-foreground-seed1." in shown.stdout
    assert grid_table(shown.stdout)[1].startswith("foreground 1 25.0 - 80.0")
    done = ablate()
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("4 runs, 3 of them finished\n")
    assert sorted(dvc(inside, "exp", "list", "--name-only").split()) == sorted(NAMES)


def test_another_number_of_rounds_leaves_none_of_the_earlier(inside: Path) -> None:
    masks = inside / ".hcga/ablations/checkout/data/masks"
    assert {path.name for path in masks.glob("*.zarr")} == {"r1.zarr", "r2.zarr"}
    one = ("--label", "short", "--set", "rounds={r1: {prev: init, until_epoch: 3}}")
    done = ablate(*one, "--rows", "both", "--seeds", "1")
    assert done.exit_code == 0, done.output
    assert "[1/1] matched-both-seed1-short  " in done.stdout
    assert {path.name for path in masks.glob("*.zarr")} == {"r1.zarr"}
    dvc(inside, "exp", "remove", "matched-both-seed1-short")


def test_figures_are_shown_without_the_masks(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise InputError("masks are not in DVC's cache")

    monkeypatch.setattr(results, "seed_agreement", gone)
    monkeypatch.setattr(results, "read_table", gone)
    shown = ablate("--show", "--rows", "both").stdout
    assert "- Agreement between the seeds of row both is not known: masks are not in DVC's cache" in shown
    assert "- Losses of matched-both-seed1 are not known: masks are not in DVC's cache" in shown
    assert grid_table(shown)[0] == "both 2 15.0 ± 7.1 65.9 80.0 ± 0.0 20.0 ± 0.0 19.0 ± 0.0 56.0"


def test_a_row_that_fails_is_said_and_the_others_run(copy: Path) -> None:
    (copy / "tables/matched.yaml").write_text(TABLE + "  broken: {set: {train.margin: 9}}\n  last: {}\n")
    done = ablate("--seeds", "1", "--rows", "broken,last")
    assert done.exit_code == 1
    assert done.stderr == "Error: 1 of 2 runs failed: matched-broken-seed1\n"
    assert "failed: Error: 9 is too much\n" in done.stdout
    assert ".hcga/ablations/logs/matched-broken-seed1.log" in done.stdout
    assert "[2/2] matched-last-seed1    " in done.stdout
    assert "- 1 of 2 runs are missing: matched-broken-seed1." in done.stdout
    Path(os.environ["PAUSE"]).touch()
    again = ablate("--seeds", "1", "--rows", "broken,last")
    Path(os.environ["PAUSE"]).unlink()
    assert "failed: ValueError: it is 9\n" in again.stdout
    assert "[2/2] matched-last-seed1    has run" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "one"), "--seeds one: give whole numbers with commas between"),
        (("--set", "train.flip"), "--set train.flip: write KEY=VALUE"),
        (("--set", "rounds={r1"), "--set rounds={r1: '{r1' is no value in YAML"),
        (("--rows", "bothh"), "--rows bothh: table matched has no such row; known: both, foreground"),
        (("--params", "none.yaml"), "none.yaml: no such file"),
    ],
)
def test_mistakes_are_one_message(inside: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = ablate(*arguments)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"Error: {message}")


def test_outside_of_git_it_says_so(workspace_folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.chdir(workspace_folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace_folder.parent))
    (workspace_folder / "t.yaml").write_text(TABLE)
    refused = CliRunner().invoke(main, ["ablate", "t.yaml"])
    assert refused.exit_code == 1
    assert "experiments are filed under a commit: `git init`" in refused.stderr
