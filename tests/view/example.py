"""Checkouts that have all that the page shows, and a few things that it must not stumble over."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import DEFAULT, ROOT, change
from PIL import Image
from ruamel.yaml import YAML
from starlette.testclient import TestClient

from hcga.masks.parts import UNLABELLED, mask_attributes
from hcga.network.checkpoints import save_model
from hcga.network.prnet import PRNet, new_card
from hcga.occluders import write_occlusion
from hcga.params_file import write_rounds
from hcga.runs.revisions import WORKSPACE
from hcga.runs.workspace import Workspace
from hcga.samples import COLUMNS, write_samples
from hcga.store_writing import write_store
from hcga.view import places

HOSTILE = "train/<b onclick=alert(1)>&'.jpg"
BRANCH = "it's #1/50%?"  # of another revision; a space could not be in a branch's name, but in an experiment's
SIZE = (64, 32)
CELLS = (16, 8)
ROUNDS = ("r1", "r2", "r3")  # that are done; r4 is not
PEOPLE = [
    ("train", 3, 1, HOSTILE),
    ("train", 3, 2, "train/b.jpg"),  # occluded
    ("train", 8, 1, "train/c.jpg"),  # occluded or not, who knows
    ("train", 11, 2, "train/h.jpg"),
    ("train", 11, 3, "train/i.jpg"),  # without a mask
    ("query", 4, 1, "query/d.jpg"),
    ("query", 5, 1, "query/e.jpg"),
    ("query", 6, 1, "query/j.jpg"),
    ("query", 4, 3, "query/l.jpg"),
    ("gallery", 4, 2, "gallery/f.jpg"),
    ("gallery", 0, 2, "gallery/g.jpg"),
    ("gallery", 6, 2, "gallery/k.jpg"),
]
QUERIES = ["/queries/7", "/queries/6", "/queries/8", "/queries/5"]  # as the page lists them
RANKINGS = [
    ("query/d.jpg", 1, "gallery/f.jpg", 0.9, True),
    ("query/d.jpg", 2, "gallery/g.jpg", 0.5, False),
    ("query/e.jpg", 1, "gallery/g.jpg", 0.7, False),
    ("query/j.jpg", 1, "gallery/g.jpg", 0.8, False),
    ("query/l.jpg", 1, "gallery/k.jpg", 0.6, False),
    ("query/l.jpg", 2, "gallery/f.jpg", 0.4, True),
]


def write_checkout(root: Path, people: Sequence[tuple[str, int, int, str]] = PEOPLE, **changes: Any) -> None:
    """Write a checkout of these people; `changes` to params.yaml have `__` for a dot."""
    data = root / "data"
    for folder in ("metrics", "masks", "identities", "rankings", "history", "models", "synthetic"):
        (data / folder).mkdir(parents=True)
    (root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    source = _write_params(root / "params.yaml", changes)
    samples = pd.DataFrame([(*row[:3], 1, 1, row[3], "main") for row in people], columns=list(COLUMNS))
    write_samples(samples, data / "samples.csv")
    occluders = [{"train/b.jpg": "0 0 1 1", "train/c.jpg": ""}.get(path, "whole") for path in samples["path"]]
    write_occlusion(samples.assign(occluder=occluders), data / "occlusion.csv")
    rng, count = np.random.default_rng(0), len(samples)
    write_store(data / "images.zarr", {"images": rng.integers(0, 256, (count, *SIZE, 3), np.uint8)})
    write_store(data / "truth.zarr", {"truth": rng.integers(0, 4, (count, *SIZE), np.uint8)}, part_classes=4)
    torch.manual_seed(0)
    card = new_card("mobilenetv3_small_050", 8, True, 4, 2, SIZE)
    for number, name in enumerate(ROUNDS, 1):
        _write_masks(data, name, number, samples, source, rng)
        _write_embeddings(data / f"embeddings/{name}.zarr", samples, source, rng)
        rankings = pd.DataFrame(RANKINGS, columns=["query", "rank", "gallery", "similarity", "hit"])
        rankings[["query", "gallery"]] = "main/" + rankings[["query", "gallery"]]
        rankings.to_csv(data / f"rankings/{name}.csv", index=False)
        (data / f"metrics/{name}.json").write_text(f'{{"epoch": {number}, "retrieval": {{"rank1": 50.0, "mAP": 4.5}}}}')
        pd.DataFrame({"epoch": [number], "loss": [3.0]}).to_csv(data / f"history/{name}.csv", index=False)
        save_model(PRNet(card), card, data / f"models/{name}.safetensors")


def new_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkout; as a fixture of a module: to be read only."""
    root = tmp_path_factory.mktemp("view") / "checkout"
    write_checkout(root)
    return root


