"""A checkout whose round r1 has a tiny model, that model, and crops of one's own.

A module makes fixtures of these functions, named as their arguments ask for them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from hcga.network.checkpoints import save_model
from hcga.network.prnet import PRNet, new_card
from hcga.runs.recorded import dvc_digest
from hcga.runs.revisions import Place
from hcga.using.model import Model
from hcga.using.rounds import read_round

EPOCH = 6  # of r1 in the default params
FIGURES = {"epoch": EPOCH, "run": {"seed": 1}, "skipped_images": 0, "retrieval": {"rank1": 43.21, "mAP": 32.1}}
ROUND = Place("workspace", "r1")


def new_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file of a network that stage train might have written, whose parsing head sees several parts."""
    card = new_card("test_efficientnet", 8, True, 4, 5, (64, 32)).model_copy(
        update={"epoch": EPOCH, "parsing": True, "seed": 1}
    )
    torch.manual_seed(0)
    network = PRNet(card)
    torch.nn.init.normal_(network.parsing_head.weight, std=4)
    file = tmp_path_factory.mktemp("weights") / "r1.safetensors"
    save_model(network, card, file)
    return file


def write_lock(root: Path, changes: dict[str, Any] | None = None) -> None:
    """Record what lies there as written by the stages, with the params that are there."""
    params = YAML(typ="safe").load(root / "params.yaml")
    paths = {"train": "data/models/r1.safetensors", "evaluate": "data/metrics/r1.json", "prepare": "data/samples.csv"}
    outs = {verb: {"path": path, "md5": dvc_digest(root / path)} for verb, path in paths.items()}
    embeddings = {"path": "data/embeddings/r1.zarr", "md5": "e"}
    read = {
        "prepare": (["datasets", "image", "prepare"], []),
        "train@r1": (["gam", "train", "seed"], [outs["prepare"]]),
        "embed@r1": (["embed", "gam"], [outs["train"]]),
        "evaluate@r1": (["evaluate"], [outs["prepare"], embeddings]),
    }
    stages = {
        name: {
            "params": {"params.yaml": {section: params[section] for section in sections}},
            "deps": deps,
            "outs": [outs.get(name.partition("@")[0], embeddings)],
        }
        for name, (sections, deps) in read.items()
    }
    YAML(typ="safe").dump({"schema": "2.0", "stages": stages | (changes or {})}, root / "dvc.lock")


def new_checkout(workspace_folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the checkout of `workspace_folder`, entered, with the model of r1, its figures and a dvc.lock of them.

    It compares by Eq. (10) as printed.
    """
    yaml = YAML(typ="safe")
    params = yaml.load(workspace_folder / "params.yaml")
    params["evaluate"] |= {"similarity": "paper", "visibility": "any"}
    yaml.dump(params, workspace_folder / "params.yaml")
    (workspace_folder / "data/models").mkdir()
    (workspace_folder / "data/models/r1.safetensors").write_bytes(weights.read_bytes())
    (workspace_folder / "data/metrics/r1.json").write_text(json.dumps(FIGURES), encoding="utf-8")
    write_lock(workspace_folder)
    monkeypatch.chdir(workspace_folder)
    return workspace_folder


def new_model(checkout: Path) -> Model:
    """Give the model of r1."""
    return Model(*read_round(checkout, ROUND))


def new_file(model: Model, tmp_path: Path) -> Path:
    """Give the model of r1 as one file."""
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def new_crops(tmp_path: Path) -> Path:
    """Give a folder with 7 crops of several sizes in two folders below it."""
    root = tmp_path / "crops"
    rng = np.random.default_rng(5)
    for number in range(7):
        folder = root / ("cam1" if number < 4 else "cam2/später")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 4, 3), np.uint8).repeat(8, 0).repeat(6 + number, 1)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return root
