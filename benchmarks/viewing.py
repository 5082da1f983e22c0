"""How fast the page of `hcga view` answers, on a set of 750 identities with 20 images each.

    python benchmarks/viewing.py --work /somewhere

The checkout is made up: noise for images, masks, embeddings, and networks that have learnt nothing. The server runs in
a process of its own, whose start counts; the pictures are those of the first identity of the list.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from runs import REPOSITORY, environment

from hcga.network.checkpoints import save_model
from hcga.network.prnet import PRNet, new_card
from hcga.occluders import BOX, KEY
from hcga.retrieval.visibility import PartStatistics
from hcga.runs.stage import PATH
from hcga.samples import COLUMNS, write_samples
from hcga.store_writing import add_array, write_store, writing

IDENTITIES, IMAGES, QUERIES, SIZE = 750, 20, 100, (256, 128)
BLOCK = 500
CONNECTIONS = 6  # that a browser opens at once


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the made-up checkout.")
def main(work: Path) -> None:
    """Print seconds to the first picture, of each kind of page, and the server's memory."""
    root = work / "viewing"
    if not root.exists():
        make_checkout(root)
    began = time.perf_counter()
    command = [str(Path(sys.executable).parent / "hcga"), "view", "--no-browser"]
    server = subprocess.Popen(command, cwd=root, env=environment(REPOSITORY), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        home = server.stdout.readline().split()[0].rstrip("/")
        page = fetch(home, "/identities").decode()
        listed = time.perf_counter() - began
        link = re.findall(r'href="(/identities/\d+[^"]*)"', page)[0].replace("&amp;", "&")
        for picture in re.findall(r'src="(/strips[^"]*)"', fetch(home, link).decode()):
            fetch(home, picture.replace("&amp;", "&"))
        click.echo(f"list after {listed:.2f} s, an identity's pictures after {time.perf_counter() - began:.2f} s")
        query = f"/queries/{IDENTITIES * IMAGES}"
        for address in ("/identities?sort=foreground_share", link, "/changes", "/queries", query):
            began = time.perf_counter()
            size = len(fetch(home, address))
            click.echo(f"{address.partition('?')[0]}: {time.perf_counter() - began:.2f} s, {size / 1024:.0f} KB")
        click.echo(f"memory: {memory(server.pid)} MB at most")
        began = time.perf_counter()
        layers = "".join(f"&layer=confidence-{part}" for part in (1, 2, 3))
        pictures = set(re.findall(r'src="(/strips[^"]*)"', fetch(home, link + layers).decode()))
        with ThreadPoolExecutor(CONNECTIONS) as browser:
            list(browser.map(lambda picture: fetch(home, picture.replace("&amp;", "&")), pictures))
        click.echo(f"confidence, {len(pictures)} pictures: {time.perf_counter() - began:.2f} s")
        click.echo(f"memory with confidence: {memory(server.pid)} MB at most")
    finally:
        server.terminate()


def memory(pid: int) -> int:
    """Most memory that a process has had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def fetch(home: str, address: str) -> bytes:
    """What the server answers."""
    with urllib.request.urlopen(home + address) as response:
        content: bytes = response.read()
    return content


def make_checkout(root: Path) -> None:
    """Write stores of the size that Market-1501's training set has."""
    rng = np.random.default_rng(0)
    data, count = root / "data", IDENTITIES * IMAGES
    for folder in ("identities", "masks", "models", "rankings"):
        (data / folder).mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        (root / name).write_bytes((REPOSITORY / name).read_bytes())
    pairs = [(pid, number) for pid in range(1, IDENTITIES + 1) for number in range(IMAGES)]
    train = [("train", pid, 1 + number // 4, 1, number, f"{pid}_{number}.jpg", "main") for pid, number in pairs]
    query = [("query", pid, 1, 1, 1, f"q{pid}.jpg", "main") for pid in range(1, QUERIES + 1)]
    gallery = [("gallery", pid, 2, 1, 1, f"g{pid}.jpg", "main") for pid in range(1, QUERIES + 1)]
    write_samples(pd.DataFrame([*train, *query, *gallery], columns=list(COLUMNS)), data / "samples.csv")
    total = count + 2 * QUERIES
    with writing(data / "images.zarr") as store:
        writer = add_array(store, "images", (total, *SIZE, 3), "uint8")
        for start in range(0, total, BLOCK):
            coarse = rng.integers(0, 256, (min(BLOCK, total - start), SIZE[0] // 8, SIZE[1] // 8, 3), np.uint8)
            writer.append(coarse.repeat(8, axis=1).repeat(8, axis=2))
        writer.finish()
    write_store(data / "truth.zarr", {})
    pd.DataFrame(columns=[*KEY, *BOX]).to_csv(data / "occlusion.csv", index=False)
    torch.manual_seed(0)
    card = new_card("tf_efficientnet_lite0", 256, True, 4, IDENTITIES, SIZE)
    network = PRNet(card)
    for name in ("r1", "r2", "r3"):
        masks = rng.integers(0, 4, (count, 64, 32), np.uint8)
        write_store(data / f"masks/{name}.zarr", {"masks": masks, "labels": masks}, source="hcnet", part_classes=4)
        table = pd.DataFrame({"pid": range(1, IDENTITIES + 1), "images": IMAGES, "foreground_share": 50.0})
        table.to_csv(data / f"identities/{name}.csv", index=False)
        vectors = rng.normal(size=(total, 4, 256)).astype(np.float32)
        visible = np.ones((total, 3), np.float32)
        parsed = rng.integers(0, 4, (total, 64, 32), np.uint8)
        embeddings = {"image": vectors[:, 0], "foreground": vectors[:, 0], "parts": vectors[:, 1:], "parsed": parsed}
        embeddings |= dict.fromkeys(PartStatistics._fields, visible)
        write_store(data / f"embeddings/{name}.zarr", embeddings, parsing=True, part_classes=4)
        save_model(network, card, data / f"models/{name}.safetensors")
        rows = [
            (f"main/q{q}.jpg", n, f"main/g{n}.jpg", 1 / n, n == q) for q in range(1, QUERIES + 1) for n in range(1, 11)
        ]
        columns = ["query", "rank", "gallery", "similarity", "hit"]
        pd.DataFrame(rows, columns=columns).to_csv(data / f"rankings/{name}.csv", index=False)


if __name__ == "__main__":
    main()
