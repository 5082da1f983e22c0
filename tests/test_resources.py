"""Disk and memory: what is free, and what is refused."""

import errno
import os
import resource
import shutil
from collections import namedtuple
from pathlib import Path

import click
import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from hcga import resources, store_writing, stores
from hcga.errors import InputError
from hcga.images import load_image
from hcga.resources import free_memory, need_disk, need_handles, need_shared_memory, shrunk
from hcga.runs.stage import clear_errors
from hcga.store_writing import add_array, draft_store, write_store
from hcga.stores import array, open_store, read_rows

MACHINE = psutil.virtual_memory()._replace(available=10_000)
Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def groups(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: MACHINE)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path)
    monkeypatch.setattr(resources, "GROUPS_OF_PROCESS", tmp_path / "own")
    (tmp_path / "memory").mkdir()
    return tmp_path


def test_without_a_limit_the_machines_memory_counts(groups):
    assert free_memory() == 10_000
    (groups / "memory.max").write_text("max\n")
    assert free_memory() == 10_000


@pytest.mark.parametrize(
    ("names", "statistics", "free"),
    [
        (("memory.max", "memory.current", "memory.stat"), "anon 5\ninactive_file 300\n", 7000 - 2000 + 300),
        (
            ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
            "inactive_file 1\ntotal_inactive_file 400\n",
            7000 - 2000 + 400,
        ),
    ],
)
def test_a_container_has_what_its_limit_leaves(groups, names, statistics, free):
    for name, text in zip(names, ("7000\n", "2000\n", statistics), strict=True):
        (groups / name).write_text(text)
    assert free_memory() == free
    (groups / names[0]).write_text("1000\n")
    assert free_memory() == 0
    (groups / names[0]).write_text("9223372036854771712\n")
    assert free_memory() == 10_000, "of cgroups v1 with no limit"


@pytest.mark.parametrize(
    ("own", "place"), [("0::/job/step", "job/memory.max"), ("9:cpu,memory:/job", "memory/job/memory.limit_in_bytes")]
)
def test_so_has_a_job_below_the_outermost_group(groups, own, place):
    (groups / "own").write_text(f"1:name=systemd:/elsewhere\n{own}\n")
    (groups / place).parent.mkdir(exist_ok=True, parents=True)
    (groups / place).write_text("7000\n")
    used = "memory.usage_in_bytes" if "limit" in place else "memory.current"
    (groups / place).with_name(used).write_text("2000\n")
    assert free_memory() == 5000


def test_what_the_disk_cannot_hold_is_refused_before_it_is_begun(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: asked.append(folder) or Disk(0, 0, 3e9))
    need_disk(tmp_path / "new" / "store.zarr", 3e9)
    with pytest.raises(InputError, match=r"store\.zarr: needs about 3\.1 GB, and 3\.0 GB are free; "):
        need_disk(tmp_path / "new" / "store.zarr", 3.1e9)
    assert set(asked) == {tmp_path}


def test_a_store_asks_for_what_is_still_to_be_written(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(store_writing, "need_disk", lambda folder, size: asked.append((folder.name, size)))
    for written in (0, 2):
        store = draft_store(tmp_path / "a.zarr", anew=not written)
        add_array(store, "features", (6, 4), "float32", written)
    assert asked == [("features", 6 * 4 * 4 / 2), ("features", 4 * 4 * 4 / 2)]


def test_vectors_hardly_shrink_and_maps_of_classes_do(tmp_path):
    """Else masks that fit were refused, and images that do not were begun. Vectors and maps like those of a network."""
    rng = np.random.default_rng(0)
    values = {"image": rng.normal(size=(500, 256)).astype(np.float32)}
    values["masks"] = np.zeros((500, 32, 16), np.uint8)
    values["masks"][:, 4:28, 4:12] = rng.integers(1, 4, (500, 3, 1)).repeat(8, 1)
    write_store(tmp_path / "a.zarr", values)
    for name, rows in values.items():
        taken = sum(file.stat().st_size for file in (tmp_path / "a.zarr" / name).rglob("*") if file.is_file())
        assert taken < shrunk(name, rows.nbytes)
        assert name == "masks" or taken > 0.9 * shrunk(name, rows.nbytes)


def test_too_little_memory_to_share_is_refused(monkeypatch):
    monkeypatch.setattr(resources, "SHARED", Path())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 2**20))
    need_shared_memory()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 2**20 - 1))
    with pytest.raises(InputError, match="1,048,575 bytes are free there, and co-parsing workers need 1,048,576"):
        need_shared_memory()


def test_more_workers_than_files_may_be_open_are_refused(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (84, 1024))
    need_handles(10)
    with pytest.raises(InputError, match=r"coparse.workers: 11 need about 86 open files, and 84 are allowed"):
        need_handles(11)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    need_handles(10**6)


CUDA = """CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB and 1.1 are free."""
CPU = """[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate
4398046511104 bytes. Error code 12 (Cannot allocate memory)"""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            MemoryError(),
            "out of memory; end other programs, use a larger machine, or make image or batch of a stage (train",
        ),
        (MemoryError("Unable to allocate 3 TiB"), "out of memory (Unable to allocate 3 TiB); end other"),
        (torch.OutOfMemoryError(CUDA), "out of memory (CUDA out of memory); end other"),
        (RuntimeError(CPU), "out of memory (DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        (
            OSError(errno.ENOMEM, "Cannot allocate memory"),
            "out of memory ([Errno 12] Cannot allocate memory); end other",
        ),
        (OSError(errno.EIO, "Input/output error", "a.jpg"), "[Errno 5] Input/output error: 'a.jpg'; see to the disk"),
        (OSError(errno.ESTALE, "Stale file handle"), "[Errno 116] Stale file handle; see to the disk, the network"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "[Errno 13] Permission denied: 'x'; see to the"),
        (OSError(errno.EMFILE, "Too many open files", "x"), "[Errno 24] Too many open files: 'x'; allow more, as with"),
        (RuntimeError("can't start new thread"), "can't start new thread: too many processes or threads; allow more"),
    ],
)
def test_what_has_run_out_is_said_without_a_traceback(error, told):
    with pytest.raises(click.ClickException) as caught, clear_errors():
        raise error
    assert caught.value.message.startswith(told)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), FileExistsError(errno.EEXIST, "x")])
def test_other_errors_keep_their_traceback(error):
    with pytest.raises(type(error)), clear_errors():
        raise error


def test_pytorch_says_what_is_looked_for():
    with pytest.raises(click.ClickException, match=r"^out of memory"), clear_errors():
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(click.ClickException, match=r"^out of memory"), clear_errors():
        np.empty(2**60, np.uint8)


def test_a_lack_of_handles_or_memory_is_no_damage(tmp_path, monkeypatch):
    write_store(tmp_path / "s.zarr", {"images": np.zeros((2, 4, 4, 3), np.uint8)})
    found = array(open_store(tmp_path / "s.zarr"), "images")
    Image.new("RGB", (4, 4)).save(tmp_path / "i.png")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, limits[1]))
    try:
        for read in (
            lambda: open_store(tmp_path / "s.zarr"),
            lambda: read_rows(found, np.arange(2)),
            lambda: load_image(tmp_path / "i.png", 4, 4),
        ):
            with pytest.raises(click.ClickException, match=r"Too many open files.*; allow more"), clear_errors():
                read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for handle in taken:
            os.close(handle)
    assert read_rows(found, np.arange(2)).shape == (2, 4, 4, 3)

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(stores, "_read_rows", no_memory)
    with pytest.raises(MemoryError):
        read_rows(found, np.arange(2))
