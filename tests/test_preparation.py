import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import damages
import numpy as np
import pandas as pd
import pytest
from conftest import DEFAULT
from PIL import Image as Pillow

from hcga import preparation, store_writing
from hcga.datasets.catalogue import catalogue, write_catalogue
from hcga.datasets.examples import make_example
from hcga.errors import InputError
from hcga.files import note_beside, resumable
from hcga.images import load_image, load_labels, resize_labels
from hcga.masks.parts import UNLABELLED
from hcga.params import Dataset, Image, load_params
from hcga.preparation import join_samples, leave_out, preparation_key, write_images, write_truth
from hcga.samples import SPLITS
from hcga.stores import array, open_store

SIZE = Image(height=64, width=32)


def dataset(root: Path, **changes: Any) -> Dataset:
    values = {"layout": "market1501", "root": str(root), "splits": list(SPLITS), "truth": "truth", "counts": "ignore"}
    return Dataset(**(values | changes))


def listed(*given: Dataset, validation: float | None = None) -> pd.DataFrame:
    """Catalogue data sets and join them, as set0, set1, ..."""
    with TemporaryDirectory() as folder:
        files = {f"set{number}": Path(folder) / f"{number}.csv" for number in range(len(given))}
        for one, file in zip(given, files.values(), strict=True):
            write_catalogue(catalogue(one.layout, Path(one.root), one.splits, one.truth), file)
        return join_samples(files, validation)


@pytest.fixture
def mine(tiny_set: Path, tmp_path: Path) -> Path:
    """Give a copy of the tiny set that a test may spoil."""
    return shutil.copytree(tiny_set, tmp_path / "mine")


def write_strictly(samples: pd.DataFrame, given: dict[str, Dataset], size: Image, path: Path) -> None:
    assert write_images(samples, given, size, False, path).empty


