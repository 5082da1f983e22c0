"""Matching and ranking at the size of Market-1501, from embeddings on disk to figures, beside the plain formulation.

    python benchmarks/evaluating.py --work /somewhere
    python benchmarks/evaluating.py --work /somewhere --queries 336 --gallery 159130 --no-others   ten times the gallery

Embeddings are random vectors of 256 numbers around a centre of each identity: foreground and three parts, matched by
Eq. 10. Plain is what toolboxes do: the whole matrix of similarities, a stable sort of each row, a loop over queries.
torchmetrics ranks the same matrix query by query, without what the protocol ignores, for mAP alone. Each way is a
process of its own; times include reading, but not the start of Python. They must agree in mAP.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pandas as pd
from runs import peak_memory

from hcga.params import Evaluate
from hcga.retrieval.similarity import similarity
from hcga.retrieval.stored import StoredEmbeddings, evaluate_retrieval
from hcga.runs.stage import PATH
from hcga.store_writing import write_store
from hcga.stores import open_store

IDENTITIES, CAMERAS, DISTRACTORS = 750, 6, 0.17
PARAMS = {
    "features": "F+P",
    "visibility": "any",
    "least_share": 0.02,
    "least_confidence": 0.75,
    "rerank": False,
    "multi_query": False,
}


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the embeddings.")
@click.option("--queries", default=3368, show_default=True)
@click.option("--gallery", default=15913, show_default=True)
@click.option("--others/--no-others", default=True, show_default=True, help="Also time plain and torchmetrics.")
def main(work: Path, queries: int, gallery: int, others: bool) -> None:
    """Print seconds, peak memory and mAP of each way."""
    store = work / f"embeddings-{queries}-{gallery}.zarr"
    if not store.exists():
        make_embeddings(store, queries, gallery)
    ways: dict[str, Callable[[Path, Evaluate], float]] = {"ours": match}
    if others:
        ways |= {"plain": match_plainly, "torchmetrics": match_by_torchmetrics}
    for variant in ("paper", "authors"):
        for name, way in ways.items():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, before, peak, mean_ap = pool.apply(measure, (way, store, variant))
            click.echo(
                f"{queries:,} x {gallery:,}, {variant}, {name}: {seconds:.2f} s, {peak:.0f} MB ({before:.0f} before), "
                f"mAP {mean_ap:.4f}"
            )


def measure(way: Callable[[Path, Evaluate], float], store: Path, variant: str) -> tuple[float, float, float, float]:
    """Seconds, memory in MB before and at the peak, and what the way gives."""
    before = peak_memory()
    began = time.perf_counter()
    mean_ap = way(store, Evaluate.model_validate({"similarity": variant, **PARAMS}))
    seconds = time.perf_counter() - began
    return seconds, before, peak_memory(), mean_ap


def match(store: Path, params: Evaluate) -> float:
    """As stage evaluate does, all figures and rankings."""
    return evaluate_retrieval(open_store(store), pd.read_csv(store.with_suffix(".csv")), params).figures["mAP"]


def match_plainly(store: Path, params: Evaluate) -> float:
    """The mean average precision alone, query by query."""
    values, hits, ignored = whole_matrices(store, params)
    order = np.argsort(-values, axis=1, kind="stable")
    found = []
    for row in range(len(values)):
        ranked = hits[row][order[row]][~ignored[row][order[row]]]
        if ranked.any():
            precision = ranked.cumsum() / (np.arange(len(ranked)) + 1)
            found.append((precision * ranked).sum() / ranked.sum())
    return 100 * float(np.mean(found))


def match_by_torchmetrics(store: Path, params: Evaluate) -> float:
    """The mean average precision alone, by a library for it."""
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    values, hits, ignored = whole_matrices(store, params)
    values = values - values.min() + 1  # it takes what is not above 0 for no hit
    rows = (torch.from_numpy(matrix) for matrix in (values, hits, ~ignored))
    found = [
        retrieval_average_precision(row[kept], hit[kept])
        for row, hit, kept in zip(*rows, strict=True)
        if (hit & kept).any()
    ]
    return 100 * float(torch.stack(found).mean())


def whole_matrices(store: Path, params: Evaluate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Similarities, hits, and what the protocol ignores: (queries, gallery) each."""
    samples = pd.read_csv(store.with_suffix(".csv"))
    query, gallery = (np.flatnonzero(samples["split"] == split) for split in ("query", "gallery"))
    pids, camids = samples["pid"].to_numpy(), samples["camid"].to_numpy()
    first, second = (StoredEmbeddings(open_store(store), rows, params).take(slice(None)) for rows in (query, gallery))
    values = similarity(first, second, params.features, params.similarity)
    hits = pids[gallery] == pids[query][:, None]
    return values, hits, hits & (camids[gallery] == camids[query][:, None])


def make_embeddings(store: Path, queries: int, gallery: int) -> None:
    """Write embeddings and the sample table beside them."""
    rng = np.random.default_rng(0)
    pids = np.concatenate([rng.integers(1, IDENTITIES + 1, queries), rng.integers(1, IDENTITIES + 1, gallery)])
    pids[queries:][rng.random(gallery) < DISTRACTORS] = 0
    centres = rng.normal(size=(IDENTITIES + 1, 4, 256)).astype(np.float32)
    vectors = centres[pids] + 3 * rng.normal(size=(len(pids), 4, 256)).astype(np.float32)
    visible = (rng.random((len(pids), 3)) < 0.8).astype(np.float32)
    arrays = {"image": vectors[:, 0], "foreground": vectors[:, 0], "parts": vectors[:, 1:]}
    write_store(store, {**arrays, **dict.fromkeys(("likely", "guided", "peak"), visible)}, parsing=True)
    splits = ["query"] * queries + ["gallery"] * gallery
    table = {"split": splits, "pid": pids, "camid": rng.integers(1, CAMERAS + 1, len(pids)), "dataset": "main"}
    names = [f"{number}.jpg" for number in range(len(pids))]
    pd.DataFrame({**table, "path": names}).to_csv(store.with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
