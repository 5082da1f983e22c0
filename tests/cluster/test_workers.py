"""Co-parsing, extraction and embedding on the workers of a Dask scheduler: the bytes of a run here, or words."""

import os
import pickle
import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import tasks
import torch
import zarr
from conftest import ROOT
from distributed import LocalCluster
from machines import Machines
from s3 import ACCESS, BUCKET, s3_server
from threadpoolctl import threadpool_limits
from waiting import until

from hcga.cluster import workers as module
from hcga.cluster.connection import connected
from hcga.cluster.kind import configure_worker
from hcga.cluster.workers import Workers
from hcga.coparsing.identity import Labelling, label_identity
from hcga.coparsing.inputs import Input
from hcga.coparsing.memory import hcnet_bytes
from hcga.coparsing.pool import map_identities
from hcga.errors import InputError
from hcga.files import content_digest
from hcga.network import inference
from hcga.network.checkpoints import load_model, save_model
from hcga.network.forward import Remote, environment_of, placed
from hcga.network.inference import embed, extract
from hcga.network.prnet import PRNet, new_card
from hcga.params import Dask, Params
from hcga.store_writing import write_store
from hcga.stores import open_store

CARD = new_card("mobilenetv3_small_050", 8, True, 4, 5, (64, 32))
COUNT = 9
PATIENCE = 300  # seconds, for workers of a busy machine
IDENTITIES = {3: np.array([1, 4]), 9: np.array([0, 2, 5, 8]), 12: np.array([3]), 40: np.array([6, 7, 9])}
CAMIDS = np.array([1, 1, 1, 4, 2, 2, 1, 1, 2, 3])


@pytest.fixture(autouse=True)
def limits() -> Iterator[None]:
    """Compute on one thread, as the workers do, and leave the limits of this process as they were."""
    threads = torch.get_num_threads()
    configure_worker.cache_clear()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Input:
    """Features of ten images."""
    path = tmp_path_factory.mktemp("cluster") / "features.zarr"
    values = np.random.default_rng(0).normal(size=(10, 5, 8, 8)).astype(np.float16)
    write_store(path, {"features": values})
    return Input(path, "features")


@pytest.fixture(scope="module")
def label(default_params: Params) -> Any:
    params = default_params.coparse.model_copy(update={"iterations": 4, "min_labels": 2})
    return partial(label_identity, params=params, seed=(5, 2))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(PRNet(CARD), CARD, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> zarr.Group:
    """Give nine images in batches of two, the last of one; shards are of two batches."""
    monkeypatch.setattr(inference, "BATCH", 2)
    monkeypatch.setattr(inference, "BATCHES", 2)
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, CARD.height, CARD.width, 3), np.uint8)
    write_store(tmp_path / "images.zarr", {"images": pixels}, image_set="these")
    return open_store(tmp_path / "images.zarr")


def at(address: str, share: str | None = None) -> Dask:
    return Dask(scheduler=address, cluster=None, share=share, stages=["extract", "coparse", "embed"])


@contextmanager
def inside(share: str | None = None, workers: int = 2) -> Iterator[Dask]:
    """Params of a scheduler and workers that are threads of this process: quick, but nothing to kill."""
    options = {"processes": False, "protocol": "tcp", "dashboard_address": None, "threads_per_worker": 1}
    with LocalCluster(n_workers=workers, **options) as cluster:
        yield at(cluster.scheduler_address, share)


def on(cluster: Workers | None, work: Any, source: Input) -> dict[int, Any]:
    return dict(map_identities(work, source, IDENTITIES, CAMIDS, 1, hcnet_bytes, cluster))


class Counting:
    """Workers that only look at what they would be sent."""

    def __init__(self) -> None:
        self.largest = 0

    def share(self, path: Path) -> Path:
        return path

    def map(self, function: Any, tasks: dict[int, Any], *_: Any, **__: Any) -> Iterator[tuple[int, Any]]:
        self.largest = max(len(pickle.dumps((function, *arguments))) for arguments in tasks.values())
        yield from ()


