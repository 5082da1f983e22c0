import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import DEFAULT, ROOT
from PIL import Image

import hcga
from hcga.cli.main import main
from hcga.masks.parts import UNLABELLED, upsample
from hcga.masks.pictures import colour_labels, overlay
from hcga.params import load_params
from hcga.runs.busy import LOCKS
from hcga.runs.runlog import RunLog
from hcga.runs.stage import stage
from hcga.samples import write_samples
from hcga.store_writing import write_store
from hcga.stores import array, open_store

Run = Callable[..., Result]


@pytest.fixture
def run(workspace_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that calls `hcga` inside the checkout."""
    monkeypatch.chdir(workspace_folder)
    return lambda *arguments: CliRunner().invoke(main, arguments)


def fails(result: Result, *fragments: str) -> None:
    """Check for exit code 1 and one message without a traceback."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert all(fragment in result.stderr for fragment in fragments), result.stderr


def test_help_says_what_each_command_does() -> None:
    for arguments in (["--help"], ["-h"]):
        text = CliRunner().invoke(main, arguments).output
        assert "Human Co-parsing Guided Alignment" in text
        assert all(f"\n  {name} " in text for name in ("figures", "masks", "rounds"))
    for name, fragments in {
        "ablate": ["TABLE", "--seeds", "--validation", "--show", "stay unseen"],
        "figures": ["--csv", "agree prev same label as in the round before"],
        "masks": ["draw", "diff"],
        "masks draw": ["--round", "--pid", "-o, --output", "masks-ROUND-PID.png"],
        "masks diff": ["[OPTIONS] FIRST [SECOND]", "foreground in one alone"],
        "coparse trace": ["--rgb", "Eq. 3"],
        "status": ["how far it is"],
        "rounds": ["--count", "--epochs-each", "keeping everything else and the comments"],
    }.items():
        result = CliRunner().invoke(main, [*name.split(), "--help"])
        assert result.exit_code == 0
        assert not [fragment for fragment in fragments if fragment not in " ".join(result.output.split())]


def test_the_version_is_that_of_the_package() -> None:
    assert hcga.__version__ in CliRunner().invoke(main, ["--version"]).output


def test_figures_prints_a_column_a_round_and_says_what_is_missing(run: Run) -> None:
    result = run("figures")
    assert result.exit_code == 0
    assert [row.rsplit(maxsplit=1) for row in result.stdout.splitlines()] == [
        ["round", "r1"], ["epoch", "4"], ["mask fg IoU", "65.4"], ["Rank-1", "43.2"], ["mAP", "32.1"],
    ]  # fmt: skip
    assert result.stderr.splitlines() == [
        "no figures yet of r2, r3; run `dvc repro`",
        "figures of an earlier run: r1; run `dvc repro`",
    ]


def test_figures_of_other_params_are_said_to_be_so(run: Run) -> None:
    stage = {"cmd": "python", "params": {"params.yaml": {"gam": {"t": 2}}}}
    lock = {"schema": "2.0", "stages": {"evaluate@r1": stage}}
    Path("dvc.lock").write_text(json.dumps(lock), encoding="utf-8")
    result = run("figures")
    assert result.exit_code == 0
    assert result.stderr.endswith("changed in params.yaml since: gam.t; run `dvc repro`\n")


def test_figures_as_csv_has_all_of_them(run: Run) -> None:
    Path("data/metrics/r2.json").write_text(json.dumps({"epoch": 8, "retrieval": {"mINP": 1.25}}), encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(run("figures", "--csv").stdout)))
    assert [row["round"] for row in rows] == ["r1", "r2"]
    values = {value for row in rows for value in row.values()}
    assert {"43.21", "32.1", "65.4", "1.25"} <= values


def test_figures_work_from_a_folder_below(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("data/metrics")
    assert run("figures").exit_code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "params.yaml: no such file"),
        ("rounds: [", "params.yaml is not valid YAML"),
        ("rounds: 5", "params.yaml: "),
    ],
    ids=["missing", "no YAML", "bad value"],
)
@pytest.mark.parametrize(
    "command", [("figures",), ("masks", "draw", "--round", "r1", "--pid", "3")], ids=lambda c: c[0]
)
def test_a_bad_params_file_is_named(run: Run, command: tuple[str, ...], text: str | None, message: str) -> None:
    Path("dvc.lock").write_text("stages: {}", encoding="utf-8")
    Path("params.yaml").unlink()
    if text:
        Path("params.yaml").write_text(text, encoding="utf-8")
    fails(run(*command), message)


def test_figures_before_the_first_run(run: Run) -> None:
    Path("data/metrics/r1.json").unlink()
    fails(run("figures"), "data/metrics/r1.json: no figures of this round yet; run `dvc repro`")


