"""What a small run cannot tell of a large one, as it takes next to nothing there: measured at once, on this machine.

Letters: Q queries, G gallery images, D dimensions of a vector, P parts, I identities, B images of a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hcga.params import Evaluate
from hcga.retrieval.blocks import Labels
from hcga.retrieval.similarity import Embeddings, Similarities
from hcga.retrieval.stored import rank_all

QUERIES, GALLERY = 128, 32_768  # two blocks, and each is computed twice, as in all larger galleries
CLASSES = 20_000
TURNS = 3  # of which the quickest counts


def pair_seconds(channels: int, parts: int, matching: Evaluate) -> float:
    """Seconds that matching and ranking take for a query and a gallery image, of many."""
    rng = np.random.default_rng(0)
    query, gallery = (_people(rng, count, channels, parts) for count in (QUERIES, GALLERY))
    pids, cameras = np.arange(GALLERY) % 1000 + 1, np.arange(GALLERY) % 7 // 3
    who = Labels(pids[:QUERIES], pids, cameras[:QUERIES] + 5, cameras)

    def match() -> None:
        rank_all(Similarities(query, gallery, matching.features, matching.similarity), who)

    return _quickest(match) / (QUERIES * GALLERY)


def _people(rng: np.random.Generator, count: int, channels: int, parts: int) -> Embeddings:
    vectors = rng.normal(size=(count, parts + 2, channels)).astype(np.float32)
    seen = (rng.random((count, parts)) < 0.8).astype(np.float32)
    return Embeddings(vectors[:, 0], vectors[:, 1], vectors[:, 2:], seen)


def identity_seconds(width: int, batch: int, device: torch.device, threads: int) -> float:
    """Seconds that the classifiers of one more identity add to a training step.

    Parameters
    ----------
    width : int
        Dimensions of all features that are classified, together.
    batch : int
        B.
    device : torch.device
    threads : int
        Of the training, on processor cores.
    """
    classifier = nn.Linear(width, CLASSES, bias=False, device=device)
    optimiser = torch.optim.Adam(classifier.parameters())
    features = torch.zeros(batch, width, device=device)
    targets = torch.zeros(batch, dtype=torch.int64, device=device)

    def step() -> None:
        optimiser.zero_grad()
        functional.cross_entropy(classifier(features), targets).backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _quickest(step) / CLASSES
    finally:
        torch.set_num_threads(before)


def _quickest(work: Callable[[], object]) -> float:
    work()  # the first one prepares
    times = []
    for _ in range(TURNS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
