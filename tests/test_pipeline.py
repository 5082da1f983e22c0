import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from conftest import DEFAULT, ROOT, TINY_SET, change
from PIL import Image
from ruamel.yaml import YAML
from starlette.testclient import TestClient

from hcga.masks.parts import downsample
from hcga.masks.sheet import contact_sheet_of
from hcga.network.checkpoints import load_model
from hcga.runs.due import due_stages
from hcga.runs.runlog import RunLog
from hcga.samples import read_samples
from hcga.stores import array, open_store
from hcga.view.server import create_app

pytestmark = pytest.mark.slow

ROUNDS = {"r1": {"prev": "init", "until_epoch": 1}, "r2": {"prev": "r1", "until_epoch": 2}}
TINY = {
    "device": "cpu",
    "synthetic": TINY_SET | {"test_identities": 4},
    "image": {"height": 64, "width": 32},
    "backbone.weights": "none",
    "backbone.channels": 16,
    "coparse.iterations": 4,
    "coparse.workers": 2,
    "train.identities": 2,
    "train.images": 2,
    "train.warmup_epochs": 0,
    "train.milestones": [1],
    "evaluate.features": "F+P",
    "rounds": ROUNDS,
}
ONCE = {"check", "synthesise", "catalogue@main", "prepare", "translate", "initialise", "report"}
EACH = ("extract", "coparse", "draw", "train", "embed", "evaluate")
ALL = ONCE | {f"{verb}@{key}" for verb in EACH for key in ROUNDS}


