"""Masks in formats of other programs: read back by others than those that wrote them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hcga.cli.main import main
from hcga.errors import InputError
from hcga.masks.export import describe_region, export_masks
from hcga.masks.parts import UNLABELLED, part_colour, upsample
from hcga.masks.repairs import import_masks
from hcga.runs.revisions import Revision
from hcga.runs.workspace import Workspace
from hcga.samples import read_samples, write_samples
from hcga.store_writing import write_store
from hcga.stores import array, open_store


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
SIZES = [(16, 8), (40, 22), (12, 300)]  # height and width: of the network; larger; another shape
ROOT = "data/synthetic"


@pytest.fixture
def images(workspace: Workspace) -> list[Path]:
    """Image files of the samples, each of a size of its own."""
    files = [workspace.root / ROOT / f"{name}.jpg" for name in NAMES]
    files[0].parent.mkdir(parents=True)
    for file, (height, width) in zip(files, SIZES, strict=True):
        Image.new("RGB", (width, height)).save(file)
    return files


def enlarge(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each pixel has the label of the cell that its centre lies in."""
    rows, columns = (
        ((np.arange(pixels) + 0.5) * count / pixels).astype(int)
        for pixels, count in zip((height, width), cells.shape, strict=True)
    )
    return cells[rows][:, columns]


def test_pictures_stand_under_the_images_names(workspace: Workspace, masks: np.ndarray, tmp_path: Path) -> None:
    done = export_masks(workspace, "r1", "png", [], tmp_path / "out")
    assert done == (3, 0, [f"{ROOT}/{name}.jpg" for name in NAMES], 4)
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert files == [f"main/{name}.png" for name in NAMES]
    for name, mask in zip(NAMES, masks, strict=True):
        with Image.open(tmp_path / "out" / "main" / f"{name}.png") as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.asarray(picture), mask)
            colours = np.asarray(picture.convert("RGB"))
        assert (colours[mask == 2] == part_colour(2)).all()
        assert (colours[mask == UNLABELLED] == 255).all()


class Older(Revision):
    """A revision that has what a workspace has."""

    def __init__(self, root: Path) -> None:
        Workspace.__init__(self, root)

    path = Workspace.path


def test_of_a_revision_it_is_what_its_round_had(workspace: Workspace, masks: np.ndarray, tmp_path: Path) -> None:
    """Today's repairs may have been made since."""
    repair = workspace.root / "data/repairs" / f"{NAMES[1]}.png"
    repair.parent.mkdir(parents=True)
    Image.fromarray(np.full((8, 16), 3, np.uint8)).save(repair)
    assert export_masks(workspace, "r1", "png", [], tmp_path / "now").repaired == 1
    assert export_masks(Older(workspace.root), "r1", "png", [], tmp_path / "then").repaired == 0


