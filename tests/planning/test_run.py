"""What the log, dvc.lock, figures and sample table of a checkout tell of its last run, and the command."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from hcga.cli.main import main
from hcga.errors import InputError
from hcga.planning import rates, run
from hcga.planning.run import measured_run, measured_size, worker_bytes
from hcga.planning.scaling import Ran, Size
from hcga.runs.environment import Environment
from hcga.runs.workspace import Workspace

ROOT = Path(__file__).parents[2]
ROUNDS = {"r1": {"prev": "init", "until_epoch": 2}, "r2": {"prev": "r1", "until_epoch": 4}}
STAGES = {"prepare": 3.0, "synthesise": 9.0, "train@r1": 10.0, "train@r2": 20.0, "train@r9": 50.0}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which some stages have run; round r9 is not in params.yaml any more."""
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["rounds"] = ROUNDS
    yaml.dump(params, tmp_path / "params.yaml")
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    outs = [{"path": "data/a", "size": 100}, {"path": "data/b", "size": 11}]
    yaml.dump({"stages": {name: {"outs": outs} for name in STAGES}}, tmp_path / "dvc.lock")
    (tmp_path / ".hcga").mkdir()
    write_log(tmp_path, STAGES)
    (tmp_path / "data/metrics").mkdir(parents=True)
    (tmp_path / "data/metrics/r2.json").write_text(
        json.dumps({"run": {"device": "cpu: Abacus", "threads": 2, "processes": 4}})
    )
    table().to_csv(tmp_path / "data/samples.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_log(root: Path, seconds: dict[str, float]) -> None:
    runs = [{"stage": name, "ended": 1.0, "seconds": took, "peak_mb": took + 1} for name, took in seconds.items()]
    (root / ".hcga/times.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in runs))


def change(file: Path, section: str, values: dict[str, Any]) -> None:
    """Change some values of a section of a YAML file, or put them there."""
    yaml = YAML()
    content = yaml.load(file)
    content[section] = {**(content[section] or {}), **values}
    yaml.dump(content, file)


def table() -> pd.DataFrame:
    """Six training images, of three identities and a distractor; two queries, a gallery image."""
    pids = [0, 4, 4, 5, 5, 6, 7, 7, 7]
    splits = ["train"] * 6 + ["query"] * 2 + ["gallery"]
    columns = {"split": splits, "pid": pids, "camid": 1, "sequence": 1, "frame": range(9), "path": "a.jpg"}
    return pd.DataFrame({**columns, "dataset": "main"})


def test_a_run_is_what_the_rounds_of_params_yaml_took(checkout: Path) -> None:
    found = measured_run(Workspace(checkout))
    assert found.ran == {"prepare": Ran(3, 4 * 2**20, 111, 1), "train": Ran(30, 21 * 2**20, 222, 2)}
    assert (found.devices["train"], found.threads, found.processes) == ("cpu: Abacus", 2, 4)
    assert found.largest == 2
    assert found.size == measured_size(table()) == Size(train=6, identities=3, query=2, gallery=1)


def test_devices_are_those_that_the_run_recorded(checkout: Path) -> None:
    """Not those that are here: it may have been planned on another machine."""
    about = {"device": "cuda: Antikythera", "threads": 2, "processes": 4, "coparse": {"device": "cpu: Abacus"}}
    (checkout / "data/metrics/r2.json").write_text(json.dumps({"run": about}))
    found = measured_run(Workspace(checkout))
    assert found.ran["train"].devices == 4
    assert found.ran["prepare"].devices is None
    assert [stage for stage in found.devices if found.on_gpus(stage)] == ["extract", "train", "embed"]
    (checkout / "data/metrics/r2.json").write_text(json.dumps({"run": {"device": "cuda: Antikythera"}}))
    assert measured_run(Workspace(checkout)).on_gpus("coparse")
    change(checkout / "params.yaml", "coparse", {"source": "isp"})
    assert not measured_run(Workspace(checkout)).on_gpus("coparse")


def test_a_run_that_does_not_say_its_device_is_refused(checkout: Path) -> None:
    (checkout / "data/metrics/r2.json").write_text(json.dumps({"run": {}}))
    with pytest.raises(InputError, match=r"r2\.json: does not say on what the training ran; run `dvc repro`"):
        measured_run(Workspace(checkout))


def test_a_plan_on_another_machine_than_that_of_the_run_is_refused(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "data/metrics/r2.json").write_text(json.dumps({"run": {"device": "cuda: Antikythera"}}))
    said = call(monkeypatch, "--images", "6", "--identities", "3")
    assert said.exit_code == 1
    assert "trained on cuda: Antikythera, and here there is cpu: Abacus, which says nothing of" in said.output


def test_workers_take_what_coparsing_foresees(checkout: Path) -> None:
    """By docs/performance.md 16 MB an image of the largest identity at 256 x 128 pixels, and 0.2 GB each."""
    for section, values in {"image": {"height": 256, "width": 128}, "coparse": {"workers": 3}}.items():
        change(checkout / "params.yaml", section, values)
    params = Workspace(checkout).params
    assert worker_bytes(params, 20, 100) == pytest.approx(3 * (2e8 + 20 * 16e6), rel=0.02)
    assert worker_bytes(params, 20, 2) == pytest.approx(2 * (2e8 + 20 * 16e6), rel=0.02)
    change(checkout / "params.yaml", "coparse", {"source": "isp"})
    assert worker_bytes(Workspace(checkout).params, 20, 100) == 3 * (2e8 + 20 * 16 * 256 * 64 * 32)
    change(checkout / "params.yaml", "coparse", {"source": "stripes"})
    assert worker_bytes(Workspace(checkout).params, 20, 100) == 0


def test_how_many_dask_workers_there_were_is_not_known(checkout: Path) -> None:
    change(
        checkout / "params.yaml",
        "dask",
        {"scheduler": "tcp://a:1", "cluster": None, "share": None, "stages": ["extract"]},
    )
    with pytest.raises(InputError, match="dask: how many workers shared the work of the last run is not known"):
        measured_run(Workspace(checkout))


def test_a_stage_whose_time_is_not_known_is_named(checkout: Path) -> None:
    write_log(checkout, {"prepare": 3.0, "train@r1": 10.0})
    with pytest.raises(InputError, match=r"no time is known of train@r2; run `dvc repro` here first"):
        measured_run(Workspace(checkout))


def test_a_stage_that_was_continued_says_too_little(checkout: Path) -> None:
    entry = {"stage": "train@r2", "ended": 2.0, "seconds": 1.0, "peak_mb": 5.0, "continued": True}
    with (checkout / ".hcga/times.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
    with pytest.raises(
        InputError, match=r"train@r2: was stopped before .*; `dvc repro -f -s train@r2` measures all of it"
    ):
        measured_run(Workspace(checkout))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("rerank", "compares queries and gallery with each other"),
        ("multi_query", "has all images at the queries' cameras in memory"),
    ],
)
def test_what_takes_more_than_ranking_is_not_foreseen(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    change(checkout / "params.yaml", "evaluate", {name: True})
    said = call(monkeypatch, "--images", "6", "--identities", "3")
    assert said.exit_code == 1
    assert f"evaluate.{name}: {why}" in said.output


def test_nothing_has_run(checkout: Path) -> None:
    (checkout / "dvc.lock").unlink()
    with pytest.raises(InputError, match="nothing has run here; run `dvc repro` here first"):
        measured_run(Workspace(checkout))


def test_rates_are_above_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "GALLERY", 1024)
    monkeypatch.setattr(rates, "CLASSES", 10)
    matching = run.Workspace(ROOT).params.evaluate
    assert 0 < rates.pair_seconds(8, 3, matching) < 1e-3
    assert 0 < rates.identity_seconds(40, 4, run.torch.device("cpu"), 1) < 1


def test_classifiers_are_timed_on_the_threads_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = run.torch.get_num_threads(), []
    monkeypatch.setattr(rates, "CLASSES", 10)
    monkeypatch.setattr(rates, "_quickest", lambda _: seen.append(run.torch.get_num_threads()) or 1.0)
    rates.identity_seconds(40, 4, run.torch.device("cpu"), before + 1)
    assert seen == [before + 1]
    assert run.torch.get_num_threads() == before


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """Plan on the machine of the run, if that has no GPU."""
    monkeypatch.setattr(run, "pair_seconds", lambda *_: 0.0)
    monkeypatch.setattr(run, "identity_seconds", lambda *_: 0.0)
    monkeypatch.setattr(run.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(run, "environment", lambda _: Environment.model_construct(device="cpu: Abacus"))
    return CliRunner().invoke(main, ["plan", *arguments])


def test_the_command_says_what_is_wanted_what_was_measured_and_what_it_takes(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not known stands before the table, and `--gpus` divides nothing that a CPU took."""
    monkeypatch.setattr(run, "LEAST_IMAGES", 1)
    said = call(monkeypatch, "--images", "6e3", "--identities", "300", "--gpus", "2").output.splitlines()
    assert said[:2] == [
        "wanted    6,000 training images of 300 identities, 2 queries, 1 gallery images",
        "measured  6 training images of 3 identities, 2 queries, 1 gallery images, on "
        "cpu: Abacus, 2 threads, 4 processes",
    ]
    assert said[2].startswith("UNCHECKED: 1,000 times the images of the run, so")
    assert said[3].startswith("UNKNOWN: what a GPU takes. Times are for cpu: Abacus, as in the run, so --gpus 2 ")
    assert said[5].split() == ["stage", "time", "memory,", "GB", "workers,", "GB", "disk,", "GB"]
    assert said[6].split()[:4] == ["prepare", "30", "min", "1"]  # 0.3 s and 667 times 2.7 s
    assert said[7].split()[:5] == [
        "train",
        "3",
        "h",
        "53",
        "min",
    ]  # 2 s and 500 times 28 s: 3 identities draw 12
    assert said[8].split()[0] == "together"


def test_up_to_ten_times_a_plan_is_checked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LEAST_IMAGES", 1)
    size = ("--identities", "3", "--queries", "20", "--gallery", "10")
    assert "UNCHECKED" not in call(monkeypatch, "--images", "60", *size).output
    assert "UNCHECKED: 10 times" in call(monkeypatch, "--images", "63", *size).output


def test_of_a_run_on_gpus_the_training_alone_is_divided(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {**STAGES, "coparse@r1": 30.0}
    change(checkout / "dvc.lock", "stages", {name: {"outs": []} for name in stages})
    write_log(checkout, stages)
    about = {"device": "cuda: Antikythera", "threads": 2, "processes": 1}
    (checkout / "data/metrics/r2.json").write_text(json.dumps({"run": about}))
    monkeypatch.setattr(run, "_same_device", lambda _: run.torch.device("cpu"))
    size = ("--images", "6", "--identities", "3")
    one, four = (call(monkeypatch, *size, *more).output.splitlines() for more in ((), ("--gpus", "4")))
    assert one[2] == "UNKNOWN: how many GPUs co-parsed in the run; the time of coparse is for as many again."
    assert four[2].startswith("train: 4 GPUs, each as fast as one of the run's")
    assert four[3] == one[2]
    seconds = [{line.split()[0]: line.split()[1] for line in said if line} for said in (one, four)]
    assert (seconds[0]["coparse"], seconds[0]["train"]) == ("30", "30")
    assert (seconds[1]["coparse"], seconds[1]["train"]) == ("30", "9")  # 2 s, and a quarter of 28


def test_workers_of_coparsing_have_a_column(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For identities of ten images on average, where they had two, and at most two."""
    stages = {"coparse@r1": 30.0}
    change(checkout / "dvc.lock", "stages", {name: {"outs": []} for name in stages})
    write_log(checkout, {**STAGES, **stages})
    monkeypatch.setattr(run, "LEAST_IMAGES", 1)
    monkeypatch.setattr(run, "worker_bytes", lambda _, images, count: images + 1000 * count)
    said = call(monkeypatch, "--images", "300", "--identities", "30", "--csv").stdout.splitlines()
    workers = {line.split(",")[0]: line.split(",")[3] for line in said}
    assert workers == {"stage": "workers", "prepare": "0", "train": "0", "coparse": "30010"}


def test_few_images_say_little_of_many(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "--images", "18", "--identities", "3").exit_code == 0
    said = call(monkeypatch, "--images", "19", "--identities", "3")
    assert said.exit_code == 1
    assert "the last run was of 6 training images, which says little of 19; run `dvc repro` here first" in said.output


def test_csv(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = call(monkeypatch, "--images", "6", "--identities", "3", "--csv").stdout.splitlines()
    assert said == ["stage,seconds,memory,workers,disk", "prepare,3,4194304,0,111", "train,30,22020096,0,222"]


@pytest.mark.parametrize("number", ["0", "-3", "1.5", "many", "nan", "inf", "1e300", "1000000001"])
def test_what_is_no_number_of_images(checkout: Path, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    said = call(monkeypatch, "--images", number, "--identities", "3")
    assert said.exit_code == 2
    assert f"'{number}' is no whole number from 1 to 1,000,000,000, such as 250000 or 1e7" in said.output
