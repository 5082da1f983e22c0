"""What workers see of files: the same ones, or copies at a URL, or an error."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damages import empty, flip_a_bit, halve

from hcga.cluster.shared import WHOLE, Shared, outline, share, shared_array, shared_file
from hcga.errors import InputError
from hcga.store_writing import write_store
from hcga.stores import read_rows

VALUES = np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32)
ROWS = np.array([4, 0, 0])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "values.zarr", {"values": VALUES})
    return tmp_path / "values.zarr"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/copies/"


def test_rows_are_those_of_the_store_in_either_place(store: Path, url: str) -> None:
    for shared in (share(store, None), share(store, url)):
        np.testing.assert_array_equal(read_rows(shared_array(shared, "values"), ROWS), VALUES[ROWS])


def test_a_copy_is_made_once_and_lies_by_its_content(store: Path, url: str, tmp_path: Path) -> None:
    first = share(store, url)
    (shard,) = (tmp_path / "copies").rglob("c/0/0/0")
    shard.write_bytes(b"")
    assert share(store, url) == first
    assert shard.read_bytes() == b""
    write_store(store, {"values": VALUES + 1})
    assert share(store, url) != first


def test_a_copy_that_was_cut_short_is_made_again(store: Path, url: str, tmp_path: Path) -> None:
    first = share(store, url)
    (shard,) = (tmp_path / "copies").rglob("c/0/0/0")
    shard.unlink()
    next((tmp_path / "copies").rglob(WHOLE)).unlink()
    assert share(store, url) == first
    assert shard.stat().st_size


@pytest.mark.parametrize("damage", [flip_a_bit, halve, empty, Path.unlink])
def test_a_copy_that_lacks_a_shard_or_has_a_damaged_one_is_no_array_of_zeros(
    store: Path, url: str, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    shared = share(store, url)
    damage(next((tmp_path / "copies").rglob("c/0/0/0")))
    with pytest.raises(InputError, match=r"copies.*damaged"):
        read_rows(shared_array(shared, "values"), ROWS)


def test_a_path_that_a_worker_does_not_see_is_named(store: Path) -> None:
    shared = share(store, None)
    store.rename(store.with_name("elsewhere"))
    with pytest.raises(InputError, match=rf"{store}: is not there, on a Dask worker\. .*or set dask\.share to a URL"):
        shared_array(shared, "values")


def test_another_store_at_the_same_path_is_refused(store: Path) -> None:
    shared = share(store, None)
    write_store(store, {"values": VALUES[::-1].copy()})
    with pytest.raises(InputError, match="is another there than on the machine that asks"):
        shared_array(shared, "values")


def test_a_file_is_seen_where_it_is_or_copied_while_it_is_used(tmp_path: Path, url: str) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"weights")
    with shared_file(share(file, None)) as path:
        assert path == file
    with shared_file(share(file, url)) as path:
        assert path.read_bytes() == b"weights"
        assert not path.is_relative_to(tmp_path)
    assert not path.exists()
    with pytest.raises(InputError, match="is not there"), shared_file(Shared(f"{file}s", "x")):
        pass


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"x", lambda data: data[:-1], lambda data: b"x" + data])
def test_an_outline_tells_files_by_size_and_end(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "folder/file"
    file.parent.mkdir()
    file.write_bytes(bytes(5000))
    before = outline(file.parent)
    file.write_bytes(change(bytes(5000)))
    assert outline(file.parent) != before
    file.write_bytes(bytes(5000))
    assert outline(file.parent) == before
    file.rename(file.with_name("other"))
    assert outline(file.parent) != before


def test_what_cannot_be_copied_is_said(store: Path) -> None:
    with pytest.raises(
        InputError, match=r"dask\.share: .*values\.zarr cannot be copied to nowhere://bucket \(.*nowhere"
    ):
        share(store, "nowhere://bucket")
