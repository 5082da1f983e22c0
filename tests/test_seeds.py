"""Seeds are derived, not shared: no two random choices of a run draw from the same stream."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, TINY_SET

from hcga.coparsing.identity import seeded_decoder
from hcga.coparsing.isp import cluster_identity
from hcga.datasets.check import HOLD_OUT_SEED
from hcga.datasets.synthetic import synthesise
from hcga.held_out import hold_out
from hcga.params import Params
from hcga.training import loop
from hcga.training.batches import TrainingSet

SOURCES = {"default_rng", "SeedSequence", "manual_seed", "RandomState", "Generator", "seed"}
# Calls that begin a stream. All else takes a generator from outside. Who adds one draws from it in the test below, too.
PLACES = {
    "coparsing/identity.py": 3,  # weights of decoders, by (seed, epoch, pid)
    "coparsing/isp.py": 1,  # centres of k-means, by (seed, epoch, pid, which)
    "datasets/occlusion.py": 1,  # of `hcga data occlude`, which is no stage: by (its own seed, path)
    "datasets/synthetic/fabric.py": 1,  # a texture that is always the same
    "datasets/synthetic/seeds.py": 1,  # all else of the synthetic people, by (their seed, role, ...)
    "planning/rates.py": 1,  # vectors to time, always the same
    "retrieval/open_set.py": 1,  # watch lists, the same for all models
    "using/calibrating.py": 1,  # folds of people, always the same
    "using/index.py": 1,  # vectors that the ranges of an index are learnt from, always the same
    "using/indexing.py": 1,  # queries that measure its recall, always the same
    "using/deployed.py": 1,  # noise to try a file on, always the same
    "network/initialisation.py": 1,  # weights, by the seed itself
    "held_out.py": 1,  # identities held out, the same for all seeds
    "training/loop.py": 4,  # batches, augmentation, dropout: by (seed, what for, epoch, batch)
}
EPOCHS, PIDS = range(4), range(12)
# Kind of generator and state at its beginning, to what drew from it and by which numbers. Other kinds give other
# numbers: PyTorch's and scikit-learn's are given one that was drawn for them, numpy's all of the state.
Streams = dict[tuple[str, bytes], set[tuple[str, str]]]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Give the streams that are begun from now on."""
    found: Streams = defaultdict(set)
    default_rng, sequence = np.random.default_rng, np.random.SeedSequence

    def begun(kind: str, of: Any, key: Any) -> Any:
        if not isinstance(key, np.random.Generator):  # of which one may be made again, as SciPy does
            found[kind, sequence(key).generate_state(4).tobytes()].add((found_by[-1], str(key)))
        return of(key)

    monkeypatch.setattr(np.random, "default_rng", lambda key: begun("numpy", default_rng, key))
    monkeypatch.setattr(np.random, "SeedSequence", lambda key: begun("others", sequence, key))
    return found


found_by = ["nobody"]


@contextmanager
def drawing(what: str) -> Iterator[None]:
    found_by.append(what)
    yield
    found_by.pop()


def train_without_network(params: Params, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw what training draws: batches, augmentation, and the seed of each step."""
    monkeypatch.setattr(loop, "training_step", lambda *_: torch.zeros(6))
    monkeypatch.setattr(loop, "set_learning_rate", lambda *_: None)
    network: Any = SimpleNamespace(mean=torch.zeros(3), train=lambda: None)
    images = np.zeros((24, 48, 32, 3), np.uint8)
    samples = pd.DataFrame({"split": "train", "pid": list(np.repeat(PIDS, 2))})
    data = TrainingSet(images, np.zeros((24, 12, 8), np.uint8), samples, parsing=True)
    batches = params.train.model_copy(update={"identities": 1, "images": 2})
    loop.train(network, network, data, batches, None, EPOCHS, seed)


def test_streams_begin_at_the_places_that_are_known() -> None:
    found: dict[str, int] = defaultdict(int)
    for path in [*(ROOT / "hcga").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SOURCES:
                found[path.relative_to(ROOT).as_posix().removeprefix("hcga/")] += 1
    assert dict(found) == PLACES


@pytest.mark.parametrize("source", ["hcnet", "isp"])
@pytest.mark.parametrize("seed", [HOLD_OUT_SEED, TINY_SET["seed"]])
def test_no_two_choices_of_a_run_draw_from_one_stream(
    streams: Streams, tmp_path: Path, default_params: Params, monkeypatch: pytest.MonkeyPatch, seed: int, source: str
) -> None:
    """Not even where the synthetic people have the seed of the method."""
    with drawing("people"):
        synthesise(tmp_path / "set", **TINY_SET | {"seed": seed, "train_identities": 2, "test_identities": 1})
    with drawing("held out"):
        rows = [("train", pid, camera, 1, f"{pid}_{camera}_{n}") for pid in PIDS for camera in (1, 2) for n in (1, 2)]
        people = pd.DataFrame(rows, columns=["split", "pid", "camid", "frame", "path"])
        hold_out(people.assign(dataset="main", sequence=1), 0.3, HOLD_OUT_SEED)
    with drawing("training"):
        train_without_network(default_params, seed, monkeypatch)
    with drawing("co-parsing"):
        keys = [(seed, epoch, pid) for epoch in EPOCHS for pid in PIDS]
        if source == "hcnet":
            seeded_decoder(4, default_params.coparse, keys)
        else:
            features = np.random.Generator(np.random.PCG64(1)).random((1, 4, 4, 4)).astype(np.float32)
            for key in keys:
                cluster_identity(features, 3, key)
    assert {what for by in streams.values() for what, _ in by} == {"people", "held out", "training", "co-parsing"}
    assert len(streams) > len(EPOCHS) * len(PIDS) * 3
    texture = ("people", "0")  # what fabrics are made of is drawn once for all sets, and no choice
    assert [by for by in streams.values() if len(by - {texture}) > 1] == []
