"""Time and memory for cataloguing and preparing a data set of Market-1501's size (36,036 images).

    python benchmarks/preparing.py --work /somewhere

The images are made once, from synthetic people with noise, in Market-1501's layout and numbers. Each stage runs as its
script; memory is the largest resident set of the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image
from ruamel.yaml import YAML
from runs import REPOSITORY

from hcga.datasets.examples import make_example
from hcga.runs.runlog import RunLog
from hcga.runs.stage import PATH

# Images and identities of train, query and gallery, as published (gallery with distractors, without junk).
SPLITS = {"bounding_box_train": (12_936, 751), "query": (3_368, 750), "bounding_box_test": (19_732, 750)}
FILES = "samples.csv", "images.zarr", "truth.zarr", "occlusion.csv", "skipped.csv"


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the images and the stores.")
@click.option("--size", default="256x128", show_default=True, help="Height x width of the prepared images.")
def main(work: Path, size: str) -> None:
    """Make the images if they are not there, then time the stages."""
    work = work.resolve()
    root = work / "images"
    if not root.exists():
        make_images(root)
    height, width = (int(text) for text in size.split("x"))
    yaml = YAML()
    params = yaml.load(REPOSITORY / "params" / "market1501.yaml")
    params["datasets"]["main"] |= {"root": str(root), "counts": "ignore"}
    params["image"] = {"height": height, "width": width}
    yaml.dump(params, work / "params.yaml")
    (work / "catalogues").mkdir(exist_ok=True)
    outputs = {name: str(work / name) for name in FILES}
    options = [text for name, path in outputs.items() for text in (f"--{name.split('.')[0]}", path)]
    measure("catalogue", work, "--dataset", "main", "--table", str(work / "catalogues" / "main.csv"))
    measure("prepare", work, "--catalogues", str(work / "catalogues"), *options)
    stored = sum(path.stat().st_size for path in (work / "images.zarr").rglob("*") if path.is_file())
    click.echo(f"images.zarr: {stored / 2**30:.2f} GiB in {sum(1 for _ in (work / 'images.zarr').rglob('*'))} files")


def measure(stage: str, work: Path, *options: str) -> None:
    """Run a stage script and print its time and memory."""
    command = [sys.executable, str(REPOSITORY / "pipeline" / f"{stage}.py"), "--params", str(work / "params.yaml")]
    start = time.perf_counter()
    recorded = {**os.environ, "DVC_STAGE": stage}
    done = subprocess.run([*command, *options], cwd=work, stderr=subprocess.DEVNULL, env=recorded)
    if done.returncode:
        raise click.ClickException(f"stage {stage} failed")
    peak = RunLog(work).finished()[stage].peak_mb
    click.echo(f"{stage}: {time.perf_counter() - start:.1f} s, {peak:.0f} MB")


def make_images(root: Path) -> None:
    """Write 36,036 JPEG files of 128 x 64 pixels."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        make_example("folder", Path(folder) / "set")
        people = [np.asarray(Image.open(path)).astype(np.int16) for path in sorted(Path(folder).rglob("*.jpg"))]
    for split, (images, identities) in SPLITS.items():
        (root / split).mkdir(parents=True)
        for number in range(images):
            pid = 2 * (number % identities) + (2 if split == "bounding_box_train" else 1)
            noisy = people[number % len(people)] + rng.integers(-12, 13, (128, 64, 1))
            name = f"{pid:04d}_c{number // identities % 6 + 1}s1_{number:06d}_01.jpg"
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / split / name, quality=90)


if __name__ == "__main__":
    main()
