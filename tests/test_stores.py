import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from hcga import resources, store_writing
from hcga.errors import InputError
from hcga.store_writing import add_array, write_store, writing
from hcga.stores import array, attribute, image_set, open_store, open_store_of, read_all, read_rows


def values(count: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "features": rng.normal(size=(count, 3, 4, 2)).astype(np.float16),
        "visible": rng.random((count, 3)) < 0.5,
        "masks": rng.integers(0, 256, (count, 4, 2), dtype=np.uint8),
    }


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "a.zarr", values(), epoch=3, source="hcnet")
    return tmp_path / "a.zarr"


def test_what_was_written_is_read(store: Path) -> None:
    opened = open_store(store)
    for name, expected in values().items():
        found = np.asarray(array(opened, name)[:])
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert dict(opened.attrs) == {"epoch": 3, "source": "hcnet"}


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows_and_none(tmp_path: Path, count: int) -> None:
    write_store(tmp_path / "a.zarr", values(count))
    for name, expected in values(count).items():
        np.testing.assert_array_equal(np.asarray(array(open_store(tmp_path / "a.zarr"), name)[:]), expected)


def test_equal_content_is_equal_bytes_without_times_or_paths(tmp_path: Path, store: Path) -> None:
    other = tmp_path / "elsewhere" / "b.zarr"
    write_store(other, values(), source="hcnet", epoch=3)  # attributes in another order
    assert content(other) == content(store)
    assert not [name for name, data in content(store).items() if str(tmp_path).encode() in data or b".part" in data]
    group = json.loads((store / "zarr.json").read_text())
    assert group == {"attributes": {"epoch": 3, "source": "hcnet"}, "zarr_format": 3, "node_type": "group"}
    assert json.loads((store / "masks" / "zarr.json").read_text())["attributes"] == {}


def test_rows_may_come_in_pieces_of_any_size(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = values()["features"]
    row_bytes = expected[0].nbytes
    monkeypatch.setattr(store_writing, "SHARD_BYTES", 3 * row_bytes)
    whole = tmp_path / "whole.zarr"
    write_store(whole, {"features": expected})
    for sizes in ([7], [1] * 7, [2, 5], [4, 0, 3]):
        path = tmp_path / "pieces.zarr"
        with writing(path) as group:
            writer = add_array(group, "features", expected.shape, "float16")
            for piece in np.split(expected, np.cumsum(sizes)[:-1]):
                writer.append(piece)
            writer.finish()
        assert content(path) == content(whole)


@pytest.mark.parametrize(("chunk", "shard", "files"), [(1, 3, 3), (2, 2, 4), (3, 3, 3), (7, 7, 1)])
def test_chunks_and_shards_are_whole_rows_up_to_their_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, shard: int, files: int
) -> None:
    """Seven rows; a shard holds whole chunks."""
    expected = values()["features"]
    monkeypatch.setattr(store_writing, "CHUNK_BYTES", chunk * expected[0].nbytes + 1)
    monkeypatch.setattr(store_writing, "SHARD_BYTES", max(3, chunk) * expected[0].nbytes + 1)
    write_store(tmp_path / "a.zarr", {"features": expected})
    found = array(open_store(tmp_path / "a.zarr"), "features")
    assert found.chunks == (chunk, 3, 4, 2)
    assert found.shards == (shard, 3, 4, 2)
    assert len([name for name in content(tmp_path / "a.zarr") if "/c/" in name]) == files
    np.testing.assert_array_equal(np.asarray(found[:]), expected)


def test_a_row_larger_than_a_shard_has_one_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writing, "SHARD_BYTES", 1)
    write_store(tmp_path / "a.zarr", {"masks": values()["masks"]})
    assert array(open_store(tmp_path / "a.zarr"), "masks").shards == (1, 4, 2)


def test_shards_hold_64_megabytes() -> None:
    assert store_writing.SHARD_BYTES == 64 * 2**20


@pytest.mark.parametrize(
    "rows", [[], [4], [2, 3, 4], [4, 2, 3], [6, 0, 3], [5, 5, 0, 5], [3, 2, 3, 2], [6, 5, 4, 3, 2, 1, 0]]
)
def test_rows_are_read_in_the_order_asked_for(store: Path, rows: list[int]) -> None:
    wanted = np.array(rows, np.int64)
    for name, expected in values().items():
        found = read_rows(array(open_store(store), name), wanted)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected[wanted])
        np.testing.assert_array_equal(read_rows(expected, wanted), expected[wanted])