@pytest.mark.parametrize(("pid", "rows"), [(3, [0, 1]), (8, [2])])
def test_masks_draws_images_labels_and_masks(run: Run, pid: int, rows: list[int]) -> None:
    result = run("masks", "draw", "--round", "r1", "--pid", str(pid))
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"masks-r1-{pid}.png"
    picture = np.asarray(Image.open(f"masks-r1-{pid}.png"))
    images = np.asarray(array(open_store(Path("data/images.zarr")), "images")[:])[rows]
    masks = np.asarray(array(open_store(Path("data/masks/r1.zarr")), "masks")[:])[rows]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 8, 3))[:, :, 0]
    places = []
    for row in (images, colour_labels(upsample(masks + 20)), overlay(images, masks)):
        found = [np.argwhere((windows == tile).all((2, 3, 4))).tolist() for tile in row]
        assert [len(tiles) for tiles in found] == [1] * len(rows)
        places += [tuple(tile[0]) for tile in found]
    assert places == sorted(places)  # row below row, image beside image
    assert len({top for top, _ in places}) == 3


def test_a_picture_that_cannot_stand_there_is_refused(run: Run) -> None:
    Path("folder.png").mkdir()
    for target, told in (("folder.png", "is a folder"), ("nowhere/a.png", "give a name"), ("a.jpg", "give a name")):
        fails(run("masks", "draw", "--round", "r1", "--pid", "8", "-o", target), f"--output {target}: {told}")
    fails(run("masks", "draw", "--round", "r1", "--pid", "8", "-o", "/proc/a.png"), "/proc/a.png: cannot be written (")


def test_masks_of_an_earlier_run_are_said_to_be_so(run: Run, tmp_path: Path) -> None:
    commands = [
        ("masks", "draw", "--round", "r1", "--pid", "8"),
        ("masks", "export", "--round", "r1", "--format", "npz"),
        ("masks", "diff", "workspace:r1", "workspace:r1"),
    ]
    for number, params in enumerate(("{seed: 1}", "{seed: 99}")):
        Path("dvc.lock").write_text(f"stages: {{coparse@r1: {{params: {{params.yaml: {params}}}}}}}")
        for command in commands:
            target = [str(tmp_path / f"{number}.npz")] if "export" in command else []
            result = run(*command, *target)
            assert result.exit_code == 0, result.output
            said = "note: the masks of workspace:r1 are of an earlier run, with other params or inputs;"
            assert (said in result.stderr) == bool(number)


def test_masks_draws_the_truth_where_there_is_one(run: Run) -> None:
    assert run("masks", "draw", "--round", "r1", "--pid", "8", "-o", "without.png").exit_code == 0
    truth = np.full((5, 16, 8), UNLABELLED, np.uint8)
    truth[2] = 2
    write_store(Path("data/truth.zarr"), {"truth": truth})
    result = run("masks", "draw", "--round", "r1", "--pid", "8", "--output", "with.png")
    assert result.stdout.strip() == "with.png"
    without, drawn = (np.asarray(Image.open(name)) for name in ("without.png", "with.png"))
    assert drawn.shape[0] == without.shape[0] + 20
    image = np.asarray(array(open_store(Path("data/images.zarr")), "images")[2:3])
    windows = np.lib.stride_tricks.sliding_window_view(drawn, (16, 8, 3))[:, :, 0]
    assert (windows == overlay(image, truth[2:3])[0]).all((2, 3, 4)).any()


def test_masks_of_a_round_without_labels_shows_the_images_and_hatches_them(run: Run) -> None:
    nothing = np.full((3, 4, 2), UNLABELLED, np.uint8)
    write_store(Path("data/masks/r2.zarr"), {"masks": nothing, "labels": nothing})
    assert run("masks", "draw", "--round", "r2", "--pid", "8").exit_code == 0
    picture = np.asarray(Image.open("masks-r2-8.png"))
    image = np.asarray(array(open_store(Path("data/images.zarr")), "images")[2])
    windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 8, 3))[:, :, 0]
    assert (windows == image).all((2, 3, 4)).sum() == 2
    assert (windows == overlay(image[None], nothing[2:])[0]).all((2, 3, 4)).sum() == 1


def test_masks_names_what_does_not_exist(run: Run) -> None:
    fails(run("masks", "draw", "--round", "r9", "--pid", "3"), "no round 'r9' in params.yaml; known: r1, r2, r3")
    fails(run("masks", "draw", "--round", "r2", "--pid", "3"), "data/masks/r2.zarr: no readable store", "`dvc repro`")
    fails(
        run("masks", "draw", "--round", "r1", "--pid", "7"),
        "identity 7 is not among the 2 training identities; nearest: 8, 3",
    )
    fails(run("masks", "draw", "--round", "r1", "--pid", "4"), "identity 4 is not among")  # tested, not trained
    assert not list(Path().glob("*.png"))


