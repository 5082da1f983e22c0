"""Search in a large gallery: size, time, memory and recall, exact and among candidates, by type of number.

    python benchmarks/searching.py --work /somewhere                      1 million images, 10 GB of disk
    python benchmarks/searching.py --work /somewhere --checkout FOLDER    also what fewer bits cost a round's figures

Embeddings are random. A part's 256 numbers are determined by 32 hidden ones of the person, and noise; an image shows
80 % of its three parts, a query half of them; what hides the others, one of a thousand things, is in the vector of the
foreground in their place. Five images a person; queries are more images of some of them, of others in each repeat, with
medians and ranges over these. Each measurement is a process of its own; stores are opened before the clock runs, and in
the page cache where memory suffices, as they were read just before. With --checkout, a folder where `dvc repro` has
run: Rank-1 and mAP of its last round with quantised vectors, those of queries too.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import pandas as pd
from exporting import new_deployed
from runs import median, peak_memory

from hcga.devices import choose_device
from hcga.network.prnet import new_card
from hcga.retrieval.stored import evaluate_retrieval
from hcga.runs.stage import PATH
from hcga.runs.workspace import Workspace
from hcga.samples import read_samples
from hcga.store_writing import write_store
from hcga.stores import array, open_store, read_all
from hcga.using.embedded import VECTORS, Dtype, Embedded, quantise
from hcga.using.index import build_index, open_index, save_index
from hcga.using.indexing import measure_recall
from hcga.using.model import Model
from hcga.using.search import rank_gallery
from hcga.using.store import MODEL, open_gallery, zarr_rows

CHANNELS, PARTS, HIDDEN, IMAGES_EACH, NOISE, THINGS = 256, 3, 32, 5, 0.7, 1000
SEEN, SEEN_IN_QUERIES = 0.8, 0.5
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
QUERIES, FIRST, CANDIDATES, BLOCK = 100, 10, (100, 300, 1000), 10_000


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for galleries and indexes.")
@click.option("--images", type=click.IntRange(5000), default=1_000_000, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--checkout", type=PATH, help="Also measure the loss on its last round.")
def main(work: Path, images: int, repeats: int, checkout: Path | None) -> None:
    """Print a table by type of number."""
    if checkout:
        click.echo(f"{loss(checkout).round(2).to_string()}\n")
    columns: dict[str, dict[str, str]] = {}
    for dtype in DTYPES:  # each takes minutes
        columns[dtype] = measure(work, images, dtype, repeats)
        click.echo(f"{pd.DataFrame(columns).to_string()}\n")


def measure(work: Path, images: int, dtype: Dtype, repeats: int) -> dict[str, str]:
    """All figures of a gallery, in words."""
    store, file = work / f"{images}-{dtype}.zarr", work / f"{images}-{dtype}.index.zarr"
    if not store.exists():
        apart(make_gallery, store, images, dtype)
    found = {"gallery: GB": f"{gigabytes(store):.2f}"}
    for count in (1, QUERIES):
        opened, seconds, peak = apart(exactly, store, images, count, repeats)
        found |= {"exact, to open: s": f"{opened:.2f}", f"exact, {count}: s": median(seconds)}
        found[f"exact, {count}: MB"] = f"{peak:.0f}"
    recalls, seconds, peak = apart(make_index, store, images, file, repeats)
    found |= {"index: s": f"{seconds:.1f}", "index: MB": f"{peak:.0f}", "index: GB": f"{gigabytes(file):.2f}"}
    for count in CANDIDATES:
        opened, each, peak = apart(quickly, store, images, file, count, repeats)
        found |= {"to open both: s": f"{opened:.2f}", f"{count} candidates: ms a query": median(1000 * each)}
        found[f"{count} candidates: MB"] = f"{peak:.0f}"
        found[f"{count} candidates: recall@{FIRST}, %"] = median([100 * recall[count] for recall in recalls])
    return found


def apart(task: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, arguments)


def new_model() -> Model:
    """Draw a small network at random: nothing is embedded, but a store and an index are a model's."""
    choose_device("cpu")
    card = new_card("test_efficientnet", CHANNELS, True, PARTS + 1, 2, (64, 32))
    deployed = new_deployed(card.model_copy(update={"parsing": True}))
    return Model(deployed.network, deployed.card)