@pytest.mark.usefixtures("images")
def test_a_picture_has_the_size_of_its_image(workspace: Workspace, masks: np.ndarray, tmp_path: Path) -> None:
    assert export_masks(workspace, "r1", "png", [], tmp_path / "out").missing == []
    for name, mask, size in zip(NAMES, masks, SIZES, strict=True):
        with Image.open(tmp_path / "out" / "main" / f"{name}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), enlarge(mask[::4, ::4], *size))


def test_a_missing_image_is_named_and_its_mask_has_the_networks_size(
    workspace: Workspace, images: list[Path], tmp_path: Path
) -> None:
    images[1].unlink()
    for kind in ("png", "coco"):
        assert export_masks(workspace, "r1", kind, [], tmp_path / kind).missing == [f"{ROOT}/{NAMES[1]}.jpg"]
    with Image.open(tmp_path / "png" / "main" / f"{NAMES[1]}.png") as picture:
        assert picture.size == (8, 16)
    listed = json.loads((tmp_path / "coco").read_text())["images"]
    assert [(image["height"], image["width"]) for image in listed] == [SIZES[0], (16, 8), SIZES[2]]


@pytest.mark.usefixtures("images")
def test_repairs_are_in_pictures_alone(workspace: Workspace, tmp_path: Path) -> None:
    """They are to be edited further; the other formats tell what a round had."""
    repair = workspace.root / "data/repairs/main" / f"{NAMES[1]}.png"
    repair.parent.mkdir(parents=True)
    stripes = np.tile(np.array([[1], [2]], np.uint8), (4, 8))
    Image.fromarray(stripes).save(repair)  # of another size than the image
    assert export_masks(workspace, "r1", "png", [8, 8], tmp_path / "8")[:2] == (1, 0)
    assert export_masks(workspace, "r1", "png", [], tmp_path / "out").repaired == 1
    with Image.open(tmp_path / "out" / "main" / f"{NAMES[1]}.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), enlarge(stripes, *SIZES[1]))
    for kind in ("npz", "coco"):
        assert export_masks(workspace, "r1", kind, [], tmp_path / f"with.{kind}").repaired == 0
    text = workspace.params_file.read_text(encoding="utf-8")
    workspace.params_file.write_text(text.replace("repairs: true", "repairs: false"), encoding="utf-8")
    assert export_masks(Workspace(workspace.root), "r1", "png", [], tmp_path / "unused").repaired == 0
    repair.unlink()
    for kind in ("npz", "coco"):
        export_masks(workspace, "r1", kind, [], tmp_path / f"without.{kind}")
        assert (tmp_path / f"with.{kind}").read_bytes() == (tmp_path / f"without.{kind}").read_bytes()


@pytest.mark.usefixtures("images")
def test_numpy_has_all_in_one_file(workspace: Workspace, masks: np.ndarray, tmp_path: Path) -> None:
    """One array has one size: the network's."""
    assert export_masks(workspace, "r1", "npz", [8], tmp_path / "out.npz") == (1, 0, [], 4)
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


def test_coco_has_an_annotation_for_each_part(
    workspace: Workspace, masks: np.ndarray, images: list[Path], tmp_path: Path
) -> None:
    export_masks(workspace, "r1", "coco", [], tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    assert [category["name"] for category in content["categories"]] == ["head", "upper_body", "lower_body"]
    assert [workspace.root / image["file_name"] for image in content["images"]] == images
    assert [image["pid"] for image in content["images"]] == [3, 3, 8]
    for image in content["images"]:
        with Image.open(workspace.root / image["file_name"]) as file:
            assert file.size == (image["width"], image["height"])
    assert [found["id"] for found in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    drawn = [np.zeros(size, np.uint8) for size in SIZES]
    for found in content["annotations"]:
        region = decode(found["segmentation"])
        assert found["area"] == region.sum() > 0
        drawn[found["image_id"] - 1][region] = found["category_id"]
    for found, mask, size in zip(drawn, masks, SIZES, strict=True):
        np.testing.assert_array_equal(found, enlarge(np.where(mask == UNLABELLED, 0, mask)[::4, ::4], *size))


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


def test_the_command(workspace: Workspace, images: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(workspace.root)
    images[0].unlink()
    result = call(str(tmp_path / "out"), "--round", "r1", "--pid", "3")
    first, then = result.stdout.splitlines()
    assert (result.exit_code, first) == (0, f"{tmp_path / 'out'}: 2 mask(s) of r1")
    assert then.startswith("to repair some, paint in background #000000, head #e69f00, ")
    assert then.endswith(f"or white for what is not known; then `hcga masks import {tmp_path / 'out'}`")
    assert result.stderr.startswith(f"note: 1 image file(s) are not there, such as {ROOT}/train/3_1.jpg: their masks")
    result = call(str(tmp_path / "out.npz"), "--round", "r1", "--format", "npz")
    assert result.output == f"{tmp_path / 'out.npz'}: 3 mask(s) of r1\n"
    shutil.copytree(tmp_path / "out", workspace.root / "data/repairs")
    result = call(str(tmp_path / "again"), "--round", "r1")
    assert result.stdout.splitlines()[0] == f"{tmp_path / 'again'}: 3 mask(s) of r1, 2 of them as repaired by hand"
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


@pytest.mark.parametrize("kind", ["png", "npz", "coco"])
def test_a_store_that_does_not_say_its_part_classes_is_refused(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    shutil.rmtree(workspace.root / "data/masks/r1.zarr")
    masks = np.zeros((3, 4, 2), np.uint8)
    write_store(workspace.root / "data/masks/r1.zarr", {"masks": masks, "labels": masks})
    with pytest.raises(InputError, match=r"r1\.zarr: no attribute 'part_classes' \(int\); it has: "):
        export_masks(workspace, "r1", kind, [], tmp_path / "out")


def test_no_mask_is_written_elsewhere(workspace: Workspace, tmp_path: Path) -> None:
    samples = read_samples(workspace.root / "data/samples.csv")
    samples.loc[1, "path"] = "../../../../escaped.jpg"
    write_samples(samples, workspace.root / "data/samples.csv")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    with pytest.raises(InputError, match=r"samples\.csv: row 2: path is '.*escaped\.jpg'; `dvc repro` makes it"):
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


def test_the_names_are_those_that_the_import_looks_for(workspace: Workspace, tmp_path: Path) -> None:
    samples = read_samples(workspace.root / "data/samples.csv")
    samples.loc[1, "path"] = "train/3_2.jpg.jpg"
    write_samples(samples, workspace.root / "data/samples.csv")
    export_masks(workspace, "r1", "png", [], tmp_path / "out")
    assert import_masks(workspace, tmp_path / "out").left == 3
