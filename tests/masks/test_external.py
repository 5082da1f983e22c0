"""Masks made elsewhere: where they are looked for, what they become, what is said of those that lack."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click import ClickException
from conftest import ROOT
from PIL import Image

from hcga.errors import InputError
from hcga.masks.external import translate
from hcga.masks.parts import UNLABELLED
from hcga.params import load_params
from hcga.samples import COLUMNS, describe_image_set, write_samples
from hcga.store_writing import write_store

SIZE = (16, 8)
PATHS = ["bounding_box_train/0002_c1.jpg", "bounding_box_train/0002_c2.jpg.jpg", "bounding_box_train/0007_c1.jpg"]


@pytest.fixture
def samples():
    rows = [("train", pid, path) for pid, path in zip((2, 2, 7), PATHS, strict=True)]
    rows += [("query", 9, "query/0009_c1.jpg"), ("gallery", 9, "bounding_box_test/0009_c2.jpg")]
    return pd.DataFrame(rows, columns=["split", "pid", "path"]).assign(dataset="main")


def save(root, name, labels):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(labels, np.uint8)).save(file)


def person(value=1):
    """A label image of 16 x 8 pixels: rows 4 to 11 are `value`."""
    labels = np.zeros(SIZE, np.uint8)
    labels[4:12] = value
    return labels


def cells(value=1):
    return [[0, 0], [value, value], [value, value], [0, 0]]


@pytest.fixture
def folders(tmp_path):
    for name in ("external", "repairs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text("not a picture")
    return tmp_path / "external", tmp_path / "repairs"


def run(samples, folders, labels="parts", part_classes=4):
    return translate(samples, folders[0], labels, folders[1], SIZE, part_classes)


def test_without_masks_all_is_unlabelled(samples, folders):
    found = run(samples, folders)
    assert found.external.shape == found.repairs.shape == (3, 4, 2)
    assert (found.external == UNLABELLED).all()
    assert (found.repairs == UNLABELLED).all()
    assert found.table["external"].tolist() == ["missing"] * 3
    assert not found.table["repaired"].any()


@pytest.mark.parametrize("prefix", ["main/bounding_box_train", "bounding_box_train", "."])
def test_label_images_are_found_below_the_set_the_path_or_the_name(samples, folders, prefix):
    save(folders[0], f"{prefix}/0002_c2.png", person(2))
    save(folders[0], "query/0009_c1.png", person())  # of no training image: no error
    found = run(samples, folders)
    assert found.external[1].tolist() == cells(2)
    assert found.table["external"].tolist() == ["missing", "mask", "missing"]


def test_the_account_tells_missing_from_empty(samples, folders):
    save(folders[0], "0002_c1.png", np.zeros(SIZE))
    save(folders[0], "0007_c1.png", person(3))
    found = run(samples, folders)
    assert found.table["external"].tolist() == ["no person", "missing", "mask"]
    assert (found.external[0] == UNLABELLED).all(), "a crop shows a person: an empty mask says nothing"
    assert list(found.table) == ["dataset", "path", "pid", "external", "repaired"]
    assert len(found.table) == 3


def test_numbers_are_translated_and_any_size_is_resized(samples, folders):
    labels = np.zeros((32, 16), np.uint8)
    labels[8:24] = 13  # a face, twice as large
    save(folders[0], "0002_c1.png", labels)
    assert run(samples, folders, "lip").external[0].tolist() == cells(1)


def test_a_cell_takes_the_class_of_most_of_its_pixels(samples, folders):
    labels = np.zeros(SIZE, np.uint8)
    labels[:4, :3], labels[4:8, :2], labels[8:9, 4:] = 1, 2, 3  # three quarters, a tie with background, a quarter
    save(folders[0], "0002_c1.png", labels)
    assert run(samples, folders).external[0].tolist() == [[1, 0], [0, 0], [0, 0], [0, 0]]


def test_repairs_are_kept_apart_and_may_be_empty(samples, folders):
    save(folders[0], "0002_c1.png", person(1))
    save(folders[1], "main/bounding_box_train/0002_c1.png", person(3))
    save(folders[1], "main/bounding_box_train/0007_c1.png", np.zeros(SIZE))
    found = run(samples, folders, {"background": [0], "head": [], "upper_body": [1], "lower_body": []})
    assert found.external[0].tolist() == cells(2)
    assert found.repairs[0].tolist() == cells(3), "in our own numbers, whatever external.labels says"
    assert (found.repairs[2] == 0).all()
    assert found.table["repaired"].tolist() == [True, False, True]
    assert (run(samples, (folders[0], None)).repairs == UNLABELLED).all(), "left out"


def test_the_stage_leaves_repairs_out_if_params_say_so(samples, folders, write_params, monkeypatch):
    main = runpy.run_path(str(ROOT / "pipeline" / "translate.py"))["main"]
    monkeypatch.chdir(folders[0].parent)
    save(folders[1], "0002_c1.png", person())
    write_samples(samples.assign(camid=1, sequence=1, frame=1)[list(COLUMNS)], Path("samples.csv"))
    for used in (True, False):
        write_params({"external.root": "external", "external.repairs": used})
        options = {"samples": "samples.csv", "repairs": "repairs", "masks": "masks.zarr", "table": "table.csv"}
        main([text for name, value in options.items() for text in (f"--{name}", value)], standalone_mode=False)
        assert pd.read_csv("table.csv")["repaired"].tolist() == [used, False, False]


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"image.height": 96}, "made of other images"), ({"part_classes": 5}, "of 4 part classes, not 5")],
)
def test_co_parsing_refuses_masks_of_other_images_or_parts(samples, folders, write_params, monkeypatch, changes, told):
    """As after a run of single stages that has left translate out."""
    stages = {verb: runpy.run_path(str(ROOT / "pipeline" / f"{verb}.py"))["main"] for verb in ("translate", "coparse")}
    monkeypatch.chdir(folders[0].parent)
    listed = samples.assign(camid=1, sequence=1, frame=1)[list(COLUMNS)]
    write_samples(listed, Path("samples.csv"))
    write_params({"external.root": "external"})
    options = {"samples": "samples.csv", "repairs": "repairs", "masks": "masks.zarr", "table": "table.csv"}
    stages["translate"]([f"--{name}={value}" for name, value in options.items()], standalone_mode=False)
    write_params(changes)
    about = describe_image_set(listed, load_params(Path("params.yaml")).image)
    stores = {name: f"{name}.zarr" for name in ("images", "features", "previous")}
    for store in stores.values():
        write_store(Path(store), {}, epoch=0, run={}, **about)
    options = stores | {"samples": "samples.csv", "translated": "masks.zarr", "masks": "r1.zarr", "table": "r1.csv"}
    with pytest.raises(ClickException, match=rf"masks\.zarr: {told}"):
        stages["coparse"]([f"--{name}={value}" for name, value in options.items()], standalone_mode=False)


def test_true_masks_of_synthetic_people_may_be_named_before_they_are_drawn(tmp_path, write_params, monkeypatch):
    """As where an ablation begins in a folder of its own."""
    main = runpy.run_path(str(ROOT / "pipeline" / "check.py"))["main"]
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    write_params({"external.root": "data/synthetic/truth"})
    main(["--checked", "checked.txt"], standalone_mode=False)
    write_params({"external.root": "data/synthetic-truth"})
    with pytest.raises(ClickException, match=r"external\.root: data/synthetic-truth is no folder"):
        main(["--checked", "checked.txt"], standalone_mode=False)
    Path("set").mkdir()
    write_params({"external.root": "data/synthetic/truth", "synthetic": None, "datasets.main.root": "set"})
    with pytest.raises(ClickException, match=r"external\.root: data/synthetic/truth is no folder"):
        main(["--checked", "checked.txt"], standalone_mode=False)


def test_a_folder_without_any_mask_is_refused_before_anything_is_computed(tmp_path, write_params, monkeypatch):
    main = runpy.run_path(str(ROOT / "pipeline" / "check.py"))["main"]
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    Path("masks/below").mkdir(parents=True)
    Path("masks/README.md").write_text("here they go")
    changes = {"external.root": "masks", "coparse.source": "external"}
    write_params(changes | {"coparse.source": "hcnet"})
    main(["--checked", "checked.txt"], standalone_mode=False)
    write_params(changes)
    with pytest.raises(ClickException, match=r"coparse.source is external, but masks holds no label image"):
        main(["--checked", "checked.txt"], standalone_mode=False)
    for file in ("masks/below/0002_c1.PNG", "masks/zarr.json"):
        Path(file).touch()
        main(["--checked", "checked.txt"], standalone_mode=False)
        Path(file).unlink()


def test_what_replaces_no_mask_is_said(samples, folders, caplog):
    run(samples, folders)
    assert not caplog.records, "the guide that lies there is no stray"
    save(folders[1], "0002_c1.png", person())
    for name in ("0009_c1.png", "bounding_box_train/2_c1.png"):  # of a query; mistyped
        save(folders[1], name, person())
    (folders[1] / "0007_c1.tif").write_bytes(b"as an editor has saved it")
    assert run(samples, folders).table["repaired"].tolist() == [True, False, False]
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == (
        f"warning: {folders[1]}: 3 file(s) are no PNG of a training image and replace no mask: 0007_c1.tif, "
        "0009_c1.png, bounding_box_train/2_c1.png"
    )
    (folders[1] / "0008.jpg").write_bytes(b"")
    run(samples, folders)
    assert caplog.records[-1].getMessage().endswith("mask: 0007_c1.tif, 0008.jpg, 0009_c1.png, ...")


def test_a_number_beyond_the_parts_is_the_repairs_own_mistake(samples, folders):
    save(folders[1], "0002_c1.png", person(4))
    with pytest.raises(
        InputError, match=r"repairs/0002_c1\.png: number 4; with part_classes 4 parts are 0 to 3"
    ) as error:
        run(samples, folders, "lip")
    assert "external" not in str(error.value)


def test_masks_of_a_store(samples, tmp_path, folders):
    arrays = {"labels": np.stack([person(2), person(1), person(3)])}
    write_store(tmp_path / "store.zarr", arrays, paths=[f"main/{PATHS[2]}", "0002_c1.jpg", "elsewhere/1.jpg"])
    found = translate(samples, tmp_path / "store.zarr", "parts", folders[1], SIZE, 4)
    assert found.table["external"].tolist() == ["mask", "missing", "mask"]
    assert found.external[2].tolist() == cells(2)


def test_unknown_number_names_file_and_what_is_known(samples, folders):
    save(folders[0], "0002_c1.png", person(7))
    with pytest.raises(InputError, match=r"0002_c1\.png: label 7; known are 0, 1, 2, 3, 255: look at external\.labels"):
        run(samples, folders)


def test_masks_of_other_images_only_are_refused(samples, folders):
    save(folders[0], "bounding_box_train/9999_c1.png", person())
    with pytest.raises(InputError, match=r"none of its 1 label images is of a training image; looked for main/bound"):
        run(samples, folders)


def test_name_that_two_images_share_is_refused(samples, folders):
    samples.loc[2, "path"] = "elsewhere/0002_c1.jpg"
    save(folders[0], "0002_c1.png", person())
    with pytest.raises(InputError, match=r"is it of bounding_box_train/0002_c1\.jpg or of elsewhere/0002_c1\.jpg\?"):
        run(samples, folders)
    save(folders[0], "elsewhere/0002_c1.png", person(2))  # now each has one
    assert run(samples, folders).table["external"].tolist() == ["mask", "missing", "mask"]


@pytest.mark.parametrize("attributes", [{}, {"paths": ["a.png"]}])
def test_store_without_its_parts_is_refused(samples, tmp_path, folders, attributes):
    write_store(tmp_path / "store.zarr", {"labels": np.stack([person(), person()])}, **attributes)
    with pytest.raises(InputError, match=r"store\.zarr: wanted are labels \(N, H, W\) uint8 and an attribute paths"):
        translate(samples, tmp_path / "store.zarr", "parts", folders[1], SIZE, 4)


def test_colour_images_and_broken_files_are_refused(samples, folders):
    save(folders[0], "0002_c1.png", np.zeros((*SIZE, 3)))
    with pytest.raises(InputError, match=r"0002_c1\.png: mode RGB; a label image has one 8-bit channel"):
        run(samples, folders)
    (folders[0] / "0002_c1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"0002_c1\.png: not an image"):
        run(samples, folders)


def test_the_ending_may_be_written_large(samples, folders):
    save(folders[0], "0002_c1.PNG", person(2))
    assert run(samples, folders).external[0].tolist() == cells(2)
    save(folders[0], "0002_c1.png", person())
    with pytest.raises(InputError, match=r"0002_c1\.png: beside .*0002_c1\.PNG, of the same name; delete one of them"):
        run(samples, folders)