class People:
    """Random people, the same ones each time."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        shape = (HIDDEN, PARTS * CHANNELS)
        self._shown = rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(HIDDEN))
        self._things = rng.standard_normal((THINGS, CHANNELS), np.float32)

    def images(self, people: np.ndarray, seen: float, seed: int) -> Embedded:
        """Embeddings of an image of each of some people, (n,) ascending, which shows a share of its parts."""
        rng = np.random.default_rng((seed, int(people[0])))
        known, of = np.unique(people, return_inverse=True)
        hidden = np.stack([np.random.default_rng((1, int(who))).standard_normal(HIDDEN, np.float32) for who in known])
        parts = (hidden @ self._shown)[of].reshape(-1, PARTS, CHANNELS)
        parts += np.float32(NOISE) * rng.standard_normal(parts.shape, np.float32)
        visible = rng.random(parts.shape[:2]) < seen
        things = self._things[rng.integers(THINGS, size=len(people))][:, None]
        foreground = np.where(visible[..., None], parts, things).mean(1)
        return Embedded(foreground, foreground, parts, *[visible.astype(np.float32)] * 3)


def make_gallery(path: Path, images: int, dtype: Dtype) -> None:
    """Write a gallery, the same one for all types of number."""
    model, people = new_model(), People()
    about = {MODEL: model.digest, "folder": None}
    with zarr_rows(path, about, images, ["00000000.png"], model, dtype) as write:
        for start in range(0, images, BLOCK):
            rows = np.arange(start, min(start + BLOCK, images))
            write([f"{row:08}.png" for row in rows], people.images(rows // IMAGES_EACH, SEEN, 2))


def queries(images: int, count: int, repeat: int) -> Embedded:
    """More images of people of a gallery, much occluded."""
    who = np.sort(np.random.default_rng((3, repeat)).choice(images // IMAGES_EACH, count, replace=False))
    return People().images(who, SEEN_IN_QUERIES, 4 + repeat)


def exactly(path: Path, images: int, count: int, repeats: int) -> tuple[float, list[float], float]:
    """Seconds to open a gallery, and for some queries together; peak memory in MB."""
    model = new_model()
    began = time.perf_counter()
    gallery = open_gallery(path, model)
    opened, times = time.perf_counter() - began, []
    for repeat in range(repeats):
        asked = queries(images, count, repeat)
        began = time.perf_counter()
        rank_gallery(asked, [[]] * count, gallery, model.card.use.matching, FIRST)
        times.append(time.perf_counter() - began)
    return opened, times, peak_memory()


def make_index(path: Path, images: int, target: Path, repeats: int) -> tuple[list[dict[int, float]], float, float]:
    """Recall by number of candidates, of each repeat; seconds to build and write the index, and peak memory in MB."""
    model = new_model()
    began = time.perf_counter()
    gallery = open_gallery(path, model)
    index = build_index(gallery, model.card.use.matching)
    save_index(index, model, target)
    seconds, peak = time.perf_counter() - began, peak_memory()
    asked = [queries(images, QUERIES, repeat) for repeat in range(repeats)]
    return [measure_recall(index, gallery, of_repeat, [[]] * QUERIES) for of_repeat in asked], seconds, peak


def quickly(path: Path, images: int, file: Path, count: int, repeats: int) -> tuple[float, np.ndarray, float]:
    """Seconds to open gallery and index, for each query of all repeats, one after another; peak memory in MB."""
    model = new_model()
    began = time.perf_counter()
    gallery = open_gallery(path, model)
    index = open_index(file, gallery, model)
    opened, times = time.perf_counter() - began, []
    for repeat in range(repeats):
        asked = queries(images, QUERIES, repeat)
        for row in range(QUERIES):
            query = asked.take([row])
            began = time.perf_counter()
            rank_gallery(query, [[]], gallery, model.card.use.matching, FIRST, index.candidates(query, count))
            times.append(time.perf_counter() - began)
    return opened, np.array(times), peak_memory()


def gigabytes(path: Path) -> float:
    """Size of a store on disk."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e9


def loss(checkout: Path) -> pd.DataFrame:
    """Figures of a checkout's last round, by type of number."""
    workspace = Workspace(checkout)
    last = list(workspace.params.rounds)[-1]
    store = open_store(workspace.path("embed", "embeddings", last))
    samples = read_samples(workspace.path("prepare", "samples", ""))
    arrays = {name: read_all(array(store, name)) for name in store.array_keys()}
    rows = {}
    for dtype in DTYPES:
        with tempfile.TemporaryDirectory() as folder:
            fewer = {name: quantise(arrays[name], dtype) for name in VECTORS}
            write_store(Path(folder) / "a.zarr", arrays | fewer, **dict(store.attrs))
            figures = evaluate_retrieval(
                open_store(Path(folder) / "a.zarr"), samples, workspace.params.evaluate
            ).figures
        rows[dtype] = {name: figures[name] for name in ("rank1", "rank5", "mAP")}
    return pd.DataFrame(rows).T


if __name__ == "__main__":
    main()
