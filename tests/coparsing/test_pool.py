"""The pool of processes and the batches of a GPU: they change no label and hide no error."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from threadpoolctl import threadpool_info
from waiting import until

from hcga.coparsing import batches, pool
from hcga.coparsing.batches import identities_at_once, label_in_batches
from hcga.coparsing.identity import label_identity, label_together
from hcga.coparsing.inputs import Input
from hcga.coparsing.labels import reassign_labels
from hcga.coparsing.memory import hcnet_bytes
from hcga.coparsing.pool import map_identities
from hcga.cores import available_cores
from hcga.errors import InputError
from hcga.runs.stopping import Stopped, stopping_at_once
from hcga.store_writing import write_store

SEED = (5, 2)
# Rows of different numbers, shuffled among each other; no order by size is that of pids or of rows.
IDENTITIES = {3: np.array([1, 4]), 9: np.array([0, 2, 5, 8]), 12: np.array([3]), 40: np.array([6, 7, 9])}
CAMIDS = np.array([1, 1, 1, 4, 2, 2, 1, 1, 2, 3])


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Path of a store with the features of ten images."""
    path = tmp_path_factory.mktemp("pool") / "features.zarr"
    values = np.random.default_rng(0).normal(size=(10, 5, 8, 8)).astype(np.float16)
    write_store(path, {"features": values}, epoch=2)
    return path, values


@pytest.fixture(scope="module")
def params(default_params):
    return default_params.coparse.model_copy(update={"iterations": 4, "min_labels": 2, "pairs": "camera"})


def label_identities(path, identities, camids, params, seed, name="features"):
    """HCNet in the pool."""
    work = partial(label_identity, params=params, seed=seed)
    return map_identities(work, Input(path, name), identities, camids, params.workers, hcnet_bytes)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_identity_gets_the_labels_it_gets_alone(workers, features, params):
    """So neither the number of workers nor their order changes a byte."""
    path, values = features
    settings = params.model_copy(update={"workers": workers})
    found = dict(label_identities(path, IDENTITIES, CAMIDS, settings, SEED))
    assert sorted(found) == sorted(IDENTITIES)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for pid, rows in IDENTITIES.items():
            (alone,) = label_together(values[rows][None], CAMIDS[rows][None], params, [(*SEED, pid)])
            assert found[pid].labels.tobytes() == alone.labels.tobytes()
            assert found[pid][1:] == alone[1:]
    finally:
        torch.set_num_threads(threads)
    # Identity 12 has the features of one image; with another pid's seed it would have other labels.
    assert len({found[pid].labels[0].tobytes() for pid in IDENTITIES}) == len(IDENTITIES)


def count_threads(*_):
    """How many threads PyTorch and the libraries of linear algebra may use."""
    return torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())


def test_a_worker_computes_on_one_thread(features):
    for _, found in map_identities(count_threads, Input(features[0], "features"), IDENTITIES, CAMIDS, 1, hcnet_bytes):
        assert set(found) == {1}


def test_error_of_a_worker_surfaces(features, params):
    settings = params.model_copy(update={"workers": 1})
    beyond = {3: np.array([1, 4]), 9: np.array([9, 11])}
    camids = np.ones(12, np.int64)
    with pytest.raises(InputError, match="has 10 rows and no row 11"):
        list(label_identities(features[0], beyond, camids, settings, SEED))


def test_an_identity_whose_worker_is_killed_again_is_named(features):
    found = map_identities(partial(die_at, 9), Input(features[0], "features"), IDENTITIES, CAMIDS, 2, hcnet_bytes)
    told = r"identity 9 \(4 images\): its co-parsing worker was killed 2 times, though it was the only one; most likely"
    with pytest.raises(InputError, match=told):
        list(found)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_identity_whose_worker_was_killed_is_tried_again(features, workers, tmp_path, caplog):
    work = partial(die_once, tmp_path)
    found = list(map_identities(work, Input(features[0], "features"), IDENTITIES, CAMIDS, workers, hcnet_bytes))
    assert sorted(found) == [(pid, len(rows)) for pid, rows in IDENTITIES.items()]
    assert {file.name for file in tmp_path.iterdir()} == {"9", "12"}, "both have died"
    tried = " ".join(caplog.messages)
    assert "perhaps that of identity 9: it is tried again, alone" in tried
    assert "perhaps that of identity 12: it is tried again, alone" in tried


