"""What the log, dvc.lock, figures and sample table of a checkout tell of its last run, and the command."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from hcga.cli import main
from hcga.errors import InputError
from hcga.planning import rates, run
from hcga.planning.run import measured_run, measured_size
from hcga.planning.scaling import Ran, Size
from hcga.workspace import Workspace

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
    assert found.ran == {"prepare": Ran(3, 4 * 2**20, 111, 1), "train": Ran(30, 21 * 2**20, 222, 2, 4)}
    assert (found.device, found.threads, found.processes) == ("cpu: Abacus", 2, 4)
    assert found.size == measured_size(table()) == Size(train=6, identities=3, query=2, gallery=1)


def test_coparsing_by_hcnet_took_all_gpus_of_the_machine(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {**STAGES, "coparse@r1": 30.0}
    change(checkout / "dvc.lock", "stages", {name: {"outs": []} for name in stages})
    write_log(checkout, stages)
    assert measured_run(Workspace(checkout)).ran["coparse"].devices == 1
    monkeypatch.setattr(run.torch.cuda, "device_count", lambda: 8)
    (checkout / "data/metrics/r2.json").write_text(json.dumps({"run": {"device": "cuda: Antikythera"}}))
    assert measured_run(Workspace(checkout)).ran["coparse"].devices == 8
    change(checkout / "params.yaml", "coparse", {"source": "isp"})
    assert measured_run(Workspace(checkout)).ran["coparse"].devices is None


def test_how_many_dask_workers_there_were_is_not_known(checkout: Path) -> None:
    change(checkout / "params.yaml", "dask", {"scheduler": "tcp://a:1", "cluster": None, "share": None})
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


def test_reranking_is_not_foreseen(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(checkout / "params.yaml", "evaluate", {"rerank": True})
    said = call(monkeypatch, "--images", "6", "--identities", "3")
    assert said.exit_code == 1
    assert "evaluate.rerank: compares queries and gallery with each other" in said.output


def test_nothing_has_run(checkout: Path) -> None:
    (checkout / "dvc.lock").unlink()
    with pytest.raises(InputError, match="nothing has run here; run `dvc repro` here first"):
        measured_run(Workspace(checkout))


def test_rates_are_above_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "GALLERY", 1024)
    monkeypatch.setattr(rates, "CLASSES", 10)
    matching = run.Workspace(ROOT).params.evaluate
    assert 0 < rates.pair_seconds(8, 3, matching) < 1e-3
    assert 0 < rates.identity_seconds(40, 4, run.torch.device("cpu")) < 1


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(run, "pair_seconds", lambda *_: 0.0)
    monkeypatch.setattr(run, "identity_seconds", lambda *_: 0.0)
    return CliRunner().invoke(main, ["plan", *arguments])


def test_the_command_says_what_is_wanted_what_was_measured_and_what_it_takes(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LEAST_IMAGES", 1)
    said = call(monkeypatch, "--images", "6e3", "--identities", "300", "--gpus", "2").output.splitlines()
    assert said[:2] == [
        "wanted    6,000 training images of 300 identities, 2,000 queries, 1,000 gallery images",
        "measured  6 training images of 3 identities, 2 queries, 1 gallery images, on "
        "cpu: Abacus, 2 threads, 4 processes",
    ]
    assert said[3].split() == ["stage", "time", "memory,", "GB", "disk,", "GB"]
    assert said[4].split()[:4] == ["prepare", "45", "min", "0"]  # 0.3 s and 1,000 times 2.7 s
    assert said[6].split()[0] == "together"
    assert said[8].startswith("1,000 times the training images")
    assert "2 devices" in said[9]
    assert "No GPU was measured" in said[10]


def test_few_images_say_little_of_many(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "--images", "18", "--identities", "3").exit_code == 0
    said = call(monkeypatch, "--images", "19", "--identities", "3")
    assert said.exit_code == 1
    assert "the last run was of 6 training images, which says little of 19; run `dvc repro` here first" in said.output


def test_csv(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = call(monkeypatch, "--images", "6", "--identities", "3", "--csv").output.splitlines()
    assert said == [
        "stage,seconds,memory,disk",
        "prepare,3,4194304,111",
        "train,114,22020096,222",
    ]  # 2 s to start, and 4 times 28


@pytest.mark.parametrize("number", ["0", "-3", "1.5", "many", "nan", "inf", "1e300", "1000000001"])
def test_what_is_no_number_of_images(checkout: Path, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    said = call(monkeypatch, "--images", number, "--identities", "3")
    assert said.exit_code == 2
    assert f"'{number}' is no whole number from 1 to 1,000,000,000, such as 250000 or 1e7" in said.output