def test_rounds_writes_params_and_names_what_to_look_at(run: Run) -> None:
    result = run("rounds", "--count", "6", "--epochs-each", "20")
    assert result.exit_code == 0
    assert result.stdout == "params.yaml: 6 rounds, 120 epochs in all\n"
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert "  r6: {prev: r5, until_epoch: 120}" in text
    original = DEFAULT.read_text(encoding="utf-8")
    assert text.split("\nrounds:")[0] == original.split("\nrounds:")[0]


def test_rounds_reminds_of_the_schedule(run: Run) -> None:
    """The schedule counts epochs over all rounds: six times the length under old milestones trains next to nothing."""
    milestones = list(load_params(DEFAULT).train.milestones)
    result = run("rounds", "--count", "6", "--epochs-each", "20")
    assert f"train.milestones {milestones} are as before; adapt them" in result.stderr


def test_a_picture_that_cannot_be_written_is_refused_before_drawing(run: Run) -> None:
    for target in ("nowhere/x.png", "x.txt"):
        result = run("masks", "draw", "--round", "r1", "--pid", "1", "--output", target)
        assert result.exit_code == 1
        assert f"--output {target}: give a name that ends in .png" in result.stderr


@pytest.mark.parametrize("arguments", [("--count", "0", "--epochs-each", "2"), ("--count", "2", "--epochs-each", "0")])
def test_rounds_of_no_length_are_refused(run: Run, arguments: tuple[str, ...]) -> None:
    result = run("rounds", *arguments)
    assert result.exit_code == 2
    assert "is not in the range x>=1" in result.stderr
    assert Path("params.yaml").read_bytes() == DEFAULT.read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [("figures",), ("masks", "draw", "--round", "r1", "--pid", "3"), ("rounds", "--count", "2", "--epochs-each", "2")],
    ids=lambda arguments: arguments[0],
)
def test_mistakes_in_params_and_strange_folders_are_one_message(
    run: Run, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("params.yaml").write_text("seed: x\n", encoding="utf-8")
    fails(run(*arguments), "seed: 'x' (str)")
    Path("params.yaml").unlink()
    fails(run(*arguments), "params.yaml: no such file")
    monkeypatch.chdir(tmp_path)
    fails(run(*arguments), "no dvc.yaml here or above; change into the checkout")


def test_a_missing_samples_table_is_named(run: Run) -> None:
    Path("data/samples.csv").unlink()
    fails(
        run("masks", "draw", "--round", "r1", "--pid", "3"),
        "samples.csv: no such file; `dvc repro` makes it",
    )


def test_identities_are_read_from_the_table(run: Run) -> None:
    from hcga.samples import read_samples

    samples = read_samples(Path("data/samples.csv"))
    write_samples(samples.replace({"pid": {8: 80}}), Path("data/samples.csv"))
    assert run("masks", "draw", "--round", "r1", "--pid", "80").exit_code == 0


def test_status_shows_what_ran_and_the_figures_so_far(run: Run, workspace_folder: Path) -> None:
    result = run("status")
    assert result.exit_code == 0
    first, second, empty, *table = result.output.splitlines()
    assert first == "idle       no stage has run here yet"
    assert second == "to do      check, synthesise, catalogue@main, ..., report (25 stages); `dvc repro` does it"
    assert not empty
    assert [line.split()[0] for line in table[:2]] == ["round", "epoch"]
    assert table[-2:] == ["no figures yet of r2, r3", "figures of an earlier run: r1"]
    with RunLog(workspace_folder).recording("embed@r2"):
        lines = run("status").output.splitlines()
    assert re.fullmatch(r"running    embed@r2, \d+ s so far", lines[0])
    assert lines[1] == "to do      embed@r1, evaluate@r1, evaluate@r2, ..., report (12 stages)"
    idle = run("status").output.splitlines()[0]
    assert re.match(r"idle       no stage runs; the last, embed@r2, ended \d+ s ago and took \d+ s$", idle)


def test_only_figures_that_are_not_up_to_date_are_called_old(
    run: Run, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def due_stages(root: Path, running: list[str]) -> list[str]:
        return ["evaluate@r1"] if running == ["train@r1"] else []

    monkeypatch.setattr("hcga.runs.due.due_stages", due_stages)
    for command in ("figures", "status"):
        assert "earlier run" not in run(command).output
        with RunLog(workspace_folder).recording("train@r1"):
            assert "figures of an earlier run: r1" in run(command).output


def test_a_stage_that_ends_while_status_looks_runs_in_all_that_is_said(
    run: Run, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = RunLog(workspace_folder).recording("train@r1")
    recording.__enter__()

    def due_stages(root: Path, running: list[str]) -> list[str]:
        recording.__exit__(None, None, None)
        return ["train@r1", "embed@r1"]

    monkeypatch.setattr("hcga.runs.due.due_stages", due_stages)
    first, second, *_ = run("status").output.splitlines()
    assert first.startswith("running    train@r1")
    assert second == "to do      embed@r1"


def test_status_says_what_has_failed_and_that_dvc_is_at_work(
    run: Run, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = workspace_folder / "params.yaml"
    os.utime(params, (0, 0))
    os.utime(workspace_folder / "dvc.yaml", (0, 0))
    with pytest.raises(OSError, match="no disk"), RunLog(workspace_folder).recording("check"):
        raise OSError("no disk left")
    assert re.match(r"failed     check, \d+ s ago: no disk left", run("status").output)
    params.touch()
    assert run("status").output.startswith("idle")
    file = workspace_folder / LOCKS
    file.parent.mkdir(exist_ok=True)
    holder = {"pid": os.getpid(), "cmd": "/usr/bin/dvc repro"}
    file.write_text(json.dumps({"write": {str(workspace_folder / "data/checked.txt"): holder}}))
    busy = f"busy       dvc repro (process {os.getpid()}) is at data/checked.txt"
    assert run("status").output.startswith(busy)
    file.rename("later")
    monkeypatch.setattr("hcga.runs.due.due_stages", lambda *_: [Path("later").rename(file)] and ["check"])
    assert run("status").output.startswith(busy), "it went from a stage to the next at the first look"


@pytest.mark.parametrize("folder", ["standalone/tmp1", "tmp2"])
def test_an_experiment_at_work_in_a_folder_of_its_own_is_pointed_to(
    run: Run, workspace_folder: Path, folder: str
) -> None:
    there = workspace_folder / ".dvc/tmp/exps" / folder
    with RunLog(there).recording("train@r1"):
        assert f"\nelsewhere  train@r1 in .dvc/tmp/exps/{folder}: `hcga status` there\n" in run("status").output
    assert "elsewhere" not in run("status").output


@pytest.mark.parametrize("command", ["status", "figures"])
@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("dvc.yaml", "", "dvc.yaml holds NoneType, not a mapping of stages; take it back from Git"),
        ("dvc.yaml", "<<<<<<< HEAD\nstages: {}\n", "dvc.yaml is not valid YAML"),
        ("dvc.yaml", "stages: [check]", "dvc.yaml: `stages` is no mapping of stages; take it back from Git"),
        ("dvc.lock", "<<<<<<< HEAD\n", "dvc.lock' validation failed; mend that, or take it back from Git"),
        (".dvcignore", "\udcff", "mend that, or take it back from Git"),
        ("data/metrics/r1.json", "[]", "r1.json: holds list, not figures by name; perhaps another version"),
        ("data/metrics/r1.json", "\udcff", "r1.json: no valid JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(run: Run, command: str, file: str, text: str, message: str) -> None:
    Path(file).write_text(text, "utf-8", "surrogateescape")
    result = run(command)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert message in result.stderr


def test_a_stage_that_dvc_starts_is_recorded_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @stage("seed")
    def main(params: SimpleNamespace) -> None:
        seen.append([run.stage for run in RunLog(tmp_path).read().running])

    seen: list[list[str]] = []
    arguments = ["--params", str(DEFAULT)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "parent"))  # of an experiment in a folder of its own
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert CliRunner().invoke(main, arguments).exit_code == 0
    monkeypatch.setenv("DVC_STAGE", "check")
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert seen == [[], ["check"]]
    assert list(RunLog(tmp_path).finished()) == ["check"]
    assert not (tmp_path / "parent").exists()
    assert CliRunner().invoke(main, ["--params", "nowhere.yaml"]).exit_code == 1
    (run,) = RunLog(tmp_path).read().ended
    assert run.error.startswith("nowhere.yaml: no such file")


@pytest.mark.parametrize("name", ["train@r1", "../dvc.yaml:train@r1"], ids=["in the checkout", "in a folder below"])
def test_lines_of_a_log_bear_the_name_of_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import logging\nfrom hcga.runs.stage import stage\n"
        "@stage('seed')\ndef main(params): logging.getLogger('hcga').info('loss 1\\nloss 2')\nmain()\n"
    )
    command = [sys.executable, str(script), "--params", str(DEFAULT)]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("DVC_STAGE", raising=False)
    subprocess.run(command, check=True, cwd=tmp_path)
    assert capfd.readouterr().err == "loss 1\nloss 2\ndone in 0 s\n"
    monkeypatch.setenv("DVC_STAGE", name)
    subprocess.run(command, check=True, cwd=tmp_path)
    assert capfd.readouterr().err == "train@r1: loss 1\ntrain@r1: loss 2\ntrain@r1: done in 0 s\n"
    assert list(RunLog(tmp_path).finished()) == ["train@r1"]
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", ".hcga"}