@pytest.mark.parametrize("number", [0, 6])
def test_fewer_rows_than_announced_are_refused(tmp_path: Path, number: int) -> None:
    with writing(tmp_path / "a") as group:
        writer = add_array(group, "masks", (7, 4, 2), "uint8")
        writer.append(values()["masks"][:number])
        with pytest.raises(RuntimeError, match=rf"masks: {number} rows written, 7 announced"):
            writer.finish()


def test_rows_known_to_be_missing_shorten_the_array(tmp_path: Path) -> None:
    with writing(tmp_path / "a") as group:
        writer = add_array(group, "masks", (7, 4, 2), "uint8")
        writer.append(values()["masks"][:5])
        writer.finish(missing=2)
    np.testing.assert_array_equal(array(open_store(tmp_path / "a"), "masks")[:], values()["masks"][:5])


def fail(path: Path) -> None:
    with writing(path) as group:
        add_array(group, "masks", (2, 4, 2), "uint8").append(values()["masks"][:2])
        raise KeyboardInterrupt


def test_a_writer_that_dies_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_dies_keeps_what_was_there(store: Path) -> None:
    before = content(store)
    with pytest.raises(KeyboardInterrupt):
        fail(store)
    assert content(store) == before
    assert list(store.parent.iterdir()) == [store]


def test_a_new_store_replaces_the_old_one_as_a_whole(store: Path) -> None:
    write_store(store, {"other": np.zeros((2, 1))})
    assert list(open_store(store).array_keys()) == ["other"]
    assert not list(store.glob("masks*"))


def test_remains_of_a_killed_run_are_removed(store: Path) -> None:
    remains = store.with_name(".a.zarr.part")
    remains.mkdir()
    (remains / "junk").touch()
    write_store(store, values())
    assert "junk" not in content(store)
    assert not remains.exists()


def test_a_link_is_replaced_and_what_it_leads_to_is_kept(tmp_path: Path, store: Path) -> None:
    link = tmp_path / "link.zarr"
    link.symlink_to(store)
    before = content(store)
    write_store(link, {"other": np.zeros((2, 1))})
    assert content(store) == before
    assert not link.is_symlink()


