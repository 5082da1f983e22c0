"""A checkout whose two rounds have all that the page shows; hostile names among its images."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from conftest import DEFAULT, ROOT

from hcga.checkpoints import save_model
from hcga.occluders import write_occlusion
from hcga.prnet import PRNet, new_card
from hcga.samples import COLUMNS, write_samples
from hcga.stores import write_store

HOSTILE = "train/<b onclick=alert(1)>&'.jpg"
SIZE = (64, 32)
PEOPLE = [
    ("train", 3, 1, HOSTILE),
    ("train", 3, 2, "train/b.jpg"),
    ("train", 8, 1, "train/c.jpg"),
    ("query", 4, 1, "query/d.jpg"),
    ("query", 5, 1, "query/e.jpg"),
    ("gallery", 4, 2, "gallery/f.jpg"),
    ("gallery", 0, 2, "gallery/g.jpg"),
]


def write_checkout(root: Path) -> None:
    """Write it; rounds r1 and r2 are done, r3 is not."""
    data = root / "data"
    for folder in ("metrics", "masks", "identities", "rankings", "history", "models", "synthetic"):
        (data / folder).mkdir(parents=True)
    (root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (root / "params.yaml").write_bytes(DEFAULT.read_bytes())
    samples = pd.DataFrame([(*row[:3], 1, 1, row[3], "main") for row in PEOPLE], columns=list(COLUMNS))
    write_samples(samples, data / "samples.csv")
    rng = np.random.default_rng(0)
    write_store(data / "images.zarr", {"images": rng.integers(0, 256, (7, *SIZE, 3), np.uint8)})
    write_store(data / "truth.zarr", {"truth": rng.integers(0, 4, (7, *SIZE), np.uint8)}, part_classes=4)
    torch.manual_seed(0)
    card = new_card("mobilenetv3_small_050", 8, True, 4, 2, SIZE)
    for number, name in enumerate(("r1", "r2"), 1):
        masks = rng.integers(0, 4, (3, 16, 8), np.uint8)
        write_store(data / f"masks/{name}.zarr", {"masks": masks, "labels": masks + 20}, source="hcnet", epoch=number)
        table = pd.DataFrame(
            {"pid": [8, 3], "images": [1, 2], "foreground_share": [10.0 * number, 90.0], "warnings": ""}
        )
        table.to_csv(data / f"identities/{name}.csv", index=False)
        table[["pid", "images"]].to_csv(data / f"masks/{name}.csv", index=False)
        embeddings = {
            "foreground": rng.normal(size=(7, 8)).astype(np.float32),
            "parts": rng.normal(size=(7, 3, 8)).astype(np.float32),
            "likely": np.tile(np.array([0.5, 0, 0.1], np.float32), (7, 1)),
            "guided": np.zeros((7, 3), np.float32),
            "peak": np.full((7, 3), 0.5, np.float32),
            "parsed": rng.integers(0, 4, (7, 16, 8), np.uint8),
        }
        write_store(data / f"embeddings/{name}.zarr", embeddings, parsing=True, part_classes=4)
        rankings = pd.DataFrame(
            [
                ("query/d.jpg", 1, "gallery/f.jpg", 0.9, True),
                ("query/d.jpg", 2, "gallery/g.jpg", 0.5, False),
                ("query/e.jpg", 1, "gallery/g.jpg", 0.7, False),
            ],
            columns=["query", "rank", "gallery", "similarity", "hit"],
        )
        rankings.to_csv(data / f"rankings/{name}.csv", index=False)
        (data / f"metrics/{name}.json").write_text(f'{{"epoch": {number}, "retrieval": {{"rank1": 50.0, "mAP": 4.5}}}}')
        pd.DataFrame({"epoch": [number], "loss": [3.0]}).to_csv(data / f"history/{name}.csv", index=False)
        save_model(PRNet(card), card, data / f"models/{name}.safetensors")
    occluders = ["0 0 1 1" if path == "train/b.jpg" else "whole" for path in samples["path"]]
    write_occlusion(samples.assign(occluder=occluders), data / "occlusion.csv")
