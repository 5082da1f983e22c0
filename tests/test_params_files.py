"""The ready-made files of params/: METHOD's values, and a run on an example of their data set."""

import importlib.util
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import DEFAULT, ROOT, change
from ruamel.yaml import YAML
from stages import resolve

from hcga.coparsing import pool
from hcga.datasets.examples import make_example
from hcga.params import load_params
from hcga.runs.due import due_stages

FILES = sorted(path for path in (ROOT / "params").glob("*.yaml") if path.stem != "demo")
# The paper's values for all sets: IV-A; C', min_L, p, R of III-B; t of III-C.
PAPER = {
    "image": {"height": 256, "width": 128},
    "backbone": {"name": "hrnet_w32", "weights": "hub", "channels": 256, "attention": True},
    "coparse": {
        "source": "hcnet",
        "iterations": 32,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "labels": 32,
        "min_labels": 18,
        "norm": 1,
        "local_weight": 2.0,
        "window": 3,
        "pairs": "camera",
        "background": "authors",
        "split": "structure",
    },
    "gam": {"t": 4},
    "train": {
        "identities": 16,
        "images": 4,
        "learning_rate": 0.00035,
        "weight_decay": 0.0005,
        "warmup_epochs": 10,
        "milestones": [40, 70],
        "decay": 0.1,
        "label_smoothing": 0.1,
        "margin": 0.3,
        "flip": 0.5,
        "padding": 10,
        "erasing": 0.5,
        "parsing_rate": 1.0,
    },
    "embed": {"binary": 1, "flip": False},
}
# What differs between sets: lambda_B, weight of the diagonals over lambda_L, lambda_hp (authors' scripts), and the
# features of matching, by whether the queries are occluded (III-D).
OTHERS = (1.0, 0.5, 0.1)
SETS: dict[str, tuple[tuple[float, float, float], str, list[str]]] = {
    "market1501": (OTHERS, "I+F+P", ["market1501"]),
    "dukemtmc": (OTHERS, "I+F+P", ["dukemtmc"]),
    "occluded_dukemtmc": (OTHERS, "F+P", ["occluded_dukemtmc"]),
    "occluded_reid": ((1.5, 0.0, 0.3), "F+P", ["occluded_reid:half"]),
    "p_dukemtmc": (OTHERS, "F+P", ["p_dukemtmc"]),
    "cuhk03_detected": (OTHERS, "I+F+P", ["cuhk03:detected"]),
    "cuhk03_labeled": (OTHERS, "I+F+P", ["cuhk03:labeled"]),
    "msmt17": (OTHERS, "I+F+P", ["msmt17:with_val"]),
    "market1501_to_occluded_reid": (OTHERS, "F+P", ["market1501", "occluded_reid:transfer"]),
    "market1501_to_partial_reid": (OTHERS, "F+P", ["market1501", "partial_reid:partial"]),
    "market1501_to_partial_ilids": (OTHERS, "F+P", ["market1501", "partial_ilids"]),
}


def test_there_is_a_file_for_each_set() -> None:
    assert {path.stem for path in FILES} == set(SETS)


def test_the_demo_is_the_default() -> None:
    """Whoever runs the tests may have swapped params.yaml: then the committed one counts."""
    committed = subprocess.run(["git", "show", "HEAD:params.yaml"], cwd=ROOT, capture_output=True, check=False).stdout
    assert DEFAULT.read_bytes() in ((ROOT / "params.yaml").read_bytes(), committed)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_values_are_the_paper_s(path: Path) -> None:
    params = load_params(path)
    for section, expected in PAPER.items():
        values = getattr(params, section).model_dump()
        assert {key: values[key] for key in expected} == expected, section
    weights, features, layouts = SETS[path.stem]
    assert (params.coparse.back_weight, params.coparse.diagonal_weight, params.train.parsing_weight) == weights
    assert params.evaluate.features == features
    assert [dataset.layout for dataset in params.datasets.values()] == layouts
    assert sorted(split for dataset in params.datasets.values() for split in dataset.splits) == [
        "gallery",
        "query",
        "train",
    ]
    assert max(entry.until_epoch for entry in params.rounds.values()) == 120
    assert (params.synthetic, params.part_classes, params.prepare.validation) == (None, 4, None)


SMALL: dict[str, Any] = {
    "device": "cpu",
    "image": {"height": 64, "width": 32},
    "backbone": {"name": "resnet10t", "weights": "none", "channels": 8, "attention": True},
    "coparse.iterations": 2,
    "train.identities": 3,
    "train.images": 2,
    "rounds": {"r1": {"prev": "init", "until_epoch": 1}},
}


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_round_of_one_epoch_runs_on_an_example_of_the_set(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stages, as dvc.yaml calls them, but in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "ProcessPoolExecutor", lambda n, _, start, args: ThreadPoolExecutor(1, "", start, args))
    values = YAML(typ="safe").load(path)
    change(values, SMALL)
    for seed, (name, entry) in enumerate(values["datasets"].items()):
        entry["root"] = name
        make_example(entry["layout"], tmp_path / name, seed)  # a seed each: other people
    YAML(typ="safe").dump(values, tmp_path / "params.yaml")
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = True\n", encoding="utf-8")
    for folder in ("data/external", "data/repairs"):
        (tmp_path / folder).mkdir(parents=True)
    threads = torch.get_num_threads()
    stages = resolve(values["rounds"], values["datasets"])
    for name in due_stages(tmp_path):
        if name != "synthesise":
            run(stages[name].verb, stages[name].cmd[2:])
    torch.set_num_threads(threads)
    figures = pd.read_csv("data/report/rounds.csv")
    assert figures["round"].tolist() == ["r1"]
    assert 0 < figures["retrieval_mAP"].item() <= 100
    assert figures["retrieval_invalid_queries"].item() == 0


def run(verb: str, arguments: list[str]) -> None:
    """Run a stage script in this process."""
    spec = importlib.util.spec_from_file_location(f"stage_{verb}", ROOT / "pipeline" / f"{verb}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(arguments, standalone_mode=False)
