"""Stores of embeddings: what they hold, whose they are, and what is not written over."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
import zarr
from pyarrow import parquet
from trained import new_checkout, new_crops, new_model, new_weights

from hcga.errors import InputError
from hcga.kept_arrays import KeptArrays
from hcga.store_writing import write_store
from hcga.stores import array, open_store, read_all
from hcga.using import building
from hcga.using import model as module
from hcga.using import parquet as tables
from hcga.using.building import build_gallery, write_embeddings
from hcga.using.crops import find_crops
from hcga.using.embedded import NAMES, Embedded
from hcga.using.model import Model
from hcga.using.parquet import folder_told, unpack_parquet
from hcga.using.store import Gallery, folder_beside, open_gallery

weights = pytest.fixture(scope="module")(new_weights)
checkout = pytest.fixture(new_checkout)
model = pytest.fixture(new_model)
crops = pytest.fixture(new_crops)


def opened(path: Path, model: Model) -> Gallery:
    """Open a store of either kind."""
    if path.suffix == ".zarr":
        return open_gallery(path, model)
    unpack_parquet(path, model, path.with_name("unpacked.zarr"))
    return open_gallery(path.with_name("unpacked.zarr"), model)


def edited(path: Path, change: Callable[[zarr.Group], object]) -> Path:
    change(zarr.open_group(str(path), mode="r+"))
    return path


@pytest.fixture(params=[".zarr", ".parquet"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"gallery{request.param}"


def test_a_store_holds_what_was_embedded(
    model: Model, crops: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    files = sorted(crops.rglob("*.png"))
    files[1].write_bytes(b"no picture")
    written = build_gallery(model, find_crops([crops]), target, "skip")
    assert written.images == 6
    assert [problem.partition(":")[0] for problem in written.problems] == [str(files[1])]
    gallery = opened(target, model)
    kept = [file for file in files if file != files[1]]
    assert gallery.names == [file.relative_to(crops).as_posix() for file in kept]
    wanted = model.embed_files(kept).embedded
    for name in NAMES:
        np.testing.assert_allclose(read_all(array(gallery.store, name)), getattr(wanted, name), atol=1e-5)
    told = folder_told(target) if target.suffix == ".parquet" else gallery.store.attrs["folder"]
    assert folder_beside(target, told) == crops


def test_a_table_is_readable_by_others(model: Model, crops: Path, tmp_path: Path) -> None:
    build_gallery(model, find_crops([crops]), tmp_path / "t.parquet", "error")
    table = pd.read_parquet(tmp_path / "t.parquet")
    wanted = model.embed_files(find_crops([crops]).files).embedded
    assert list(table)[:6] == ["path", "image", "foreground", "head", "upper_body", "lower_body"]
    np.testing.assert_allclose(np.stack(table["upper_body"]), wanted.parts[:, 1], atol=1e-6)
    np.testing.assert_allclose(table["lower_body_peak"], wanted.peak[:, 2], atol=1e-6)


@pytest.mark.parametrize(("limit", "at", "groups"), [("GROUP_ROWS", 4, [4, 3]), ("GROUP_BYTES", 1, [2, 2, 2, 1])])
def test_a_table_has_groups_of_several_batches(
    model: Model, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, at: int, groups: list[int]
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(building, "PART", 2)
    monkeypatch.setattr(tables, limit, at)
    build_gallery(model, find_crops([crops]), tmp_path / "t.parquet", "error")
    told = parquet.ParquetFile(tmp_path / "t.parquet").metadata
    assert [told.row_group(number).num_rows for number in range(told.num_row_groups)] == groups
    assert opened(tmp_path / "t.parquet", model).names == find_crops([crops]).names


def test_too_many_images_for_a_table_are_refused_at_once(
    model: Model, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 6)
    monkeypatch.setattr(model, "embed_in_batches", lambda *_: pytest.fail("they are embedded"))
    with pytest.raises(InputError, match=r"t\.parquet: 7 images, but a Parquet table takes 6; .* ends in \.zarr"):
        build_gallery(model, find_crops([crops]), tmp_path / "t.parquet", "error")
    assert not (tmp_path / "t.parquet").exists()


def test_nothing_is_left_of_what_cannot_be_finished(model: Model, crops: Path, target: Path) -> None:
    before = sorted(target.parent.iterdir())
    bad = crops / "cam2/später/6.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"^{bad}: "):
        build_gallery(model, find_crops([crops]), target, "error")
    with pytest.raises(InputError, match=f"none of 1 image can be decoded, the first: {bad}"):
        build_gallery(model, find_crops([bad]), target, "skip")
    assert sorted(target.parent.iterdir()) == before


@pytest.mark.parametrize(("meanwhile", "left"), [("nothing", 4), ("damage", 2), ("another machine", 0)])
def test_what_was_embedded_by_a_run_that_died_is_not_embedded_again(
    model: Model, crops: Path, target: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str, left: int
) -> None:
    """Parts of two batches of one image: it dies at the fifth of seven images, and goes on after the fourth."""
    monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(building, "PART", 2)
    found, embedded, whole = find_crops([crops]), [], target.with_name(f"whole{target.suffix}")
    build_gallery(model, found, whole, "error")
    original = Model._embed

    def dying(self: Model, images: list[np.ndarray]) -> Embedded:
        embedded.append(1)
        if len(embedded) == 5:
            raise KeyboardInterrupt
        return original(self, images)

    monkeypatch.setattr(Model, "_embed", dying)
    with pytest.raises(KeyboardInterrupt):
        build_gallery(model, found, target, "error")
    assert not target.exists()
    (kept,) = [path for path in target.parent.glob(f".{target.name}.*.part") if path.is_dir()]
    assert len(list(kept.iterdir())) == 2
    if meanwhile == "damage":
        next(kept.glob("2-*")).write_bytes(b"cut")
    if meanwhile == "another machine":
        there = model.environment.model_copy(update={"device": "cuda: another"})
        monkeypatch.setattr(Model, "environment", there)
    assert build_gallery(model, found, target, "error") == (7, left, [])
    assert len(embedded) == 5 + 7 - left
    assert not kept.exists()
    for name in NAMES:
        np.testing.assert_array_equal(
            read_all(array(opened(target, model).store, name)), read_all(array(opened(whole, model).store, name))
        )
    assert opened(target, model).names == found.names


def test_a_part_of_other_files_or_with_images_left_out_is_embedded_again(
    model: Model, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(building, "PART", 2)
    (tmp_path / "kept").mkdir()
    found, kept = find_crops([crops]), KeptArrays(tmp_path / "kept")
    good = found.files[1].read_bytes()
    found.files[1].write_bytes(b"no picture")
    names: list[str] = []
    assert write_embeddings(model, found, "skip", lambda rows, _: names.extend(rows), kept).images == 6
    assert len(write_embeddings(model, found, "skip", lambda *_: None, kept).problems) == 1, "told again"
    with pytest.raises(InputError, match="not an image"):
        write_embeddings(model, found, "error", lambda *_: None, kept)
    found.files[1].write_bytes(good)
    names.clear()
    assert write_embeddings(model, found, "error", lambda rows, _: names.extend(rows), kept).images == 7
    assert names == found.names
    assert write_embeddings(model, found, "error", lambda *_: None, kept).kept == 7
    found.files[6].write_bytes(good + b" ")
    assert write_embeddings(model, found, "error", lambda *_: None, kept).kept == 6


def test_a_store_is_replaced_and_nothing_else_is(model: Model, crops: Path, target: Path, tmp_path: Path) -> None:
    for _ in range(2):
        build_gallery(model, find_crops([crops]), target, "error")
    other = target.with_stem("other")
    if target.suffix == ".zarr":
        write_store(other, {"images": np.zeros((1, 8, 8, 3), np.uint8)})
    else:
        pd.DataFrame({"path": ["x"]}).to_parquet(other)
    with pytest.raises(InputError, match=f"--output {other}: is there and is no store of embeddings"):
        build_gallery(model, find_crops([crops]), other, "error")
    assert other.exists()
    for name in ("a.csv", "nowhere/a.zarr"):
        with pytest.raises(InputError, match=r"give a name that ends in .zarr or .parquet in a folder that exists"):
            build_gallery(model, find_crops([crops]), tmp_path / name, "error")


def test_a_store_of_another_model_is_refused(model: Model, crops: Path, target: Path) -> None:
    build_gallery(model, find_crops([crops]), target, "error")
    made, model.digest = model.digest, "0" * 32
    with pytest.raises(InputError, match=f"made by model {made[:12]!r}, but --model is 000000000000"):
        opened(target, model)


def test_damage_and_disguise_are_named(model: Model, crops: Path, target: Path) -> None:
    build_gallery(model, find_crops([crops]), target, "error")
    if target.suffix == ".parquet":
        target.write_bytes(target.read_bytes()[:-40])
        with pytest.raises(InputError, match=r"gallery.parquet: no readable table of embeddings"):
            opened(target, model)
        pd.DataFrame({"path": ["x"]}).to_parquet(target)
        with pytest.raises(InputError, match=r"gallery.parquet: no table of embeddings"):
            opened(target, model)
        return
    for name, change in {
        "short": lambda store: store["peak"].resize((3, 3)),
        "empty": lambda store: [values.resize((0, *values.shape[1:])) for _, values in store.arrays()],
        "names": lambda store: store["paths"].__setitem__((0, 0), 255),
        "none": lambda store: store.attrs.__delitem__("model"),
    }.items():
        copy = target.with_stem(name)
        shutil.copytree(target, copy)
        with pytest.raises(InputError, match=f"{name}.zarr"):
            open_gallery(edited(copy, change), model)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("image", (7, 9)), ("parts", (7, 4, 8)), ("likely", (7, 7)), ("guided", (7, 2)), ("peak", (6, 3))],
)
def test_arrays_that_the_model_cannot_have_made_are_refused(
    model: Model, crops: Path, tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    build_gallery(model, find_crops([crops]), tmp_path / "g.zarr", "error")
    zarr.open_group(str(tmp_path / "g.zarr"), mode="r+").create_array(
        name, data=np.ones(shape, np.float32), overwrite=True
    )
    with pytest.raises(InputError, match=re.escape(f"g.zarr/{name}: has shape {shape}, ") + ".*; make it anew with"):
        open_gallery(tmp_path / "g.zarr", model)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("image", [0.5] * 9, r"column image has fixed_size_list<.*>\[9\], the model asks for fixed_size_list<.*>\[8\]"),
        ("head_peak", "high", "column head_peak has string, the model asks for float"),
        ("foreground", [np.inf] * 8, "column foreground has numbers that are not finite"),
        ("upper_body", [np.nan] * 8, "column upper_body has numbers that are not finite"),
        ("head_likely", np.nan, "column head_likely has numbers that are not finite"),
        ("head_guided", None, "column head_guided has numbers that are not finite"),
    ],
)
def test_so_are_such_columns(model: Model, crops: Path, tmp_path: Path, column: str, value: Any, told: str) -> None:
    build_gallery(model, find_crops([crops]), tmp_path / "g.parquet", "error")
    table = parquet.read_table(tmp_path / "g.parquet")
    kind = pyarrow.list_(pyarrow.float32(), len(value)) if isinstance(value, list) else pyarrow.float32()
    values = pyarrow.array([value] * 7, pyarrow.string() if value == "high" else kind)
    parquet.write_table(table.set_column(table.column_names.index(column), column, values), tmp_path / "g.parquet")
    with pytest.raises(InputError, match=rf"g.parquet: {told}.*; make it anew with `hcga embed`"):
        opened(tmp_path / "g.parquet", model)


@pytest.mark.parametrize("told", ["../elsewhere", "/etc", "", None, 5])
def test_a_store_leads_nobody_out_of_its_folder(tmp_path: Path, told: object) -> None:
    assert folder_beside(tmp_path / "g.zarr", told) is None


def test_pictures_elsewhere_are_not_named(model: Model, crops: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    build_gallery(model, find_crops([crops]), tmp_path / "sub/g.zarr", "error")
    assert open_gallery(tmp_path / "sub/g.zarr", model).folder is None
    text = (tmp_path / "sub/g.zarr/zarr.json").read_text("utf-8")
    assert str(tmp_path) not in text
    build_gallery(model, find_crops([crops / "cam1"]), crops / "g.zarr", "error")
    assert open_gallery(crops / "g.zarr", model).folder == crops / "cam1"
    assert open_store(crops / "g.zarr").attrs["class_names"] == ["background", "head", "upper_body", "lower_body"]