def test_a_task_carries_its_own_images_alone(features: Input, label: Any) -> None:
    cluster, camids = Counting(), np.zeros(10**6, np.int64)
    list(map_identities(label, features, IDENTITIES, camids, 1, hcnet_bytes, cluster))  # type: ignore[arg-type]
    assert 0 < cluster.largest < 10_000


def assert_equal(found: dict[int, Labelling], expected: dict[int, Labelling]) -> None:
    assert found.keys() == expected.keys()
    for pid, labelling in expected.items():
        assert found[pid].labels.tobytes() == labelling.labels.tobytes()
        assert found[pid][1:] == labelling[1:]


@pytest.mark.parametrize("copied", [False, True])
def test_features_and_embeddings_have_the_bytes_of_a_run_here(
    tmp_path: Path, model: Path, images: zarr.Group, copied: bool
) -> None:
    """Where workers see the files, and where they read copies at a URL."""

    def write(params: Dask | None, folder: Path) -> str:
        with placed(model, "cpu", 1, params) as (network, card):
            assert isinstance(network, Remote) == (params is not None)
            assert environment_of(network).threads == 1
            extract(network, card, images, COUNT, folder / "features.zarr")
            embed(network, card, images, 4.0, folder / "embeddings.zarr", binary=None)
        return content_digest(folder)

    with inside(f"file://{tmp_path}/copies" if copied else None) as params:
        assert write(params, tmp_path / "there") == write(None, tmp_path / "here")
    copies = {path.name for path in tmp_path.glob("copies/*/*")}
    assert copies == ({"images.zarr", "model.safetensors", "whole"} if copied else set())