def write_without_masks(root: Path) -> None:
    """Write a checkout of the baseline without parsing."""
    write_checkout(root, coparse__source="none", evaluate__features="I")


def open_revisions(monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]) -> None:
    """Let the page find revisions in folders of their own: what Git and DVC do has tests elsewhere."""

    def open_revision(root: Path, name: str) -> Workspace:
        return Workspace(folders.get(name, root))

    monkeypatch.setattr(places, "open_revision", open_revision)
    monkeypatch.setattr(places.Archive, "known_revisions", lambda archive: [WORKSPACE, "HEAD", *folders])


def _write_params(path: Path, changes: dict[str, Any]) -> str:
    yaml = YAML()
    values = yaml.load(DEFAULT)
    change(values, {name.replace("__", "."): value for name, value in changes.items()})
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(values, file)
    write_rounds(path, len(ROUNDS) + 1, 6)
    return str(values["coparse"]["source"])


def _write_masks(
    data: Path, name: str, number: int, samples: pd.DataFrame, source: str, rng: np.random.Generator
) -> None:
    train = samples[samples["split"] == "train"]
    masks = rng.integers(0, 4, (len(train), *CELLS), np.uint8)
    masks[train["path"] == "train/i.jpg"] = UNLABELLED
    labels = np.where(masks == UNLABELLED, masks, masks + 20)
    if source == "none":
        masks[:] = labels[:] = UNLABELLED
    write_store(data / f"masks/{name}.zarr", {"masks": masks, "labels": labels}, source=source, **mask_attributes(4))
    table = pd.DataFrame(
        {"pid": [8, 11, 3], "images": [1, 2, 2], "foreground_share": [10.0 * number, np.nan, 90.0], "warnings": ""}
    )
    table = table[table["pid"].isin(train["pid"])]
    coparsed = ["pid"] if source == "none" else ["pid", "images"]
    table[coparsed].to_csv(data / f"masks/{name}.csv", index=False)
    table[coparsed if source == "none" else list(table)].to_csv(data / f"identities/{name}.csv", index=False)


def _write_embeddings(path: Path, samples: pd.DataFrame, source: str, rng: np.random.Generator) -> None:
    count = len(samples)
    likely = np.tile(np.array([0.5, 0, 0.1], np.float32), (count, 1))
    likely[samples["path"] == "gallery/f.jpg"] = 0.2, 0.3, 0.0
    guided = np.full((count, 3), 0.1, np.float32)
    guided[samples["path"].isin(["query/d.jpg", "gallery/g.jpg"]), 0] = 0  # both show a head, and neither has a cell
    embeddings = {
        "image": rng.normal(size=(count, 8)).astype(np.float32),
        "foreground": rng.normal(size=(count, 8)).astype(np.float32),
        "parts": rng.normal(size=(count, 3, 8)).astype(np.float32),
        "likely": likely,
        "guided": guided,
        "peak": rng.uniform(0.2, 1, (count, 3)).astype(np.float32),
        "parsed": rng.integers(0, 4, (count, *CELLS), np.uint8),
    }
    write_store(path, embeddings, parsing=source != "none", part_classes=4)


def page(client: TestClient, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.text
    return response.text


def picture(client: TestClient, address: str) -> np.ndarray:
    response = client.get(address)
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))