class Checkout:
    """A repository of its own with a tiny params.yaml, whose stages run its own copy of `hcga`."""

    def __init__(self, folder: Path, umask: int = 0o022, **variables: str) -> None:
        self.folder, self._umask = folder, umask
        self.params = folder / "params.yaml"
        self.first: list[str] = []  # the stages of the first run in their order
        settings = folder.parent / "settings"
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",  # bytes depend on it, and two wait for each other on a busy machine
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(settings),
            "DVC_GLOBAL_CONFIG_DIR": str(settings),
            "DVC_SYSTEM_CONFIG_DIR": str(settings),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **variables,
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            umask=self._umask,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def repro(self, *arguments: str) -> set[str]:
        """Run `dvc repro`; return the stages whose commands ran."""
        return set(self.repro_in_order(*arguments))

    def repro_in_order(self, *arguments: str) -> list[str]:
        """Run `dvc repro`; return the stages whose commands ran, the first first."""
        done = self.dvc("repro", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage '")]

    def status(self) -> set[str]:
        """Return the stages whose own deps, params or outputs changed."""
        found = self.dvc("status", "--json")
        assert found.returncode == 0, found.stderr
        return set(json.loads(found.stdout))

    def change(self, changes: dict[str, Any]) -> None:
        values = YAML(typ="safe").load(self.params)
        change(values, changes)
        YAML(typ="safe").dump(values, self.params)

    @contextmanager
    def changed(self, changes: dict[str, Any]) -> Iterator[None]:
        """Change params.yaml for a while, then put it, dvc.lock and the outputs back."""
        kept = [
            self.params,
            self.folder / "dvc.lock",
            *(self.folder / "data" / "metrics").iterdir(),
        ]  # not in the cache
        before = {path: path.read_bytes() for path in kept}
        self.change(changes)
        try:
            yield
        finally:
            for path, content in before.items():
                path.write_bytes(content)
            done = self.dvc("checkout", "--force", "--quiet")
            assert done.returncode == 0, done.stderr

    def outputs(self) -> dict[str, bytes]:
        """Read all that the stages wrote, save for the note of stage check and the page, which shows run times."""
        files = (path for path in (self.folder / "data").rglob("*") if path.is_file())
        found = {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}
        for name in ("data/checked.txt", "data/report/index.html"):
            found.pop(name, None)
        return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Give a checkout in which `dvc repro` has run once."""
    made = new_checkout(tmp_path_factory.mktemp("pipeline") / "checkout", TINY)
    made.first = made.repro_in_order()
    assert set(made.first) == ALL
    return made


def new_checkout(folder: Path, changes: dict[str, Any], umask: int = 0o022, **variables: str) -> Checkout:
    """Make a checkout in which nothing has run, of the repository as it is, with changed params."""
    folder.mkdir(parents=True)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    shutil.copy(DEFAULT, folder / "params.yaml")
    for name in ("hcga", "pipeline", "data/external", "data/repairs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    made = Checkout(folder, umask, **variables)
    made.change(changes)
    for command in (("git", "init", "-q"), (sys.executable, "-m", "dvc", "init", "-q")):
        done = made.run(*command)
        assert done.returncode == 0, done.stderr
    return made


def test_a_second_run_does_nothing(checkout: Checkout) -> None:
    assert checkout.status() == set()
    assert due_stages(checkout.folder) == []
    assert checkout.repro() == set()


def test_a_round_has_its_figures_before_the_next_begins(checkout: Checkout) -> None:
    order = [stage for stage in checkout.first if stage.startswith(("train", "evaluate"))]
    assert order == ["train@r1", "evaluate@r1", "train@r2", "evaluate@r2"]


def test_all_outputs_are_there_and_nothing_else(checkout: Checkout) -> None:
    lock = YAML(typ="safe").load(checkout.folder / "dvc.lock")["stages"]
    outs = {out["path"] for stage in lock.values() for out in stage["outs"]}
    assert set(lock) == ALL
    assert all((checkout.folder / out).exists() for out in outs)
    stray = [f for f in checkout.outputs() if not any(f == out or f.startswith(f"{out}/") for out in outs)]
    assert [name for name in stray if not name.endswith((".gitignore", "README.md"))] == []
    assert not [name for name in stray if ".part" in name]


def test_rows_of_table_images_masks_and_embeddings_belong_together(checkout: Checkout) -> None:
    data = checkout.folder / "data"
    samples = read_samples(data / "samples.csv")
    train = int((samples["split"] == "train").sum())
    images, truth = (array(open_store(data / f"{name}.zarr"), name) for name in ("images", "truth"))
    assert images.shape == (len(samples), 64, 32, 3)
    assert truth.shape == (len(samples), 64, 32)
    first = np.asarray(Image.open(data / "synthetic" / samples["path"][0]))
    np.testing.assert_array_equal(np.asarray(images[0]), first)
    for key in ROUNDS:
        masks = open_store(data / "masks" / f"{key}.zarr")
        assert array(masks, "masks").shape == array(masks, "labels").shape == (train, 16, 8)
        assert set(np.unique(np.asarray(array(masks, "masks")[:])).tolist()) <= {0, 1, 2, 3}
        features = array(open_store(data / "features" / f"{key}.zarr"), "features")
        assert features.shape == (train, 16, 16, 8)
        assert array(open_store(data / "embeddings" / f"{key}.zarr"), "parts").shape == (len(samples), 3, 16)
        assert len(pd.read_csv(data / "masks" / f"{key}.csv")) == TINY_SET["train_identities"]
        with Image.open(data / "masks" / f"{key}.png") as sheet:
            assert sheet.format == "PNG"


def test_rounds_go_on_from_each_other(checkout: Checkout) -> None:
    data = checkout.folder / "data"
    epochs = {name: load_model(data / "models" / f"{name}.safetensors")[1].epoch for name in ("init", *ROUNDS)}
    assert epochs == {"init": 0, "r1": 1, "r2": 2}
    used = {name: open_store(data / "features" / f"{name}.zarr").attrs["epoch"] for name in ROUNDS}
    assert used == {"r1": 0, "r2": 1}
    history = [pd.read_csv(data / "history" / f"{name}.csv") for name in ROUNDS]
    assert [table["epoch"].tolist() for table in history] == [[1], [2]]
    assert history[1]["learning_rate"][0] == pytest.approx(0.1 * history[0]["learning_rate"][0])  # milestone 1


def test_stores_say_that_their_rows_are_those_of_the_images(checkout: Checkout) -> None:
    data = checkout.folder / "data"
    kinds = ("features", "masks", "embeddings")
    names = ["images", "truth", "masks/init", *(f"{kind}/{name}" for kind in kinds for name in ROUNDS)]
    sets = {name: open_store(data / f"{name}.zarr").attrs.get("image_set") for name in names}
    assert sets["images"]
    assert set(sets.values()) == {sets["images"]}, sets


def test_figures_are_sane(checkout: Checkout) -> None:
    for number, key in enumerate(ROUNDS):
        figures = json.loads((checkout.folder / "data" / "metrics" / f"{key}.json").read_text(encoding="utf-8"))
        assert (figures.pop("epoch"), figures.pop("skipped_images")) == (number + 1, 0)
        run = figures.pop("run")
        assert (run["seed"], run["device"][:5]) == (1, "cpu: ")
        assert run["threads"] >= 1
        assert not {"extract", "coparse", "embed", "evaluate"} & set(run), "all in one environment"
        retrieval = figures["retrieval"]
        assert (retrieval.pop("queries"), retrieval.pop("invalid_queries")) == (8, 0)
        assert retrieval["rank1"] <= retrieval["rank5"] <= retrieval["rank10"] == 100  # of 10 gallery images
        counts = {name: figures["masks"].pop(name) for name in list(figures["masks"]) if name.startswith("images_")}
        assert all(0 <= value <= 16 for value in counts.values())
        assert all(0 <= value <= 100 for section in figures.values() for value in section.values())
        assert figures["masks"]["iou_foreground"] > 5
        assert ("agreement_previous" in figures["masks"]) == (number > 0)
        cmc = pd.read_csv(checkout.folder / "data" / "cmc" / f"{key}.csv")
        assert cmc["cmc"].is_monotonic_increasing
        assert cmc["cmc"][0] == retrieval["rank1"]


def test_the_report_has_a_small_sheet_a_round_of_the_worst_masks(checkout: Checkout) -> None:
    data = checkout.folder / "data"
    samples, images = read_samples(data / "samples.csv"), array(open_store(data / "images.zarr"), "images")
    for key in ROUNDS:
        masks, table = open_store(data / f"masks/{key}.zarr"), pd.read_csv(data / f"identities/{key}.csv")
        title = f"{key}, the worst masks"
        expected = np.asarray(contact_sheet_of(images, samples, masks, table, title, worst=True), float)
        with Image.open(data / f"report/worst/{key}.jpg") as sheet:
            assert np.abs(np.asarray(sheet) - expected).mean() < 8


def test_the_plots_of_dvc_yaml_find_their_columns(checkout: Checkout) -> None:
    plots = YAML(typ="safe").load(checkout.folder / "dvc.yaml")["plots"]
    (folder,) = [plot for plot in plots if isinstance(plot, str)]
    assert {path.name for path in (checkout.folder / folder).iterdir()} == {f"{key}.jpg" for key in ROUNDS}
    for plot in plots:
        for body in plot.values() if isinstance(plot, dict) else []:
            for path, names in body["y"].items():
                columns = pd.read_csv(checkout.folder / path).columns
                wanted = {body["x"], *([names] if isinstance(names, str) else names)}
                assert wanted <= set(columns), path
    done = checkout.dvc("plots", "show", "--json")
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()
    shown = checkout.dvc("metrics", "show", "--json")
    assert set(json.loads(shown.stdout)[""]["data"]) == {f"data/metrics/{key}.json" for key in ROUNDS}


def test_masks_made_elsewhere_and_by_hand_become_those_of_the_round(checkout: Checkout) -> None:
    """The true masks of the synthetic people as another parser's, and one of them repaired."""
    data = checkout.folder / "data"
    samples = read_samples(data / "samples.csv")
    repair = (data / "repairs/main" / samples["path"][1]).with_suffix(".png")
    repair.parent.mkdir(parents=True)
    Image.fromarray(np.full((64, 32), 2, np.uint8)).save(repair)
    try:
        with checkout.changed({"coparse.source": "external", "external.root": "data/synthetic/truth"}):
            ran = checkout.repro("coparse@r1")
            masks = np.asarray(array(open_store(data / "masks/r1.zarr"), "masks")[:])
            table = pd.read_csv(data / "masks/r1.csv")
            account = pd.read_csv(data / "translated.csv")
    finally:
        shutil.rmtree(data / "repairs/main")
    assert ran == {"check", "translate", "coparse@r1"}
    expected = downsample(np.asarray(array(open_store(data / "truth.zarr"), "truth")[: len(masks)]))
    expected[1] = 2
    np.testing.assert_array_equal(masks, expected)
    assert table["repaired"].sum() == account["repaired"].sum() == 1
    assert set(account["external"]) == {"mask"}
    assert checkout.status() == set()


ROUND_STAGES = {verb: {f"{verb}@{key}" for key in ROUNDS} for verb in EACH}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"evaluate.features": "I+F+P"}, ROUND_STAGES["evaluate"]),
        ({"evaluate.visibility": "confident"}, ROUND_STAGES["evaluate"]),
        ({"coparse.back_weight": 0.0}, ROUND_STAGES["coparse"]),
        ({"gam.t": None}, ROUND_STAGES["train"] | ROUND_STAGES["embed"]),
        ({"train.margin": 0.5}, ROUND_STAGES["train"]),
        ({"image.height": 96}, {"prepare", "translate"}),
        ({"external.labels": "lip"}, {"translate"}),
        ({"synthetic.seed": 8}, {"synthesise"}),
        ({"rounds.r2": ...}, {"report"}),
        ({"rounds.r2.until_epoch": 3}, {"report", "train@r2"}),
        ({"rounds.r3": {"prev": "r2", "until_epoch": 3}}, {"report"} | {f"{verb}@r3" for verb in EACH}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_change_of_params_touches_only_its_stages(
    checkout: Checkout, changes: dict[str, Any], expected: set[str]
) -> None:
    before = checkout.params.read_bytes()
    checkout.change(changes)
    try:
        changed = checkout.status()
        assert changed - {"check", "report"} == expected - {"report"}  # which depend on the file as a whole
        assert changed <= set(due_stages(checkout.folder))
    finally:
        checkout.params.write_bytes(before)


def test_a_matching_ablation_reruns_matching_alone(checkout: Checkout) -> None:
    metrics = checkout.folder / "data" / "metrics" / "r2.json"
    before = metrics.read_bytes()
    with checkout.changed({"evaluate.rerank": True}):
        assert checkout.repro() == {"check", "evaluate@r1", "evaluate@r2", "report"}
        assert metrics.read_bytes() != before
    assert metrics.read_bytes() == before
    assert checkout.status() == set()


def test_a_round_less_reruns_the_report_alone(checkout: Checkout) -> None:
    with checkout.changed({"rounds.r2": ...}):
        assert checkout.repro() == {"check", "report"}
        assert pd.read_csv(checkout.folder / "data" / "report" / "rounds.csv")["round"].tolist() == ["r1"]
        done = checkout.dvc("repro", "--force", "--single-item", "report")
        assert "warning: data/metrics/r2.json belongs to no round of params.yaml; remove it" in done.stderr
    assert checkout.status() == set()


def test_stages_give_the_same_bytes_again(checkout: Checkout) -> None:
    lock, outputs = (checkout.folder / "dvc.lock").read_bytes(), checkout.outputs()
    for stage in ("coparse@r2", "train@r2"):
        assert checkout.repro("--force", "--single-item", stage) == {stage}
    assert (checkout.folder / "dvc.lock").read_bytes() == lock
    assert checkout.outputs() == outputs


SMALL_STEPS = """\
import os, runpy, signal, sys
from functools import reduce
from hcga import preparation, store_writing
from hcga.network import inference
from hcga.training import resuming
import hcga.coparsing.kept
inference.BATCH, inference.BATCHES, preparation.BLOCK, resuming.SECONDS = 4, 1, 4, 0
store_writing.SHARD_BYTES = 4 * 64 * 32 * 3
place, left, *sys.argv = sys.argv[1:]
*owner, name = place.split(".")
owner, left = reduce(getattr, owner, hcga), int(left)
original = getattr(owner, name)

def dying(*arguments):
    global left
    original(*arguments)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, dying)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("stage", "step"),
    [
        ("prepare", "preparation.write_note"),
        ("extract@r2", "network.inference.write_note"),
        ("coparse@r2", "coparsing.kept.Kept.add"),
        ("train@r2", "training.resuming.Keeper.keep"),
        ("embed@r2", "network.inference.write_note"),
    ],
)
def test_a_stage_that_was_killed_goes_on_from_there(checkout: Checkout, tmp_path: Path, stage: str, step: str) -> None:
    """With steps so small that there are several; the second is its last."""
    copy = Checkout(shutil.copytree(checkout.folder, tmp_path / "copy", ignore=shutil.ignore_patterns(".git", ".dvc")))
    entry = YAML(typ="safe").load(copy.folder / "dvc.lock")["stages"][stage]
    outs = [copy.folder / out["path"] for out in entry["outs"]]

    def run(steps: int) -> subprocess.CompletedProcess[str]:
        program, *arguments = entry["cmd"].split()
        assert program == "python"
        return copy.run(sys.executable, "-c", SMALL_STEPS, step, str(steps), *arguments)

    def written() -> dict[str, bytes]:
        files = (file for out in outs for file in (out, *out.rglob("*")) if file.is_file())
        return {str(file.relative_to(copy.folder)): file.read_bytes() for file in files}

    done = run(0)
    assert done.returncode == 0, done.stderr
    whole = written()
    for out in outs:
        shutil.rmtree(out) if out.is_dir() else out.unlink()
    died = run(2)
    assert died.returncode == -9, died.stderr
    done = run(0)
    assert done.returncode == 0, done.stderr
    assert "going on after" in done.stderr
    assert written() == whole
    assert not list((copy.folder / "data").rglob("*.part"))


class Together(NamedTuple):
    """A training by two processes that was let alone, whose state would be kept at each step."""

    copy: Checkout
    command: list[str]
    outs: list[Path]
    whole: dict[str, bytes]

    def run(self) -> tuple[str, dict[str, bytes]]:
        """What it says, and the bytes of what it writes."""
        done = self.copy.run(*self.command)
        assert done.returncode == 0, done.stderr
        return done.stderr, {str(out): out.read_bytes() for out in self.outs}


@pytest.fixture(scope="module")
def together(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Together:
    """It is near to a training by one process."""
    folder = tmp_path_factory.mktemp("together") / "copy"
    copy = Checkout(shutil.copytree(checkout.folder, folder, ignore=shutil.ignore_patterns(".git", ".dvc")))
    entry = YAML(typ="safe").load(copy.folder / "dvc.lock")["stages"]["train@r2"]
    command = entry["cmd"].replace("--until-epoch 2", "--until-epoch 12").replace("python", sys.executable).split()
    found = Together(copy, command, [copy.folder / out["path"] for out in entry["outs"]], {})

    def losses() -> np.ndarray:
        return pd.read_csv(copy.folder / "data/history/r2.csv")["loss"].to_numpy()

    _, alone = found.run()
    of_one = losses()
    copy.change({"processes": 2})
    _, whole = found.run()
    assert whole != alone
    np.testing.assert_allclose(losses()[:3], of_one[:3], rtol=0.02)
    resuming = copy.folder / "hcga/training/resuming.py"
    often = resuming.read_text("utf-8").replace("SECONDS = 60.0", "SECONDS = 0.0")
    assert often.count("SECONDS = 0.0") == 1
    resuming.write_text(often, "utf-8")
    return found._replace(whole=whole)


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL of rank 0", "SIGKILL of rank 1"])
def test_a_training_by_two_processes_that_ends_early_goes_on(together: Together, end: str) -> None:
    """And ends with the bytes of one that was let alone."""
    for out in together.outs:
        out.unlink()
    process = together.copy.start(*together.command)
    assert process.stderr
    for line in process.stderr:
        if "epoch 4:" in line:
            break
    children = psutil.Process(process.pid).children(recursive=True)
    if end == "SIGTERM":
        process.terminate()
    else:
        ranks = {child.environ().get("RANK"): child for child in children}
        ranks[end[-1]].kill()
    said = process.stderr.read()
    assert process.wait(120) == (143 if end == "SIGTERM" else 1), said
    assert "Traceback" not in said
    assert not any(child.is_running() for child in children)
    assert not any(out.exists() for out in together.outs)
    told, again = together.run()
    if end == "SIGTERM":
        assert "kept after" in said
    else:
        assert re.search(r"Error: process \d of 2 ended with signal 9, so the others have ended too", said), said
    assert re.search(r"going on after \d+ epochs", told), told
    assert again == together.whole
    assert not list((together.copy.folder / "data").rglob("*.part"))


def test_a_training_by_torchrun_on_two_nodes_as_the_documents_have_it(checkout: Checkout, tmp_path: Path) -> None:
    """Both are this machine; the first of them compares inputs and keeps the time as a stage does."""
    copy = Checkout(shutil.copytree(checkout.folder, tmp_path / "copy", symlinks=True))
    page = (ROOT / "docs/distributed.md").read_text("utf-8")
    (given, commit) = re.findall(r"^(DVC_STAGE=.*) \\\n.*\n(dvc commit \S+ \S+)", page, re.MULTILINE)[0]
    (command,) = re.findall(r"^> python (.*)", copy.dvc("repro", "--dry", "-fs", "train@r1").stdout, re.MULTILINE)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        here = f"localhost:{free.getsockname()[1]}"
    given = given.replace("--nproc-per-node 8", "--nproc-per-node 1").replace("first:29400", here)
    finished = RunLog(copy.folder).finished()["train@r1"]
    nodes = [copy.start("sh", "-c", f"{given} {command}") for _ in range(2)]
    said = [node.communicate(timeout=300)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert RunLog(copy.folder).finished()["train@r1"].ended > finished.ended
    assert copy.run("sh", "-c", commit).returncode == 0
    assert copy.repro("evaluate@r1") == {"embed@r1", "evaluate@r1"}
    assert json.loads((copy.folder / "data/metrics/r1.json").read_text("utf-8"))["run"]["processes"] == 2
    (copy.folder / "data/samples.csv").write_text("damaged", "utf-8")
    alone = copy.run("sh", "-c", f"DVC_STAGE=train@r1 python {command}")
    assert "data/samples.csv: damaged, or changed by hand" in alone.stderr


ELSEWHERE = {
    "PYTHONHASHSEED": "1234",
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "C",
    "PYTHONCOERCECLOCALE": "0",  # else Python takes UTF-8 all the same
    "PYTHONUTF8": "0",
}


def test_another_folder_worker_count_and_environment_give_the_same_bytes(checkout: Checkout, tmp_path: Path) -> None:
    """And another order of hashes, language, time zone and umask; the number of threads is the same."""
    folder = tmp_path / "deeper" / "a place with blanks" / "other"
    other = new_checkout(folder, TINY | {"coparse.workers": 1}, 0o077, **ELSEWHERE)
    other.repro()
    locks = [YAML(typ="safe").load(of.folder / "dvc.lock")["stages"] for of in (checkout, other)]
    written = [{out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]} for lock in locks]
    assert len(written[0]) > 30
    differing = {path for path in written[0] | written[1] if written[0].get(path) != written[1].get(path)}
    assert differing <= {"data/report"}  # whose page shows run times and params
    first, second = (of.outputs() for of in (checkout, other))
    assert {name for name in first | second if first.get(name) != second.get(name)} == set()


def test_hcga_verify_finds_equal_bytes_and_changes_nothing(checkout: Checkout) -> None:
    kept = [checkout.folder / name for name in ("dvc.lock", ".hcga/times.jsonl")]
    before = [path.read_bytes() for path in kept], checkout.outputs()
    program = [sys.executable, "-c", "from hcga.cli.main import main; main()", "verify"]
    done = checkout.run(*program, "coparse@r2", "train@r2", "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines() if "equal bytes" in line] == [
        "coparse@r2",
        "train@r2",
        "report",
    ]
    assert "data/report/index.html differs, as it may: it shows run times and the commit" in done.stdout
    assert ([path.read_bytes() for path in kept], checkout.outputs()) == before


def stops_in_check(checkout: Checkout, changes: dict[str, Any], message: str) -> None:
    outputs = checkout.outputs()
    with checkout.changed(changes):
        done = checkout.dvc("repro")
        assert done.returncode != 0
        assert f"Error: {message}" in done.stderr
        assert "failed to reproduce 'check'" in done.stderr
        assert "Traceback" not in done.stderr
        assert checkout.outputs() == outputs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gam.tt": 3}, "gam.tt: unknown key; did you mean 't'?"),
        ({"gam.t": 0}, "gam.t: 0 (int)"),
        ({"part_classes": "four"}, "part_classes: 'four' (str)"),
        ({"image.height": 100}, "image.height: 100 (int)"),
        ({"rounds.r2.prev": "r9"}, "rounds.r2.prev is 'r9', but there is no such round; known: init, r1, r2"),
        ({"rounds": {1: {"prev": "init", "until_epoch": 1}}}, "rounds.1"),
        ({"rounds": {}}, "rounds: {}"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_bad_params_stop_in_stage_check_and_outputs_stay(
    checkout: Checkout, changes: dict[str, Any], message: str
) -> None:
    stops_in_check(checkout, changes, f"params.yaml: 1 problem(s)\n  {message}")


@pytest.fixture
def own_set(checkout: Checkout) -> Iterator[Path]:
    """Give a copy of the data set beside the pipeline's own, which params.yaml then names."""
    root = shutil.copytree(checkout.folder / "data" / "synthetic", checkout.folder / "raw")
    with checkout.changed({"datasets.main.root": "raw"}):
        yield root
    shutil.rmtree(root)


def finished_outputs(outputs: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the list of the data set's files, which shows how they are now, and what the next run goes on from."""
    passing = ("data/catalogues/", "data/.images.zarr.")
    return {name: content for name, content in outputs.items() if not name.startswith(passing)}


def test_a_truncated_image_stops_in_prepare_and_outputs_stay(checkout: Checkout, own_set: Path) -> None:
    outputs = finished_outputs(checkout.outputs())
    assert {"data/samples.csv", "data/images.zarr/zarr.json"} <= set(outputs)
    image = sorted((own_set / "query").iterdir())[3]
    content = image.read_bytes()
    image.unlink()  # it may be a link into the cache
    image.write_bytes(content[: len(content) // 2])
    done = checkout.dvc("repro")
    assert done.returncode != 0
    assert f"Error: raw/query/{image.name}: cannot be decoded" in done.stderr
    assert "failed to reproduce 'prepare'" in done.stderr
    assert "Traceback" not in done.stderr
    assert finished_outputs(checkout.outputs()) == outputs


def test_an_identity_that_trains_and_is_tested_stops_in_prepare(checkout: Checkout, own_set: Path) -> None:
    outputs = finished_outputs(checkout.outputs())
    image = min((own_set / "bounding_box_train").iterdir())
    shutil.copy(image, own_set / "query")
    done = checkout.dvc("repro")
    assert done.returncode != 0
    assert f"1 identities both train and are tested: {int(image.name[:4])}; see bounding_box_train/" in done.stderr
    assert finished_outputs(checkout.outputs()) == outputs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"datasets.main.root": "nowhere"},
            "datasets.main.root: nowhere is no folder; set it to where",
        ),
        ({"synthetic": None}, "datasets.main.root: data/synthetic is for synthetic people, but synthetic is null"),
        ({"external.root": "nowhere"}, "external.root: nowhere is no folder; set it to where the masks are"),
        ({"external.labels": {"hat": [1]}}, "external.labels: 'hat' is no part class; known: background, head, "),
        ({"device": "mps"}, "device: mps is not available here; set it to auto or cpu"),
    ],
    ids=["missing", "not drawn", "no masks", "no part", "device"],
)
def test_what_this_machine_lacks_is_named_and_outputs_stay(
    checkout: Checkout, changes: dict[str, Any], message: str
) -> None:
    if "device" in changes and torch.backends.mps.is_available():
        pytest.skip("this machine has that device")
    stops_in_check(checkout, changes, message)