@pytest.mark.slow
def test_workers_read_copies_in_an_s3_store(
    tmp_path: Path, model: Path, images: zarr.Group, features: Input, label: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that are processes of their own; a store of features and one of images, the file of a network."""
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    network, card = load_model(model)
    extract(network, card, images, COUNT, tmp_path / "here.zarr")
    with s3_server() as url, Machines(tmp_path) as machines:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        for _ in range(2):
            machines.add_worker()
        with placed(model, "cpu", 1, at(machines.address, f"s3://{BUCKET}/folder")) as (remote, _):
            extract(remote, card, images, COUNT, tmp_path / "there.zarr")
            assert isinstance(remote, Remote)
            assert_equal(on(remote.workers, label, features), on(None, label, features))
    assert content_digest(tmp_path / "there.zarr") == content_digest(tmp_path / "here.zarr")


def test_what_is_not_finite_is_refused_on_a_worker(tmp_path: Path, images: zarr.Group) -> None:
    network = PRNet(CARD)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    save_model(network, CARD, tmp_path / "model.safetensors")
    with (
        inside() as params,
        placed(tmp_path / "model.safetensors", "cpu", 1, params) as (remote, card),
        pytest.raises(FloatingPointError, match=r"f\.zarr: features of the images after row 0 are not finite"),
    ):
        extract(remote, card, images, COUNT, tmp_path / "f.zarr")


def test_an_extraction_that_was_cut_here_goes_on_on_workers(
    tmp_path: Path, model: Path, images: zarr.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the second shard; the first is not computed again."""
    network, card = load_model(model)
    extract(network, card, images, COUNT, tmp_path / "whole.zarr")
    maps, calls = PRNet.maps, [0]

    def dies(self: PRNet, batch: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 4:
            raise KeyboardInterrupt
        return maps(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(PRNet, "maps", dies)
        with pytest.raises(KeyboardInterrupt):
            extract(network, card, images, COUNT, tmp_path / "cut.zarr", "key")
    asked: list[int] = []
    run_all = Workers.map
    monkeypatch.setattr(
        Workers,
        "map",
        lambda self, function, todo, *rest, **more: asked.extend(todo) or run_all(self, function, todo, *rest, **more),
    )
    with inside() as params, placed(model, "cpu", 1, params) as (remote, card):
        extract(remote, card, images, COUNT, tmp_path / "cut.zarr", "key")
    assert asked == [4, 6, 8]
    assert content_digest(tmp_path / "cut.zarr") == content_digest(tmp_path / "whole.zarr")


def test_few_tasks_are_under_way_and_all_are_done(tmp_path: Path) -> None:
    """Two for each of two workers, and the results in order; else the parent would hold all of them."""
    begun = tmp_path / "begun"
    begun.mkdir()
    with inside() as params, connected(params, "cpu", 1) as cluster:
        assert cluster
        found = cluster.map(tasks.note, {key: (begun, key) for key in range(20)}, "task", 2, in_order=True)
        for done, (key, result) in enumerate(found, 1):
            assert key == result == done - 1
            assert len(list(begun.iterdir())) <= done + 4
    assert done == 20


def test_workers_of_several_tasks_at_a_time_are_refused() -> None:
    """They would share PyTorch's threads."""
    with (
        LocalCluster(n_workers=1, processes=False, protocol="tcp", dashboard_address=None, threads_per_worker=2) as two,
        pytest.raises(
            InputError, match=r"Dask worker tcp://\S+ runs 2 tasks at a time; start workers with --nthreads 1"
        ),
        connected(at(two.scheduler_address), "cpu", 1),
    ):
        pass


def test_workers_that_do_not_answer_are_waited_for_with_words(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT", 0.2)
    monkeypatch.setattr(module, "configure_worker", tasks.configure_late)
    with inside() as params, connected(params, "cpu", 1) as cluster:
        assert cluster
    assert any("2 workers, of which none answers; they may be busy with" in message for message in caplog.messages)


def test_a_device_that_workers_lack_is_named() -> None:
    with (
        inside() as params,
        pytest.raises(InputError, match="device: mps is not available"),
        connected(params, "mps", 1),
    ):
        pass


def test_no_scheduler_is_an_error_that_names_the_address() -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(
            InputError, match=r"dask\.scheduler: no scheduler answers at tcp://127\.0\.0\.1:9 .*set dask to null"
        ),
        connected(at("tcp://127.0.0.1:9"), "cpu", 1),
    ):
        pass


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    folder = tmp_path / "machines"
    folder.mkdir()
    with Machines(folder) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_labels_have_the_bytes_of_a_run_here(machines: Machines, features: Input, label: Any, workers: int) -> None:
    for _ in range(workers):
        machines.add_worker()
    with connected(at(machines.address), "cpu", 1) as cluster:
        assert_equal(on(cluster, label, features), on(None, label, features))
        assert all(set(found) == {1} for found in on(cluster, tasks.count_threads, features).values())
        with pytest.raises(OSError, match=r"identity \d+"):
            on(cluster, tasks.refuse, features)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["coparse", "extract", "embed"])
def test_workers_killed_at_work_change_nothing(
    machines: Machines,
    features: Input,
    label: Any,
    model: Path,
    images: zarr.Group,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    """One with its first task, another when it has done one and begun the next; the third does the rest."""

    def compute(params: Dask | None, path: Path) -> object:
        if stage == "coparse":
            with connected(params, "cpu", 1) as cluster:
                return {
                    pid: (found.labels.tobytes(), *found[1:]) for pid, found in on(cluster, label, features).items()
                }
        with placed(model, "cpu", 1, params) as (network, card):
            if stage == "extract":
                extract(network, card, images, COUNT, path)
            else:
                embed(network, card, images, 4.0, path)
        return content_digest(path)

    notes, killed, tasks_of, run_all = tmp_path / "notes", list[int](), list[int](), Workers.map
    notes.mkdir()

    def begun() -> Counter[int]:
        return Counter(int(note.name.partition("-")[0]) for note in notes.glob("*-*"))

    def kill(victim: int) -> None:
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    def kill_two() -> None:
        try:
            until(lambda: len(begun()) == 3, PATIENCE)
            kill(min(begun()))
            (notes / "once").touch()
            until(lambda: max(begun().values()) == 2, PATIENCE)
            kill(begun().most_common(1)[0][0])
        finally:
            (notes / "open").touch()

    def map_at_gate(self: Workers, function: Any, todo: Any, *rest: Any, **more: Any) -> Any:
        until(lambda: self._count() == 3, PATIENCE)
        tasks_of.append(len(todo))
        killer.start()
        return run_all(self, partial(tasks.at_gate, function, notes), todo, *rest, **more)

    alone = compute(None, tmp_path / "here.zarr")
    for _ in range(3):
        machines.add_worker()
    monkeypatch.setattr(Workers, "map", map_at_gate)
    killer = threading.Thread(target=kill_two)
    assert compute(at(machines.address), tmp_path / "there.zarr") == alone
    killer.join()
    assert len(killed) == 2
    assert sum(begun().values()) >= tasks_of[0] + 2, "those with which they were killed were begun again"


@pytest.mark.slow
def test_an_identity_with_which_workers_die_is_named(machines: Machines, features: Input, tmp_path: Path) -> None:
    for _ in range(2):
        machines.add_worker("--nanny")
    work = partial(tasks.die_with, 9, tmp_path / "machines")
    told = "identity 9: Dask has lost 4 workers with it, most likely for want of memory; what is done is kept"
    with connected(at(machines.address), "cpu", 1) as cluster, pytest.raises(InputError, match=told):
        on(cluster, work, features)


@pytest.mark.slow
def test_a_lost_scheduler_is_named_and_no_worker_is_waited_for(
    machines: Machines, features: Input, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT", 0.5)
    worker = machines.add_worker()
    with connected(at(machines.address), "cpu", 1) as cluster:
        threading.Timer(1, worker.kill).start()
        threading.Timer(4, machines.scheduler.kill).start()
        with pytest.raises(InputError, match=rf"dask\.scheduler: {machines.address} was lost .* run `dvc repro` again"):
            on(cluster, tasks.wait_long, features)
    assert f"{machines.address} has no worker; waiting for one" in caplog.messages


@pytest.mark.slow
def test_a_worker_with_other_code_is_refused(machines: Machines, tmp_path: Path) -> None:
    """The first one when it is asked, a later one with its first task."""
    shutil.copytree(ROOT / "hcga", tmp_path / "other/hcga")
    with (tmp_path / "other/hcga/errors.py").open("a") as file:
        file.write("# another\n")
    other = machines.add_worker(PYTHONPATH=f"{tmp_path}/other:{Path(tasks.__file__).parent}")
    told = r"Dask worker\S* ?\S*: code is \w+ there and \w+ {}\. It would compute other bytes"
    with pytest.raises(InputError, match=told.format("here")), connected(at(machines.address), "cpu", 1):
        pass
    other.kill()
    other.wait()
    machines.add_worker()
    with connected(at(machines.address), "cpu", 1) as cluster:
        machines.add_worker(PYTHONPATH=f"{tmp_path}/other:{Path(tasks.__file__).parent}")
        assert cluster
        until(lambda: cluster._count() == 2)
        many = {key: (tmp_path, key) for key in range(40)}
        with pytest.raises(InputError, match=told.format("on another worker")):
            list(cluster.map(tasks.note, many, "task", 1, in_order=False))


@pytest.mark.slow
def test_a_scheduler_without_this_package_is_said_to_lack_it(tmp_path: Path) -> None:
    without = tmp_path / "without"
    (without / "hcga").mkdir(parents=True)
    (without / "hcga/__init__.py").touch()
    # An editable installation, as of this checkout, finds the rest of the package nevertheless.
    (without / "sitecustomize.py").write_text(
        "import sys\nsys.meta_path = [each for each in sys.meta_path if 'editable' not in repr(each).lower()]\n"
    )
    bare = {"PYTHONPATH": str(without)}
    with Machines(tmp_path, **bare) as machines:
        machines.add_worker()
        with (
            pytest.raises(
                InputError, match=re.escape(machines.address) + ": .* cannot import this package .*hcga.cluster"
            ),
            connected(at(machines.address), "cpu", 1),
        ):
            pass