def test_stores_are_opened_for_reading_only(store: Path) -> None:
    opened = open_store(store)
    with pytest.raises(ValueError, match="read-only"):
        array(opened, "masks")[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        opened.attrs["epoch"] = 4
    assert open_store(store).attrs["epoch"] == 3


def test_a_missing_store_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.zarr: no readable store .*`dvc repro` makes it"):
        open_store(tmp_path / "none.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_or_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{")
    zarr.create_array(str(tmp_path / "array.zarr"), shape=(1,), dtype="uint8")
    for name in ("folder.zarr", "broken.zarr", "array.zarr"):
        with pytest.raises(InputError, match=rf"{name}: no readable store"):
            open_store(tmp_path / name)


def test_a_missing_array_is_named_with_those_there_are(store: Path) -> None:
    with pytest.raises(InputError, match="no array 'truth'; it has: features, masks, visible\\. `dvc repro` makes it"):
        array(open_store(store), "truth")


def shard_of(store: Path, name: str) -> Path:
    return next(path for path in (store / name / "c").rglob("*") if path.is_file())


@pytest.mark.parametrize("kept", [0, 10, 0.5, -1])
def test_a_file_cut_short_is_damage(store: Path, kept: float) -> None:
    shard = shard_of(store, "features")
    content = shard.read_bytes()
    shard.write_bytes(content[: int(kept * len(content)) if 0 < kept < 1 else int(kept)])
    with pytest.raises(InputError, match=r"a\.zarr/features: damaged.*`dvc repro` makes it"):
        read_all(array(open_store(store), "features"))


def test_any_changed_byte_is_damage(store: Path) -> None:
    shard = shard_of(store, "features")
    content = shard.read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1
        shard.write_bytes(changed)
        with pytest.raises(InputError, match=r"features: damaged"):
            read_all(array(open_store(store), "features"))


def test_a_missing_file_is_not_taken_for_zeros(store: Path) -> None:
    shard_of(store, "masks").unlink()
    with pytest.raises(InputError, match=r"a\.zarr/masks: damaged, its file c/0/0/0 is missing or empty; `dvc"):
        array(open_store(store), "masks")
    assert not read_all(array(open_store(store, whole=False), "masks", whole=False)).any()  # zarr's own reading
    array(open_store(store), "features")


def test_another_file_is_not_taken_for_a_missing_one(store: Path) -> None:
    shard = shard_of(store, "masks")
    (shard.parent / "0.0123abcd.partial").write_bytes(b"x")
    np.testing.assert_array_equal(read_all(array(open_store(store), "masks")), values()["masks"])
    shard.unlink()
    with pytest.raises(InputError, match=r"a\.zarr/masks: damaged, its file c/0/0/0 is missing or empty"):
        array(open_store(store), "masks")


def test_files_are_looked_for_only_up_to_the_first_that_is_missing(store: Path) -> None:
    description = json.loads((store / "masks/zarr.json").read_text())
    (store / "masks/zarr.json").write_text(json.dumps(description | {"shape": [10**8, 4, 2]}))
    with pytest.raises(InputError, match=r"a\.zarr/masks: damaged, its file c/1/0/0 is missing or empty"):
        array(open_store(store), "masks")


def test_a_file_that_goes_while_one_reads_is_not_taken_for_zeros(store: Path) -> None:
    """As when a stage begins to write the store anew."""
    masks = array(open_store(store), "masks")
    shard_of(store, "masks").unlink()
    with pytest.raises(InputError, match=r"masks/c/0/0/0 is missing or empty; perhaps a stage writes the store anew"):
        read_rows(masks, np.arange(1))


def test_an_attribute_that_lacks_or_is_something_else_is_named(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", {}, epoch=3, source=None)
    opened = open_store(tmp_path / "a.zarr")
    assert attribute(opened, "epoch", int) == 3
    for name in ("source", "part_classes"):
        with pytest.raises(
            InputError, match=rf"a\.zarr: no attribute '{name}' \(str\); it has: epoch, source\. Perhaps another"
        ):
            attribute(opened, name, str)


def test_zeros_are_written(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr", {"masks": np.zeros((5, 4, 2), np.uint8)})
    assert not read_all(array(open_store(tmp_path / "a.zarr"), "masks")).any()


def test_an_array_that_says_nothing_readable_of_itself(store: Path) -> None:
    (store / "masks" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.zarr/masks: damaged .*`dvc repro` makes it"):
        array(open_store(store), "masks")


def test_zarrs_older_format_is_refused(tmp_path: Path) -> None:
    zarr.create_group(store=str(tmp_path / "a.zarr"), zarr_format=2)
    with pytest.raises(InputError, match=r"a\.zarr: no readable store of zarr's format 3"):
        open_store(tmp_path / "a.zarr")


def test_a_row_beyond_the_last(store: Path) -> None:
    with pytest.raises(InputError, match=r"a\.zarr/masks: has 7 rows and no row 7, so it is of other images"):
        read_rows(array(open_store(store), "masks"), np.array([0, 7]))


def test_a_store_of_other_images_is_refused(tmp_path: Path) -> None:
    images, same, other, old = (tmp_path / f"{name}.zarr" for name in ("images", "same", "other", "old"))
    write_store(images, values(), image_set="a")
    write_store(same, values(), **image_set(open_store(images)))
    write_store(other, values(), image_set="b")
    write_store(old, values())
    for path in (same, old):  # one that does not say may be of an older version
        assert dict(open_store_of(path, open_store(images)).attrs) == dict(open_store(path).attrs)
    assert image_set(open_store(old)) == {}
    with pytest.raises(InputError, match=r"other\.zarr: made of other images than .*images\.zarr holds now"):
        open_store_of(other, open_store(images))


@pytest.mark.parametrize("content", ["[]", "1", "null", '{"zarr_format": 3, "node_type": "group", "attributes": []}'])
def test_json_of_other_content_is_no_store(tmp_path: Path, content: str) -> None:
    write_store(tmp_path / "a.zarr", {"x": np.zeros((1, 2))})
    (tmp_path / "a.zarr/zarr.json").write_text(content)
    with pytest.raises(InputError, match=r"a\.zarr: no readable store"):
        open_store(tmp_path / "a.zarr")


def test_a_shard_has_the_rows_that_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks of whole rows that fill it evenly, be they of arrays with small or with large rows."""
    monkeypatch.setattr(store_writing, "CHUNK_BYTES", 64)
    with writing(tmp_path / "a.zarr") as store:
        for name, width, chunk in (("small", 16, 3), ("large", 100, 1), ("tiny", 1, 6)):
            writer = add_array(store, name, (14, width), "uint8", shard_rows=6)
            writer.append(np.full((14, width), 7, np.uint8))
            writer.finish()
            made = array(store, name)
            assert (made.shards, made.chunks) == ((6, width), (chunk, width))
            assert (read_all(made) == 7).all()


def test_what_is_larger_than_the_memory_is_not_read_as_a_whole(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = array(open_store(store), "masks")
    monkeypatch.setattr(resources, "free_memory", lambda: 3 * found.nbytes)
    assert read_all(found, 3).nbytes == found.nbytes
    monkeypatch.setattr(resources, "free_memory", lambda: 3 * found.nbytes - 1)
    with pytest.raises(InputError, match=r"masks: is read as a whole .*: takes 0 MB of memory, and 0 MB are free"):
        read_all(found, 3)