def test_an_ablation_shares_what_its_rows_have_in_common(tmp_path: Path) -> None:
    """On held-out identities, of people that the test identities cannot be."""
    made = new_checkout(tmp_path / "checkout", TINY | {"rounds": {"r1": ROUNDS["r1"]}})
    shutil.copytree(ROOT / "tables", made.folder / "tables")
    setup = [("config", "user.name", "x"), ("config", "user.email", "x@example.org"), ("add", "-A")]
    for command in (*setup, ("commit", "-qm", "a pipeline")):
        assert made.run("git", *command).returncode == 0
    table = ("ablate", "tables/features.yaml", "--rows", "F,F+P", "--seeds", "5", "--validation", "0.5")
    hcga = (sys.executable, "-c", "from hcga.cli.main import main; main()")
    done = made.run(*hcga, *table, "--set", "coparse.source=stripes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--set coparse.source takes the place of coparse.source of the table's base." in done.stdout
    logs = made.folder / ".hcga/ablations/logs"
    ran = [
        set(re.findall(r"Running stage '([^']+)'", (logs / f"features-{row}-seed5-val50.log").read_text("utf-8")))
        for row in ("F", "F+P")
    ]
    assert {"train@r1", "evaluate@r1"} <= ran[0]
    assert ran[1] == {"check", "evaluate@r1", "report"}
    runs = pd.read_csv(made.folder / ".hcga/ablations/features-val50-part-runs.csv")
    assert runs["seed"].tolist() == [5, 5]
    assert set(runs["retrieval_queries"]) == {4}
    shown = made.run(*hcga, *table, "--set", "coparse.source=stripes", "--show")
    assert "tested on 50 % of the training identities, commit" in shown.stdout


def test_an_experiment_is_looked_at_by_its_name(checkout: Checkout, tmp_path: Path) -> None:
    """By every command that takes a revision, by the page, and beside HEAD in DVC's own plots."""
    setup = [("config", "user.name", "x"), ("config", "user.email", "x@example.org"), ("add", "-A")]
    for command in (*setup, ("commit", "-qm", "a run")):
        done = checkout.run("git", *command)
        assert done.returncode == 0, done.stderr
    changes = ("-S", "coparse.back_weight=0", "-S", "~rounds.r2")
    done = checkout.dvc("exp", "run", "--temp", "--name", "no-back", *changes)
    assert done.returncode == 0, done.stdout + done.stderr

    def hcga(*arguments: str) -> str:
        done = checkout.run(sys.executable, "-c", "from hcga.cli.main import main; main()", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert re.match(r"r1: [1-4] of 4 identities differ, ", hcga("masks", "diff", "HEAD", "no-back"))
    drawn = [tmp_path / f"{rev}.png" for rev in ("HEAD", "no-back")]
    for path in drawn:
        hcga("masks", "draw", "--round", "r1", "--pid", "2", "--rev", path.stem, "-o", str(path))
    assert drawn[0].read_bytes() != drawn[1].read_bytes()
    done = checkout.dvc("plots", "diff", "HEAD", "no-back", "--json", "--out", str(tmp_path / "plots"))
    plots = json.loads(done.stdout)["data"]
    for sheet in ("data/masks/r1.png", "data/report/worst/r1.jpg"):
        pictures = {rev: plot["url"] for plot in plots[sheet] for rev in plot["revisions"]}
        assert set(pictures) == {"HEAD", "no-back"}
        assert Path(pictures["HEAD"]).read_bytes() != Path(pictures["no-back"]).read_bytes()
    client = TestClient(create_app(checkout.folder), base_url="http://127.0.0.1")
    assert "no-back" in client.get("/revisions").json()
    for address in ("/identities?at=no-back:r1", "/queries?at=no-back:r1", "/figures?rev=HEAD&rev=no-back"):
        assert client.get(address).status_code == 200
    page = client.get("/changes?from=HEAD:r1&to=no-back:r1").text
    pictures = re.findall(r'src="(/strips[^"]*)"', page)
    assert pictures
    assert all(client.get(picture.replace("&amp;", "&")).status_code == 200 for picture in pictures)
