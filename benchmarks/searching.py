"""Search in a large gallery: size, time, memory and recall, exact and among candidates, by type of number.

    python benchmarks/searching.py --work /somewhere                      1 million images, 10 GB of disk
    python benchmarks/searching.py --work /somewhere --checkout FOLDER    also what fewer bits cost a round's figures

Embeddings are random: 256 numbers that 32 hidden ones of each person determine, and noise; foreground and three parts,
of which an image shows 80 %; five images a person, so that an exact list begins with four of the person asked for and
goes on with people who look alike. Each measurement is a process of its own, and stores are in the page cache where
memory suffices, as they were read just before. With --checkout, a folder where `dvc repro` has run: Rank-1 and mAP of
its last round with the vectors in fewer bits, queries too.
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
from runs import peak_memory

from hcga.devices import choose_device
from hcga.prnet import new_card
from hcga.retrieval.stored import evaluate_retrieval
from hcga.samples import read_samples
from hcga.stage import PATH
from hcga.store_writing import write_store
from hcga.stores import array, open_store, read_all
from hcga.using.embedded import VECTORS, Dtype, Embedded, rounded
from hcga.using.index import open_index
from hcga.using.indexing import index_gallery
from hcga.using.model import Model
from hcga.using.search import rank_gallery
from hcga.using.store import MODEL, open_gallery, read_embedded, zarr_rows
from hcga.workspace import Workspace

CHANNELS, PARTS, HIDDEN, IMAGES_EACH, NOISE, SEEN = 256, 3, 32, 5, 0.7, 0.8
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
QUERIES, FIRST, CANDIDATES, BLOCK = 100, 10, (100, 300, 1000), 10_000


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for galleries and indexes.")
@click.option("--images", default=1_000_000, show_default=True)
@click.option("--checkout", type=PATH, help="Also measure the loss on its last round.")
def main(work: Path, images: int, checkout: Path | None) -> None:
    """Print a table by type of number."""
    if checkout:
        click.echo(f"{loss(checkout).round(2).to_string()}\n")
    tables: list[pd.DataFrame] = []
    for dtype in DTYPES:
        store, index = work / f"{images}-{dtype}.zarr", work / f"{images}-{dtype}.index.zarr"
        if not store.exists():
            apart(make_gallery, store, images, dtype)
        row: dict[str, Any] = {"GB": gigabytes(store)}
        for queries in (1, QUERIES):
            seconds, row[f"exact, {queries}: MB"] = apart(exactly, store, queries)
            row[f"exact, {queries}: s"] = seconds
        recall, row["to index: s"], row["to index: MB"] = apart(make_index, store, index)
        row["index: GB"] = gigabytes(index)
        for count in CANDIDATES:
            opened, each, row[f"{count}: MB"] = apart(quickly, store, index, count)
            row |= {
                "to open both: s": opened,
                f"{count}: ms a query": 1000 * each,
                f"{count}: recall": 100 * recall[count],
            }
        tables.append(pd.DataFrame(row, [dtype]))
        click.echo(f"{tables[-1].T.round(2).to_string()}\n")
    click.echo(pd.concat(tables).T.round(2).to_string())


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


def make_gallery(path: Path, images: int, dtype: Dtype) -> None:
    """Write embeddings, the same ones for all types of number."""
    model, rng = new_model(), np.random.default_rng(0)
    shown = rng.standard_normal((HIDDEN, (2 + PARTS) * CHANNELS), np.float32) / np.float32(np.sqrt(HIDDEN))
    about = {MODEL: model.digest, "folder": None}
    with zarr_rows(path, about, images, ["00000000.png"], model, dtype) as write:
        for start in range(0, images, BLOCK):
            rows = range(start, min(start + BLOCK, images))
            people = np.arange(len(rows)) // IMAGES_EACH
            vectors = rng.standard_normal((people[-1] + 1, HIDDEN), np.float32)[people] @ shown
            vectors += np.float32(NOISE) * rng.standard_normal(vectors.shape, np.float32)
            image, foreground, *parts = np.split(vectors, 2 + PARTS, axis=1)
            seen = (rng.random((len(rows), PARTS)) < SEEN).astype(np.float32)
            write([f"{row:08}.png" for row in rows], Embedded(image, foreground, np.stack(parts, 1), *[seen] * 3))


def exactly(path: Path, count: int) -> tuple[float, float]:
    """Seconds for some queries together, the store's opening included, and peak memory in MB."""
    model = new_model()
    asked = drawn(len(open_gallery(path, model).names), count)
    began = time.perf_counter()
    gallery = open_gallery(path, model)
    queries = read_embedded(gallery.store, asked)
    rank_gallery(queries, asked[:, None].tolist(), gallery, model.card.use.matching, FIRST)
    return time.perf_counter() - began, peak_memory()


def make_index(path: Path, target: Path) -> tuple[dict[int, float], float, float]:
    """Recall by number of candidates, seconds and peak memory in MB."""
    model = new_model()
    began = time.perf_counter()
    index = index_gallery(path, model, target)
    return index.recall, time.perf_counter() - began, peak_memory()


def quickly(path: Path, file: Path, count: int) -> tuple[float, float, float]:
    """Seconds to open gallery and index, for a query (median, one after another), and peak memory in MB."""
    model = new_model()
    began = time.perf_counter()
    gallery = open_gallery(path, model)
    index = open_index(file, gallery, model)
    opened = time.perf_counter() - began
    times = []
    for row in drawn(len(gallery.names), QUERIES):
        query = read_embedded(gallery.store, np.array([row]))
        began = time.perf_counter()
        rank_gallery(query, [[row]], gallery, model.card.use.matching, FIRST, index.candidates(query, count))
        times.append(time.perf_counter() - began)
    return opened, float(np.median(times)), peak_memory()


def drawn(images: int, count: int) -> np.ndarray:
    """Rows that are the queries."""
    return np.sort(np.random.default_rng(3).choice(images, count, replace=False))


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
            fewer = {name: rounded(arrays[name], dtype) for name in VECTORS}
            write_store(Path(folder) / "a.zarr", arrays | fewer, **dict(store.attrs))
            figures = evaluate_retrieval(
                open_store(Path(folder) / "a.zarr"), samples, workspace.params.evaluate
            ).figures
        rows[dtype] = {name: figures[name] for name in ("rank1", "rank5", "mAP")}
    return pd.DataFrame(rows).T


if __name__ == "__main__":
    main()
