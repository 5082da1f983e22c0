"""Figures on real photographs: the full method and the same without parsing, over seeds.

Needs folders in Market-1501's layout; `parsing/` (label images by another parser) and `occluders.csv` (boxes known to
hold no person; columns image, left, top, right, bottom in pixels of the file) are used where a folder has them.

    python benchmarks/real_images.py --root DATA/market-mini --root DATA/market-mini-occluded --work /somewhere

Each run is the pipeline itself in one clone of this repository (its HEAD), whose DVC cache spares what runs share.
Finished runs are kept in WORK/results and not repeated; the table is printed after each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from PIL import Image
from runs import QUARTER_SCHEDULE, Checkout, data_set, spread

from hcga.masks import upsample
from hcga.samples import read_samples
from hcga.stage import PATH
from hcga.stores import array, open_store

# Round r0 trains nothing, so that its figures are those of the untrained network.
ROUNDS = {
    "r0": {"prev": "init", "until_epoch": 0},
    "r1": {"prev": "r0", "until_epoch": 10},
    "r2": {"prev": "r1", "until_epoch": 20},
    "r3": {"prev": "r2", "until_epoch": 30},
}
COLUMNS = {
    "rank1": "retrieval.rank1",
    "mAP": "retrieval.mAP",
    "empty_parts": "visibility_query.empty",
    "mask_iou": "masks.iou_foreground",
    "guess": "masks.iou_guess",
    "mask_foreground": "masks.foreground_share",
    "in_occluders": "occluders.foreground_share",
}


@click.command()
@click.option("--root", "roots", type=PATH, multiple=True, required=True, help="A data set; repeatable.")
@click.option("--work", type=PATH, required=True, help="Folder for the clone and the results.")
@click.option("--seeds", default="1,2", show_default=True)
@click.option("--size", default="128x64", show_default=True, help="Height x width of the network's input, pixels.")
@click.option("--variants", default="full,none", show_default=True, help="full method, none: without parsing.")
def main(roots: tuple[Path, ...], work: Path, seeds: str, size: str, variants: str) -> None:
    """Run every variant on every data set with every seed and print mean and range."""
    checkout = Checkout(work)
    results = work / "results"
    results.mkdir(parents=True, exist_ok=True)
    for seed in (int(text) for text in seeds.split(",")):
        for root in roots:
            for variant in variants.split(","):
                target = results / f"{root.name}-{size}-{variant}-{seed}.json"
                if not target.exists():
                    figures = run(checkout, root.resolve(), size, variant, seed)
                    target.write_text(json.dumps(figures, indent=1), encoding="utf-8")
                click.echo(summarise(results, size))


def run(checkout: Checkout, root: Path, size: str, variant: str, seed: int) -> dict[str, dict[str, float]]:
    """Run the pipeline once and return the figures of each round."""
    checkout.repro(changes(root, size, variant, seed))
    data = checkout.root / "data"
    figures = {}
    for name in ROUNDS:
        metrics = json.loads((data / f"metrics/{name}.json").read_text(encoding="utf-8"))
        flat = pd.json_normalize(metrics).iloc[0].to_dict()
        if variant != "none" and (root / "occluders.csv").is_file():
            flat["occluders.foreground_share"] = share_in_occluders(data, root, name)
        figures[name] = {title: float(flat[key]) for title, key in COLUMNS.items() if key in flat}
    return figures


def changes(root: Path, size: str, variant: str, seed: int) -> dict[str, Any]:
    """What a run changes in the default params.yaml."""
    height, width = (int(text) for text in size.split("x"))
    with_parsing = "F+P" if (root / "occluders.csv").is_file() else "I+F+P"
    return {
        "seed": seed,
        **data_set(root, "parsing" if (root / "parsing").is_dir() else None),
        "image.height": height,
        "image.width": width,
        "coparse.source": "none" if variant == "none" else "hcnet",
        "evaluate.features": "I" if variant == "none" else with_parsing,
        "rounds": ROUNDS,
        **QUARTER_SCHEDULE,
    }


def share_in_occluders(data: Path, root: Path, round_name: str) -> float:
    """Share of the pixels inside the known occluder boxes of training images that the masks call foreground."""
    samples = read_samples(data / "samples.csv")
    row_of = {path: row for row, path in enumerate(samples["path"])}
    masks = upsample(np.asarray(array(open_store(data / f"masks/{round_name}.zarr"), "masks")[:]))
    height, width = masks.shape[1:]
    boxes = pd.read_csv(root / "occluders.csv")
    boxes = boxes[boxes["image"].map(row_of).fillna(len(masks)) < len(masks)]
    foreground = pixels = 0
    for box in boxes.itertuples():
        mask = masks[row_of[str(box.image)]]
        with Image.open(root / str(box.image)) as file:
            down, across = height / file.height, width / file.width
        rows = slice(round(box.top * down), round(box.bottom * down))
        columns = slice(round(box.left * across), round(box.right * across))
        foreground += int((mask[rows, columns] > 0).sum())
        pixels += mask[rows, columns].size
    return 100 * foreground / pixels


def summarise(results: Path, size: str) -> str:
    """Format the finished runs: mean over seeds, and the range in brackets."""
    rows = []
    for path in sorted(results.glob(f"*-{size}-*.json")):
        data, variant, seed = path.stem.rsplit("-", 3)[0], *path.stem.split("-")[-2:]
        for name, figures in json.loads(path.read_text(encoding="utf-8")).items():
            rows.append({"data": data, "variant": variant, "round": name, "seed": int(seed), **figures})
    table = pd.DataFrame(rows)
    grouped = table.groupby(["data", "variant", "round"])

    shown = grouped[[column for column in COLUMNS if column in table]].agg(spread)
    return str(shown.assign(seeds=grouped["seed"].nunique()).to_string())


if __name__ == "__main__":
    main()