def prepared(write: Callable[..., Any], given: Dataset, size: Image, path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    samples = listed(given)
    write(samples, {"set0": given}, size, path)
    return samples, np.asarray(array(open_store(path), "truth" if write is write_truth else "images")[:])


def test_the_table_lists_the_set(tiny_set: Path) -> None:
    samples = listed(dataset(tiny_set))
    assert set(samples["path"]) == {
        path.relative_to(tiny_set).as_posix() for path in tiny_set.rglob("*.jpg") if "truth" not in path.parts
    }
    assert samples["split"].value_counts().to_dict() == {"train": 16, "gallery": 8, "query": 6}
    assert sorted(set(samples["split"]), key=list(samples["split"]).index) == ["train", "query", "gallery"]


def test_images_stand_in_the_order_of_the_table(tiny_set: Path, tmp_path: Path) -> None:
    samples, images = prepared(write_strictly, dataset(tiny_set), SIZE, tmp_path / "images.zarr")
    assert (images.shape, images.dtype) == ((len(samples), 64, 32, 3), np.uint8)
    for path, image in zip(samples["path"], images, strict=True):
        np.testing.assert_array_equal(image, np.asarray(Pillow.open(tiny_set / path)))


def test_images_are_resized_to_height_and_width(tiny_set: Path, tmp_path: Path) -> None:
    size = Image(height=96, width=64)
    samples, images = prepared(write_strictly, dataset(tiny_set), size, tmp_path / "images.zarr")
    assert images.shape == (len(samples), 96, 64, 3)
    expected = Pillow.open(tiny_set / samples["path"][3]).resize((64, 96), Pillow.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[3], np.asarray(expected))


def test_blocks_do_not_change_the_order(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = prepared(write_strictly, dataset(tiny_set), SIZE, tmp_path / "a.zarr")
    monkeypatch.setattr(preparation, "BLOCK", 4)
    _, pieces = prepared(write_strictly, dataset(tiny_set), SIZE, tmp_path / "b.zarr")
    np.testing.assert_array_equal(whole, pieces)


def test_other_colour_modes_become_rgb(tmp_path: Path) -> None:
    grey = np.arange(120, dtype=np.uint8).reshape(12, 10)
    Pillow.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(load_image(tmp_path / "grey.png", 12, 10), np.stack([grey] * 3, -1))


def test_downsizing_averages(tmp_path: Path) -> None:
    board = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((1, 1))).astype(np.uint8) * 255
    Pillow.fromarray(board).save(tmp_path / "board.png")
    small = load_image(tmp_path / "board.png", 2, 2)
    assert np.abs(small.astype(int) - 128).max() < 40  # without antialiasing: 0 or 255


def test_truth_is_that_of_the_files(tiny_set: Path, tmp_path: Path) -> None:
    samples, truth = prepared(write_truth, dataset(tiny_set), SIZE, tmp_path / "truth.zarr")
    assert (truth.shape, truth.dtype) == ((len(samples), 64, 32), np.uint8)
    assert open_store(tmp_path / "truth.zarr").attrs["part_classes"] == 4
    for path, labels in zip(samples["path"], truth, strict=True):
        expected = Pillow.open((tiny_set / "truth" / path).with_suffix(".png"))
        np.testing.assert_array_equal(labels, np.asarray(expected))


def test_stores_name_their_set_of_images_by_table_and_size(tiny_set: Path, tmp_path: Path) -> None:
    given = {"set0": dataset(tiny_set)}
    samples = listed(given["set0"])

    def name_of(write: Callable[..., object], of: pd.DataFrame, size: Image = SIZE) -> str:
        write(of, given, size, tmp_path / "a.zarr")
        return str(open_store(tmp_path / "a.zarr").attrs["image_set"])

    name = name_of(write_strictly, samples)
    assert name_of(write_truth, samples) == name
    fewer, other = samples.iloc[1:].reset_index(drop=True), samples.assign(pid=samples["pid"] + 1)
    larger = name_of(write_truth, samples, Image(height=128, width=64))
    assert len({name, larger, name_of(write_truth, fewer), name_of(write_truth, other)}) == 4


def test_labels_are_resized_without_mixing_them() -> None:
    labels = np.array([[0, 3], [1, 2]], np.uint8).repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(resize_labels(labels, 16, 24), labels.repeat(2, 0).repeat(3, 1))


def test_images_without_truth_are_unlabelled(mine: Path, tmp_path: Path) -> None:
    samples = listed(dataset(mine))
    gone = [2, 17, len(samples) - 1]
    for path in samples["path"][gone]:
        (mine / "truth" / path).with_suffix(".png").unlink()
    _, truth = prepared(write_truth, dataset(mine), SIZE, tmp_path / "truth.zarr")
    assert np.flatnonzero((truth == UNLABELLED).all((1, 2))).tolist() == gone
    assert not (np.delete(truth, gone, 0) == UNLABELLED).any()


def test_a_parser_that_sees_nobody_in_an_image_of_an_identity_says_nothing(mine: Path, tmp_path: Path) -> None:
    samples = listed(dataset(mine))
    of_identity, of_nobody = (int(np.flatnonzero(rows)[0]) for rows in (samples["pid"] > 0, samples["pid"] <= 0))
    for row in (of_identity, of_nobody):
        file = (mine / "truth" / samples["path"][row]).with_suffix(".png")
        Pillow.fromarray(np.zeros_like(np.asarray(Pillow.open(file)))).save(file)
    _, truth = prepared(write_truth, dataset(mine), SIZE, tmp_path / "truth.zarr")
    assert (truth[of_identity] == UNLABELLED).all()
    assert (truth[of_nobody] == 0).all()


def test_truth_of_an_image_with_a_doubled_ending_is_found(mine: Path, tmp_path: Path) -> None:
    old = mine / listed(dataset(mine))["path"][0]
    old.rename(old.with_name(f"{old.name}.jpg"))
    samples, truth = prepared(write_truth, dataset(mine), SIZE, tmp_path / "truth.zarr")
    assert samples["path"][0].endswith(".jpg.jpg")
    assert not (truth == UNLABELLED).any()


def test_without_truth_the_store_is_empty(tiny_set: Path, tmp_path: Path) -> None:
    given = dataset(tiny_set, truth=None)
    write_truth(listed(given), {"set0": given}, SIZE, tmp_path / "truth.zarr")
    assert list(open_store(tmp_path / "truth.zarr").array_keys()) == []


def test_a_truth_folder_without_any_label_image_is_named(tiny_set: Path) -> None:
    with pytest.raises(InputError, match=r"truth: .*none holds no label image such as .*; set it to null"):
        listed(dataset(tiny_set, truth="none"))


def test_a_label_image_of_no_image_is_named(mine: Path) -> None:
    odd = mine / "truth" / "query" / "0001_c9.png"
    shutil.copy(min((mine / "truth" / "query").iterdir()), odd)
    with pytest.raises(InputError, match=rf"{odd}: label image of no image; its name is the image's, ending in \.png"):
        listed(dataset(mine, splits=["train"]))
    odd.rename(odd.with_suffix(".PNG"))
    with pytest.raises(InputError, match=r"0001_c9\.PNG: label image of no image"):
        listed(dataset(mine))


def test_truth_of_images_that_take_no_part_is_no_matter(mine: Path, tmp_path: Path) -> None:
    """Only test images have true masks, but held-out identities are tested."""
    shutil.rmtree(mine / "truth" / "bounding_box_train")
    (mine / "truth" / "@eaDir").mkdir()
    shutil.copy(min((mine / "truth" / "query").iterdir()), mine / "truth" / "@eaDir")
    given = dataset(mine)
    write_truth(listed(given, validation=0.5), {"set0": given}, SIZE, tmp_path / "truth.zarr")
    assert list(open_store(tmp_path / "truth.zarr").array_keys()) == []


def test_a_label_image_of_two_images_is_named(tmp_path: Path) -> None:
    for name in ("train/1/1_a.jpg", "train/1/1_a.png", "parts/train/1/1_a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("L", (16, 32)).save(tmp_path / name)
    given = dataset(tmp_path, layout="folder", splits=["train"], truth="parts")
    with pytest.raises(InputError, match=r"is it of train/1/1_a\.jpg or of train/1/1_a\.png\? Rename one"):
        listed(given)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def cut_head(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:10])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def text(file: Path) -> None:
    file.write_text("no image")


@pytest.mark.parametrize("spoil", [cut, cut_head, empty, text])
def test_a_file_that_is_no_whole_image_is_named(mine: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    given = dataset(mine)
    bad = mine / listed(given)["path"][20]
    spoil(bad)
    with pytest.raises(InputError) as caught:
        write_strictly(listed(given), {"set0": given}, SIZE, tmp_path / "images.zarr")
    assert str(caught.value).startswith(f"{bad}: ")
    assert "replace it" in str(caught.value)


def test_bad_images_are_left_out_if_that_is_asked_for(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "BLOCK", 2)
    given = {"set0": dataset(mine)}
    samples = listed(given["set0"])
    write_strictly(samples, given, SIZE, tmp_path / "all.zarr")
    bad = [0, 4, 5, 29]  # 4 and 5 are a whole block
    for row in bad:
        cut(mine / samples["path"][row])
    skipped = write_images(listed(given["set0"]), given, SIZE, True, tmp_path / "some.zarr")
    assert skipped.index.tolist() == bad
    assert skipped["path"].tolist() == samples["path"][bad].tolist()
    assert skipped["dataset"].tolist() == ["set0"] * 4
    assert all("cannot be decoded" in problem for problem in skipped["problem"])
    whole, rest = (np.asarray(array(open_store(tmp_path / f"{name}.zarr"), "images")[:]) for name in ("all", "some"))
    np.testing.assert_array_equal(rest, np.delete(whole, bad, 0))


@pytest.mark.parametrize("dies_at", [1, 9, 20, 29])
@pytest.mark.parametrize("skip", [False, True])
def test_a_run_that_died_is_continued(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int, skip: bool
) -> None:
    """Shards of 4 images, blocks of 3: killed while some rows wait for their shard. The bytes are those of one run."""
    monkeypatch.setattr(store_writing, "SHARD_BYTES", 4 * 64 * 32 * 3)
    monkeypatch.setattr(preparation, "BLOCK", 3)
    given = {"set0": dataset(mine)}
    samples = listed(given["set0"])
    if skip:
        for row in (0, 7, 8, 27):
            cut(mine / samples["path"][row])
        samples = listed(given["set0"])
    expected = write_images(samples, given, SIZE, skip, tmp_path / "whole.zarr")
    decoded: list[Path] = []
    dying = True

    def dies(path: Path, height: int, width: int) -> np.ndarray:
        decoded.append(path)
        if dying and path == mine / samples["path"][dies_at]:
            raise KeyboardInterrupt
        return load_image(path, height, width)

    monkeypatch.setattr(preparation, "load_image", dies)
    target = tmp_path / "images.zarr"
    with pytest.raises(KeyboardInterrupt), resumable(target, "key") as draft:
        write_images(samples, given, SIZE, skip, draft)
    (left,) = tmp_path.glob(".images.zarr.*")
    for shard in sorted((left / "draft/images/c").glob("*"))[dies_at // 4 :]:  # cut short in the middle of writing
        next(path for path in shard.rglob("*") if path.is_file()).write_bytes(b"half a sha")
    dying = False
    decoded.clear()
    with resumable(target, "key") as draft:
        skipped = write_images(samples, given, SIZE, skip, draft)
    assert len(decoded) <= len(samples) - (dies_at // 4 - 1) * 4 + (4 if skip else 0)
    pd.testing.assert_frame_equal(skipped, expected)
    files = {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    whole = tmp_path / "whole.zarr"
    assert files == {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert not list(tmp_path.glob(".images.zarr.*"))


@pytest.mark.parametrize("damage", [damages.flip_a_bit, damages.halve, damages.empty, Path.unlink])
@pytest.mark.parametrize("name", ["images/c/1/0/0/0", "images/zarr.json", "zarr.json", "NOTE"])
def test_whatever_is_damaged_in_a_draft_the_bytes_are_those_of_one_run(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(store_writing, "SHARD_BYTES", 4 * 64 * 32 * 3)
    monkeypatch.setattr(preparation, "BLOCK", 3)
    given = {"set0": dataset(tiny_set)}
    samples, whole, draft = listed(given["set0"]), tmp_path / "whole.zarr", tmp_path / "draft.zarr"
    write_strictly(samples, given, SIZE, whole)

    def dies(path: Path, height: int, width: int) -> np.ndarray:
        if path == tiny_set / samples["path"][20]:
            raise KeyboardInterrupt
        return load_image(path, height, width)

    with monkeypatch.context() as patched:
        patched.setattr(preparation, "load_image", dies)
        with pytest.raises(KeyboardInterrupt):
            write_strictly(samples, given, SIZE, draft)
    damage(note_beside(draft) if name == "NOTE" else draft / name)
    write_strictly(samples, given, SIZE, draft)
    files = {path.relative_to(draft): path.read_bytes() for path in draft.rglob("*") if path.is_file()}
    assert files == {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}


def test_what_another_run_has_left_is_not_taken(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, catalogues = listed(dataset(tiny_set)), {"a": tmp_path / "a.csv"}
    catalogues["a"].write_text("digest")
    keys = [preparation_key(samples, catalogues, SIZE, skip) for skip in (True, False)]
    keys.append(preparation_key(samples, catalogues, Image(height=32, width=32), False))
    keys.append(preparation_key(samples[1:], catalogues, SIZE, False))
    catalogues["a"].write_text("other digest")
    keys.append(preparation_key(samples, catalogues, SIZE, False))
    for library in ("pillow", "zarr", "numcodecs"):
        with monkeypatch.context() as patched:
            versions = {name: metadata.version(name) for name in ("pillow", "zarr", "numcodecs")} | {library: "0"}
            patched.setattr(preparation, "metadata", SimpleNamespace(version=versions.get))
            keys.append(preparation_key(samples, catalogues, SIZE, False))
    assert len(set(keys)) == 8
    target = tmp_path / "images.zarr"
    with pytest.raises(FileNotFoundError), resumable(target, keys[0]) as draft:
        (draft / "in a folder that is not there").touch()
    assert (tmp_path / f".images.zarr.{keys[0]}.part").exists()
    with resumable(target, keys[1]) as draft:
        assert not draft.exists()
        assert not (tmp_path / f".images.zarr.{keys[0]}.part").exists(), "it is removed"
        draft.touch()
    assert target.is_file()


def test_images_of_several_data_sets_come_from_their_own_roots(tiny_set: Path, tmp_path: Path) -> None:
    make_example("occluded_reid", tmp_path / "other")
    train = dataset(tiny_set, splits=["train"], truth="truth")
    test = dataset(tmp_path / "other", layout="occluded_reid:transfer", splits=["query", "gallery"], truth=None)
    given = {"set0": train, "set1": test}
    samples = listed(*given.values())
    assert samples.groupby("split")["dataset"].unique().map(list).to_dict() == {
        "train": ["set0"],
        "query": ["set1"],
        "gallery": ["set1"],
    }
    write_strictly(samples, given, SIZE, tmp_path / "images.zarr")
    write_truth(samples, given, SIZE, tmp_path / "truth.zarr")
    images = np.asarray(array(open_store(tmp_path / "images.zarr"), "images")[:])
    truth = np.asarray(array(open_store(tmp_path / "truth.zarr"), "truth")[:])
    for row in (0, len(samples) - 1):
        root = given[samples["dataset"][row]].root
        np.testing.assert_array_equal(images[row], load_image(Path(root) / samples["path"][row], 64, 32))
    assert ((truth == UNLABELLED).all((1, 2)) == (samples["dataset"] == "set1")).all()


def test_what_makes_figures_worthless_stops_here(mine: Path) -> None:
    (mine / "query" / "0005_c2s1_000001_01.jpg").write_bytes(min((mine / "bounding_box_train").iterdir()).read_bytes())
    with pytest.raises(InputError, match="figures would be worthless:\n  1 files both train and are tested"):
        listed(dataset(mine))


@pytest.mark.parametrize("spoil", [cut, empty, text])
def test_a_label_image_that_cannot_be_read_is_named(mine: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    given = dataset(mine)
    bad = (mine / "truth" / listed(given)["path"][20]).with_suffix(".png")
    spoil(bad)
    samples = listed(given)
    with pytest.raises(InputError, match=r"(cannot be decoded|not an image).*replace it") as caught:
        write_truth(samples, {"set0": given}, SIZE, tmp_path / "truth.zarr")
    assert str(caught.value).startswith(f"{bad}: ")
    assert not (tmp_path / "truth.zarr").exists()


def test_a_label_image_with_several_channels_is_refused(tmp_path: Path) -> None:
    Pillow.new("RGB", (8, 8)).save(tmp_path / "labels.png")
    with pytest.raises(InputError, match=r"labels\.png: mode RGB; a label image has one 8-bit channel"):
        load_labels(tmp_path / "labels.png", tmp_path / "labels.png")


def test_a_stray_label_is_named(mine: Path, tmp_path: Path) -> None:
    given = dataset(mine)
    odd = (mine / "truth" / listed(given)["path"][20]).with_suffix(".png")
    labels = np.array(Pillow.open(odd))
    labels[3:9] = 77
    Pillow.fromarray(labels).save(odd)
    samples = listed(given)
    with pytest.raises(InputError, match=r": label 77, but no image has label 4; parts are numbered 1, 2, 3") as caught:
        write_truth(samples, {"set0": given}, SIZE, tmp_path / "truth.zarr")
    assert str(caught.value).startswith(f"{odd}: ")
    assert not (tmp_path / "truth.zarr").exists()


def test_what_is_left_without_bad_images_must_make_sense(tiny_set: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = listed(dataset(tiny_set))
    assert leave_out(samples, samples.iloc[:0]).equals(samples)
    left = leave_out(samples, samples.iloc[[0, 20]])
    assert left["path"].tolist() == samples["path"].drop(index=[0, 20]).tolist()
    assert left.index.tolist() == list(range(28))
    people = samples["pid"][samples["split"] == "train"]
    with pytest.raises(InputError, match=r"without the 12 images .* would be worthless:\n  one training identity"):
        leave_out(samples, samples.loc[people.index[people != people[0]]])
    with pytest.raises(InputError, match=r"without the 6 images .*\n  split query holds no image"):
        leave_out(samples, samples[samples["split"] == "query"])
    caplog.clear()
    query = samples[samples["split"] == "query"].iloc[0]
    leave_out(samples, samples[(samples["split"] == "gallery") & (samples["pid"] == query["pid"])])
    assert "queries have no gallery image of their identity at another camera" in caplog.text


def test_validation_replaces_the_test_identities(tiny_set: Path) -> None:
    given = dataset(tiny_set)
    samples = listed(given, validation=0.5)
    pids = {split: set(samples.loc[samples["split"] == split, "pid"]) for split in ("train", "query", "gallery")}
    assert pids["query"] == pids["gallery"]
    assert len(pids["query"]) == len(pids["train"]) == 2
    assert not pids["query"] & pids["train"]
    assert all(path.startswith("bounding_box_train/") for path in samples["path"])
    assert listed(given, validation=0.5).equals(samples)


def test_with_validation_a_set_needs_no_test_images(tiny_set: Path) -> None:
    whole = listed(dataset(tiny_set), validation=0.5)
    assert listed(dataset(tiny_set, splits=["train"]), validation=0.5).equals(whole)


def test_validation_queries_have_a_match_from_another_camera(tiny_set: Path) -> None:
    samples = listed(dataset(tiny_set), validation=0.5)
    gallery = samples[samples["split"] == "gallery"]
    for query in samples[samples["split"] == "query"].itertuples():
        assert ((gallery["pid"] == query.pid) & (gallery["camid"] != query.camid)).any()


def test_the_embedded_set_is_prepared_with_the_default_params(tiny_set: Path) -> None:
    given = load_params(DEFAULT).datasets["main"]
    assert len(listed(given.model_copy(update={"root": str(tiny_set)}))) == 30


@pytest.mark.parametrize("skip", [False, True])
def test_an_image_that_has_changed_since_it_was_catalogued_is_refused(mine: Path, tmp_path: Path, skip: bool) -> None:
    given = {"set0": dataset(mine)}
    samples = listed(given["set0"])
    changed, other = (mine / samples["path"][row] for row in (3, 4))
    changed.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match=r"has changed since stage catalogue listed it") as caught:
        write_images(samples, given, SIZE, skip, tmp_path / "images.zarr")
    assert str(caught.value).startswith(f"{changed}: ")


def test_a_label_image_that_has_changed_since_it_was_catalogued_is_refused(mine: Path, tmp_path: Path) -> None:
    given = dataset(mine)
    samples = listed(given)
    changed, other = ((mine / "truth" / samples["path"][row]).with_suffix(".png") for row in (3, 4))
    changed.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match=r"has changed since stage catalogue listed it"):
        write_truth(samples, {"set0": given}, SIZE, tmp_path / "truth.zarr")
