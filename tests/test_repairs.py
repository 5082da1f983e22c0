"""Masks repaired by hand come back from an editor, all or none."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hcga.cli import main
from hcga.errors import InputError
from hcga.export import export_masks
from hcga.masks import UNLABELLED, part_colour, upsample
from hcga.pictures import palette_image
from hcga.repairs import import_masks, read_mask
from hcga.stores import array, open_store
from hcga.workspace import Workspace

NAME = "main/train/3_2.png"  # row 1


@pytest.fixture
def workspace(workspace_folder: Path) -> Workspace:
    """Three training images of 16 x 8 pixels; identity 3 has rows 0 and 1."""
    return Workspace(workspace_folder)


@pytest.fixture
def exported(workspace: Workspace, tmp_path: Path) -> Path:
    """What `hcga masks export` wrote of all three training images."""
    export_masks(workspace, "r1", "png", [], tmp_path / "masks")
    return tmp_path / "masks"


def stored(workspace: Workspace, row: int) -> np.ndarray:
    return np.asarray(array(open_store(workspace.path("coparse", "masks", "r1")), "masks")[row])


def edit(file: Path, colour: int = 2) -> np.ndarray:
    """Paint the upper left quarter with a part."""
    with Image.open(file) as image:
        pixels = np.array(image)
    pixels[:8, :4] = colour
    palette_image(pixels, 4).save(file)
    return pixels


def test_only_edited_masks_are_taken(workspace: Workspace, exported: Path) -> None:
    pixels = edit(exported / NAME)
    taken, unchanged = import_masks(workspace, exported)
    target = workspace.root / "data/repairs" / NAME
    assert (taken, unchanged) == ([target], 2)
    with Image.open(target) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    assert [path for path in (workspace.root / "data/repairs").rglob("*") if path.is_file()] == [target]


def test_strokes_that_change_no_cell_are_no_repair(workspace: Workspace, exported: Path) -> None:
    with Image.open(exported / NAME) as image:
        pixels = np.array(image)
    pixels[:2, :2] = (pixels[0, 0] + 1) % 4  # a quarter of a cell
    palette_image(pixels, 4).save(exported / NAME)
    assert import_masks(workspace, exported) == ([], 3)


def test_a_repair_can_be_repaired_back(workspace: Workspace, exported: Path, tmp_path: Path) -> None:
    export_masks(workspace, "r1", "png", [3], tmp_path / "again")
    edit(exported / NAME)
    import_masks(workspace, exported)
    (target,), _ = import_masks(workspace, tmp_path / "again")
    np.testing.assert_array_equal(read_mask(target, 4), upsample(stored(workspace, 1)[None])[0])


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "L"])
def test_editors_save_in_many_ways(tmp_path: Path, mode: str) -> None:
    """Colours count, not the order in which a palette has them; grey pictures hold the numbers themselves."""
    mask = np.array([[0, 1, 2, 3, UNLABELLED] * 2] * 8, np.uint8)
    colours = [part_colour(part) for part in range(4)] + [(255, 255, 255)]
    file = tmp_path / "mask.png"
    if mode == "L":
        Image.fromarray(mask).save(file)
    elif mode == "P":
        order = [3, 0, 4, 1, 2]
        picture = Image.fromarray(np.array([[order.index(n) for n in range(5)] * 2] * 8, np.uint8), "P")
        picture.putpalette([channel for number in order for channel in colours[number]])
        picture.save(file)
    else:
        picture = Image.fromarray(np.array([colours * 2] * 8, np.uint8))
        picture.convert(mode).save(file)
    np.testing.assert_array_equal(read_mask(file, 4), mask)


def test_with_more_parts_than_colours_numbers_count(tmp_path: Path) -> None:
    mask = np.array([[0, 7, 8, 255] * 2] * 8, np.uint8)
    palette_image(mask, 9).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 9), mask)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((8, 8), 4, np.uint8), r"number 4; parts are 0 to 3, 255 says nothing"),
        (
            np.full((8, 8, 3), 9, np.uint8),
            r"colour #090909 at row 0, column 0 is no part's; .* head #e69f00, ",
        ),
    ],
)
def test_what_is_no_part_is_refused_and_nothing_taken(
    workspace: Workspace, exported: Path, pixels: np.ndarray, message: str
) -> None:
    edit(exported / "main/train/3_1.png")
    Image.fromarray(pixels).save(exported / NAME)
    with pytest.raises(InputError, match=rf"3_2\.png: .*{message}"):
        import_masks(workspace, exported)
    assert not (workspace.root / "data/repairs").exists()


def test_renamed_pictures_and_empty_folders_are_refused(workspace: Workspace, exported: Path, tmp_path: Path) -> None:
    (exported / NAME).rename(exported / "main/train/3_2 copy.png")
    with pytest.raises(InputError, match=r"3_2 copy\.png: of no training image; keep the name .* main/train/3_1\.png"):
        import_masks(workspace, exported)
    (tmp_path / "empty").mkdir()
    for folder, message in (("empty", "holds no PNG"), ("nowhere", "no such folder")):
        with pytest.raises(InputError, match=message):
            import_masks(workspace, tmp_path / folder)


def test_command(workspace: Workspace, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.root)
    edit(exported / NAME)
    done = CliRunner().invoke(main, ["masks", "import", str(exported)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "data/repairs: 1 mask(s) taken; 2 are as co-parsing made them"
    assert "dvc repro" in done.output
    text = workspace.params_file.read_text(encoding="utf-8")
    workspace.params_file.write_text(text.replace("repair: true", "repair: false"), encoding="utf-8")
    done = CliRunner().invoke(main, ["masks", "import", str(exported)])
    assert "coparse.repair is false" in done.output
    (exported / NAME).write_bytes(b"broken")
    done = CliRunner().invoke(main, ["masks", "import", str(exported)])
    assert done.exit_code == 1
    assert "3_2.png: not an image" in done.output