def test_a_worker_that_is_killed_before_it_begins_is_an_error(features, monkeypatch):
    monkeypatch.setattr(pool, "_do", end)
    with pytest.raises(InputError, match="a co-parsing worker was killed 2 times before it began; most likely for"):
        list(map_identities(count_threads, Input(features[0], "features"), IDENTITIES, CAMIDS, 2, hcnet_bytes))


def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_when_its_result_is_on_the_way_is_tried_again(features, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_do", partial(die_after, tmp_path / "dead"))
    found = map_identities(partial(die_at, None), Input(features[0], "features"), IDENTITIES, CAMIDS, 1, hcnet_bytes)
    assert sorted(found) == [(pid, len(rows)) for pid, rows in IDENTITIES.items()]
    assert (tmp_path / "dead").exists()


def die_after(dead, pid, rows, camids):
    """The first result is never sent."""
    result = pool._do(pid, rows, camids)
    if not dead.exists():
        dead.touch()
        end()
    return result


def die_at(whom, pid, camids, values):
    if pid == whom:
        end()
    return len(camids)


def die_once(folder, pid, camids, values):
    """Identities 9 and 12 die when they are tried for the first time."""
    if pid in (9, 12) and not (folder / str(pid)).exists():
        (folder / str(pid)).touch()
        end()
    return len(camids)


def interrupt(pid, camids, values):
    """As Ctrl-C does with all processes of a terminal."""
    os.kill(os.getppid(), signal.SIGINT)  # that from which workers fork
    os.kill(os.getpid(), signal.SIGINT)
    return len(camids)


def test_ctrl_c_is_for_the_parent_alone(features):
    found = dict(map_identities(interrupt, Input(features[0], "features"), IDENTITIES, CAMIDS, 2, hcnet_bytes))
    assert found == {pid: len(rows) for pid, rows in IDENTITIES.items()}


def wait(*_):
    time.sleep(600)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_at_once_with_a_parent_that_is_killed_or_asked_to_stop(features, number):
    """Its session is its own, so that whoever of it is left can be found."""
    code = (
        "import sys; sys.path += sys.argv[2:]; from pathlib import Path; import numpy as np; import test_pool\n"
        "from hcga.coparsing.inputs import Input; from hcga.coparsing.pool import map_identities\n"
        "from hcga.runs.stopping import stopping_at_once\n"
        "print(flush=True)\n"
        "source, few = Input(Path(sys.argv[1]), 'features'), {3: np.array([1, 4])}\n"
        "camids, of_image = test_pool.CAMIDS, test_pool.hcnet_bytes\n"
        "with stopping_at_once(): list(map_identities(test_pool.wait, source, few, camids, 1, of_image))"
    )
    folders = [str(features[0]), str(Path(__file__).parent), str(ROOT / "tests")]
    parent = subprocess.Popen([sys.executable, "-c", code, *folders], start_new_session=True, stdout=subprocess.PIPE)

    def left():
        states = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has just ended
                states.append(path.read_text().rpartition(")")[2].split())
        return [state for state in states if int(state[3]) == parent.pid and state[0] != "Z"]

    try:
        parent.stdout.readline()
        until(lambda: len(left()) >= 4)  # itself, the two helpers of multiprocessing, and the worker
        parent.send_signal(number)
        assert parent.wait(60) in (-signal.SIGKILL, 128 + signal.SIGTERM)
        until(lambda: not left())
    finally:
        for which in left():
            os.killpg(int(which[2]), signal.SIGKILL)


@pytest.mark.parametrize("memory", [0, 10**9])
def test_batches_label_each_identity_as_the_pool_does(memory, features, params):
    """On the processor here: what differs on a GPU is the order of sums."""
    many = {pid: np.array(rows) for pid, rows in {2: [0, 1], 3: [1, 4], 9: [0, 2, 5, 8], 12: [3], 21: [7, 6]}.items()}
    pooled = dict(label_identities(features[0], many, CAMIDS, params.model_copy(update={"workers": 1}), SEED))
    found = dict(
        label_in_batches(Input(features[0], "features"), many, CAMIDS, params, SEED, [torch.device("cpu")], memory)
    )
    assert sorted(found) == sorted(many)
    for pid, labelling in found.items():
        assert labelling[1:] == pooled[pid][1:]
        assert np.mean(labelling.labels == pooled[pid].labels) > 0.99
        masks, expected = (reassign_labels(found.labels, 4) for found in (labelling, pooled[pid]))
        assert np.mean(masks == expected) > 0.99


@pytest.mark.parametrize("done", [{2}, {3, 21}, {2, 3, 21}, {2, 3, 9, 12}])
def test_a_batch_is_the_same_after_some_of_it_are_done(done, features, params, monkeypatch):
    """2, 3 and 21 have two images each and are one batch."""
    many = {pid: np.array(rows) for pid, rows in {2: [0, 1], 3: [1, 4], 9: [0, 2, 5, 8], 12: [3], 21: [7, 6]}.items()}
    computed = []

    def label(values, camids, params, seeds, device, given_up):
        computed.append([seed[-1] for seed in seeds])
        return label_together(values, camids, params, seeds, device)

    monkeypatch.setattr(batches, "label_together", label)
    arguments = (Input(features[0], "features"), many, CAMIDS, params, SEED, [torch.device("cpu")], 10**9)
    whole = dict(label_in_batches(*arguments))
    assert computed == [[9], [2, 3, 21], [12]]
    computed.clear()
    found = dict(label_in_batches(*arguments, done))
    assert computed == [pids for pids in ([9], [2, 3, 21], [12]) if set(pids) - done]
    assert found.keys() == many.keys() - done
    assert all(np.array_equal(found[pid].labels, whole[pid].labels) for pid in found)


def test_several_devices_label_as_one_does(features, params, monkeypatch):
    """Each is at work on one batch at a time."""
    cpu, meta = torch.device("cpu"), torch.device("meta")
    lock, at_work, most, used = threading.Lock(), Counter(), Counter(), set()
    both = threading.Barrier(2, timeout=60)

    def label(values, camids, params, seeds, device, given_up):
        with lock:
            at_work[device] += 1
            most[device] = max(most[device], at_work[device])
        if len(used) < 2:
            used.add(device)
            both.wait()
        found = label_together(values, camids, params, seeds)
        with lock:
            at_work[device] -= 1
        return found

    source = Input(features[0], "features")
    expected = dict(label_in_batches(source, IDENTITIES, CAMIDS, params, SEED, [cpu], 0))
    monkeypatch.setattr(batches, "label_together", label)
    found = dict(label_in_batches(source, IDENTITIES, CAMIDS, params, SEED, [cpu, meta], 0))
    assert most == {cpu: 1, meta: 1}
    assert sorted(found) == sorted(expected)
    for pid, labelling in found.items():
        np.testing.assert_array_equal(labelling.labels, expected[pid].labels)


def test_batches_at_work_are_given_up_when_the_rest_is_not_wanted(features, params, monkeypatch):
    """As when somebody asks the stage to stop, in seconds and not after the longest batch."""
    endless, ended = params.model_copy(update={"iterations": 10**9, "min_labels": 0}), []

    def label(values, camids, params, seeds, device, given_up):
        if device.type == "cpu":
            return label_together(values, camids, params, seeds)
        try:
            return label_together(values, camids, endless, seeds, "cpu", given_up)
        except CancelledError:
            ended.append(device)
            raise

    monkeypatch.setattr(batches, "label_together", label)
    devices = [torch.device("cpu"), torch.device("meta")]
    found = label_in_batches(Input(features[0], "features"), IDENTITIES, CAMIDS, params, SEED, devices, 0)
    next(found)
    found.close()
    assert ended == devices[1:]


@pytest.mark.parametrize(("free", "told"), [((40, 41), None), ((40, 39), "cuda:1: 0 MB are free")])
def test_batches_do_not_depend_on_what_is_free(free, told, monkeypatch):
    """Half of the smaller device of 80 and 90 bytes."""
    devices = [torch.device("cuda", number) for number in (0, 1)]
    states = dict(zip(devices, zip(free, (80, 90), strict=True), strict=True))
    monkeypatch.setattr(torch.cuda, "mem_get_info", states.__getitem__)
    if told is None:
        assert batches.memory_of_batches(devices) == 40
        return
    with pytest.raises(InputError, match=told):
        batches.memory_of_batches(devices)


def test_an_error_on_one_device_surfaces_and_the_rest_is_given_up(features, params, monkeypatch):
    begun = []

    def fail(values, camids, params, seeds, device, given_up):
        begun.append(seeds[0][-1])
        time.sleep(len(begun) - 1)  # time to give up the rest
        raise FloatingPointError("diverged")

    monkeypatch.setattr(batches, "label_together", fail)
    with pytest.raises(FloatingPointError, match="diverged"):
        list(label_in_batches(Input(features[0], "features"), IDENTITIES, CAMIDS, params, SEED, ["a"], 0))
    assert begun[0] == 9, "the one with most images"
    assert len(begun) < len(IDENTITIES)


def test_a_batch_fills_the_memory_and_holds_one_identity_at_least():
    of_one = identities_at_once(22, (256, 64, 32), 10**10)
    assert identities_at_once(44, (256, 64, 32), 2 * 10**10) == of_one > 20
    assert identities_at_once(22, (256, 64, 32), 0) == 1


def test_one_worker_a_core_at_least():
    assert available_cores() >= 1


def test_the_largest_identities_are_started_first(features, params, monkeypatch):
    started = []

    class Pool:
        def __init__(self, workers, context, start, arguments):
            start(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def submit(self, task, pid, rows, camids):
            started.append(len(rows))
            future = Future()
            future.set_result(task(pid, rows, camids))
            return future

    threads = torch.get_num_threads()
    monkeypatch.setattr(pool, "ProcessPoolExecutor", Pool)
    try:
        found = dict(label_identities(features[0], IDENTITIES, CAMIDS, params, SEED))
        assert torch.get_num_threads() == 1  # of a worker
    finally:
        torch.set_num_threads(threads)
    assert started == [4, 3, 2, 1]
    assert set(found) == set(IDENTITIES)


@pytest.mark.parametrize("batched", [False, True])
def test_images_are_labelled_like_features_of_three_channels_in_0_to_1(batched, tmp_path, params):
    """RGB mode (V-B), in the pool and in batches."""
    images = np.random.default_rng(1).integers(0, 256, (10, 8, 12, 3), np.uint8)
    write_store(tmp_path / "images.zarr", {"images": images})
    source, few = Input(tmp_path / "images.zarr", "images"), {3: np.array([1, 4])}
    if batched:
        found = dict(label_in_batches(source, few, CAMIDS, params, SEED, [torch.device("cpu")], 10**9))
    else:
        found = dict(label_identities(source.store, few, CAMIDS, params, SEED, "images"))
    values = (images[[1, 4]].astype(np.float64) / 255).transpose(0, 3, 1, 2).astype(np.float32)
    (expected,) = label_together(values[None], CAMIDS[[1, 4]][None], params, [(*SEED, 3)])
    assert found[3].labels.shape == (2, 8, 12)
    assert np.mean(found[3].labels == expected.labels) > 0.99


def test_a_request_to_stop_while_workers_start_ends_those_that_have(features, monkeypatch):
    """None is left half started, which would not be known and could not be ended."""
    submit = pool.ProcessPoolExecutor.submit

    def submitted(*arguments):
        task = submit(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return task

    monkeypatch.setattr(pool.ProcessPoolExecutor, "submit", submitted)
    few = {3: np.array([1, 4])}
    with pytest.raises(Stopped), stopping_at_once():
        list(map_identities(wait, Input(features[0], "features"), few, CAMIDS, 1, hcnet_bytes))
    assert not multiprocessing.active_children()
