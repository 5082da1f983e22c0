"""Masks in formats of other programs: read back by others than those that wrote them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hcga.cli import main
from hcga.errors import InputError
from hcga.export import describe_region, export_masks
from hcga.masks import UNLABELLED, part_colour, upsample
from hcga.samples import read_samples, write_samples
from hcga.stores import array, open_store, write_store
from hcga.workspace import Workspace


@pytest.fixture
def workspace(workspace_folder: Path) -> Workspace:
    masks = np.random.default_rng(0).integers(0, 4, (3, 4, 2), np.uint8)
    masks[2, 0, 0] = UNLABELLED
    shutil.rmtree(workspace_folder / "data/masks/r1.zarr")
    write_store(workspace_folder / "data/masks/r1.zarr", {"masks": masks, "labels": masks}, part_classes=4)
    return Workspace(workspace_folder)


@pytest.fixture
def masks(workspace: Workspace) -> np.ndarray:
    return upsample(np.asarray(array(open_store(workspace.root / "data/masks/r1.zarr"), "masks")[:]))


NAMES = ["train/3_1", "train/3_2", "train/8_1"]


def test_pictures_stand_under_the_images_names(workspace: Workspace, masks: np.ndarray, tmp_path: Path) -> None:
    assert export_masks(workspace, "r1", "png", [], tmp_path / "out") == 3
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert files == [f"main/{name}.png" for name in NAMES]
    for name, mask in zip(NAMES, masks, strict=True):
        with Image.open(tmp_path / "out" / "main" / f"{name}.png") as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.asarray(picture), mask)
            colours = np.asarray(picture.convert("RGB"))
        assert (colours[mask == 2] == part_colour(2)).all()
        assert (colours[mask == UNLABELLED] == 255).all()


def test_numpy_has_all_in_one_file(workspace: Workspace, masks: np.ndarray, tmp_path: Path) -> None:
    assert export_masks(workspace, "r1", "npz", [8], tmp_path / "out.npz") == 1
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_array_equal(found["masks"], masks[2:])
        assert found["pids"].tolist() == [8]
        assert found["paths"].tolist() == ["train/8_1.jpg"]
        assert found["datasets"].tolist() == ["main"]
        assert found["class_names"].tolist() == ["background", "head", "upper_body", "lower_body"]


def decode(segmentation: dict[str, list[int]]) -> np.ndarray:
    """As COCO's own tools read it: columns first, runs of 0 and 1 in turn, 0 first."""
    height, width = segmentation["size"]
    values = [np.full(count, number % 2, bool) for number, count in enumerate(segmentation["counts"])]
    return np.concatenate(values).reshape(width, height).T


def test_coco_has_an_annotation_for_each_part(workspace: Workspace, masks: np.ndarray, tmp_path: Path) -> None:
    export_masks(workspace, "r1", "coco", [], tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    assert [category["name"] for category in content["categories"]] == ["head", "upper_body", "lower_body"]
    assert [image["file_name"] for image in content["images"]] == [f"main/{name}.jpg" for name in NAMES]
    assert [(image["height"], image["width"], image["pid"]) for image in content["images"]] == [
        (16, 8, p) for p in (3, 3, 8)
    ]
    assert [found["id"] for found in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    drawn = np.where(masks == UNLABELLED, 0, masks) * 0
    for found in content["annotations"]:
        region = decode(found["segmentation"])
        assert found["area"] == region.sum() > 0
        drawn[found["image_id"] - 1][region] = found["category_id"]
    np.testing.assert_array_equal(drawn, np.where(masks == UNLABELLED, 0, masks))


@pytest.mark.parametrize("first", [True, False])
def test_a_region_as_runs_and_box(first: bool) -> None:
    region = np.zeros((4, 5), bool)
    region[1:3, 2:4] = region[0, 0] = first
    region[3, 4] = True
    found = describe_region(region)
    np.testing.assert_array_equal(decode(found["segmentation"]), region)
    assert sum(found["segmentation"]["counts"]) == 20
    assert found["bbox"] == ([0, 0, 5, 4] if first else [4, 3, 1, 1])
    assert found["area"] == (6 if first else 1)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["masks", "export", *arguments])


def test_the_command(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(workspace.root)
    result = call(str(tmp_path / "out"), "--round", "r1", "--pid", "3")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'out'}: 2 masks\n")
    for arguments, message in (
        ([str(tmp_path / "out"), "--round", "r1"], "name a file or folder that does not exist yet"),
        ([str(tmp_path / "no" / "out"), "--round", "r1"], "name a file or folder that does not exist yet"),
        ([str(tmp_path / "x"), "--round", "r1", "--pid", "5"], "identity 5 is not among the 2 training identities"),
        ([str(tmp_path / "x"), "--round", "r2"], "r2.zarr: no readable store"),
    ):
        result = call(*arguments)
        assert result.exit_code == 1
        assert message in result.stderr
    assert not (tmp_path / "x").exists()


def test_no_mask_is_written_elsewhere(workspace: Workspace, tmp_path: Path) -> None:
    samples = read_samples(workspace.root / "data/samples.csv")
    samples.loc[1, "path"] = "../../../../escaped.jpg"
    write_samples(samples, workspace.root / "data/samples.csv")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    with pytest.raises(InputError, match=r"escaped.jpg: leads out of the data set"):
        export_masks(workspace, "r1", "png", [], tmp_path / "deep" / "er" / "out")
    assert not list(tmp_path.rglob("escaped*"))
    assert not (tmp_path / "deep" / "er" / "out").exists()


def test_two_images_of_one_name_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    samples = read_samples(workspace.root / "data/samples.csv")
    samples.loc[1, "path"] = "train/3_1.png"
    write_samples(samples, workspace.root / "data/samples.csv")
    with pytest.raises(InputError, match=r"3_1.png: another image differs only in its ending"):
        export_masks(workspace, "r1", "png", [], tmp_path / "out")
    assert not (tmp_path / "out").exists()
