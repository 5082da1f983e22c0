"""Masks repaired by hand come back from an editor, all or none, and no repair is lost."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hcga.cli.main import main
from hcga.errors import InputError
from hcga.masks.export import export_masks
from hcga.masks.export_note import FILE
from hcga.masks.painted import read_mask
from hcga.masks.parts import UNLABELLED, upsample
from hcga.masks.pictures import palette_image
from hcga.masks.repairs import import_masks
from hcga.runs.workspace import Workspace
from hcga.samples import read_samples, write_samples
from hcga.store_writing import write_store
from hcga.stores import array, open_store

NAME = "main/train/3_2.png"  # row 1


@pytest.fixture
def workspace(workspace_folder: Path) -> Workspace:
    """Three training images of 16 x 8 pixels; identity 3 has rows 0 and 1."""
    return Workspace(workspace_folder)


@pytest.fixture
def exported(workspace: Workspace, tmp_path: Path) -> Path:
    """What `hcga masks export` wrote of all three training images."""
    return export(workspace, tmp_path / "masks")


def export(workspace: Workspace, target: Path) -> Path:
    export_masks(workspace, "r1", "png", [], target)
    return target


def stored(workspace: Workspace, row: int) -> np.ndarray:
    """Mask of r1 at the network's size."""
    return upsample(np.asarray(array(open_store(workspace.path("coparse", "masks", "r1")), "masks")[row])[None])[0]


def repair(workspace: Workspace) -> Path:
    return workspace.root / "data/repairs" / NAME


def edit(file: Path, colour: int = 2, rows: slice = slice(8)) -> np.ndarray:
    """Paint the left half of rows with a part."""
    with Image.open(file) as image:
        pixels = np.array(image)
    pixels[rows, :4] = colour
    palette_image(pixels, 4).save(file)
    return pixels


def test_only_edited_masks_are_taken(workspace: Workspace, exported: Path) -> None:
    pixels = edit(exported / NAME)
    assert import_masks(workspace, exported)[:3] == ([repair(workspace)], 0, 2)
    with Image.open(repair(workspace)) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    assert [path for path in (workspace.root / "data/repairs").rglob("*") if path.is_file()] == [repair(workspace)]


def test_strokes_that_change_no_cell_are_no_repair(workspace: Workspace, exported: Path) -> None:
    with Image.open(exported / NAME) as image:
        pixels = np.array(image)
    pixels[:2, :2] = (pixels[0, 0] + 1) % 4  # a quarter of a cell
    palette_image(pixels, 4).save(exported / NAME)
    assert import_masks(workspace, exported) == ([], 0, 3, [exported / NAME], [])


def test_edited_means_other_than_exported_not_other_than_a_round(workspace: Workspace, exported: Path) -> None:
    with Image.open(exported / NAME) as image:
        later = np.array(image)[::4, ::4][None].repeat(3, 0)
    later[:, 2:] = 3
    write_store(workspace.path("coparse", "masks", "r2"), {"masks": later, "labels": later}, part_classes=4)
    palette_image(upsample(later)[1], 4).save(exported / NAME)
    assert import_masks(workspace, exported)[:3] == ([repair(workspace)], 0, 2)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_saving_in_another_mode_is_no_edit(workspace: Workspace, exported: Path, mode: str) -> None:
    for file in exported.rglob("*.png"):
        with Image.open(file) as image:
            Image.fromarray(np.asarray(image.convert(mode))).save(file)
    assert import_masks(workspace, exported)[:3] == ([], 0, 3)


def test_a_repair_that_no_round_has_used_yet_is_exported_and_stays(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    pixels = edit(exported / NAME)
    import_masks(workspace, exported)
    again = export(workspace, tmp_path / "again")
    np.testing.assert_array_equal(read_mask(again / NAME, 4), pixels)
    assert import_masks(workspace, again)[:3] == ([], 0, 3)
    np.testing.assert_array_equal(read_mask(repair(workspace), 4), pixels)
    both = edit(again / NAME, 3, slice(8, 16))
    assert import_masks(workspace, again)[:3] == ([repair(workspace)], 1, 2)
    np.testing.assert_array_equal(read_mask(repair(workspace), 4), both)
    assert (both[:8, :4] == 2).all(), "the earlier strokes are in it"


def test_a_folder_may_be_edited_further_after_its_import(workspace: Workspace, exported: Path) -> None:
    edit(exported / NAME)
    import_masks(workspace, exported)
    assert import_masks(workspace, exported)[:3] == ([], 0, 3)
    pixels = edit(exported / NAME, 3)
    assert import_masks(workspace, exported)[:3] == ([repair(workspace)], 1, 2)
    np.testing.assert_array_equal(read_mask(repair(workspace), 4), pixels)


def test_a_repair_that_was_lost_comes_back(workspace: Workspace, exported: Path, tmp_path: Path) -> None:
    pixels = edit(exported / NAME)
    import_masks(workspace, exported)
    again = export(workspace, tmp_path / "again")
    for folder in (exported, again):  # imported from it; exported as a repair
        repair(workspace).unlink()
        assert import_masks(workspace, folder) == ([repair(workspace)], 0, 2, [], [repair(workspace)])
        np.testing.assert_array_equal(read_mask(repair(workspace), 4), pixels)
        assert import_masks(workspace, folder) == ([], 0, 3, [], [])


def test_a_later_repair_is_not_replaced_by_what_was_imported_before(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    edit(exported / NAME)
    import_masks(workspace, exported)
    again = export(workspace, tmp_path / "again")
    pixels = edit(again / NAME, 3)
    import_masks(workspace, again)
    assert import_masks(workspace, exported) == ([], 0, 3, [], [])
    np.testing.assert_array_equal(read_mask(repair(workspace), 4), pixels)


def change_part_classes(workspace: Workspace, part_classes: int) -> None:
    text = workspace.params_file.read_text(encoding="utf-8")
    assert "part_classes: 4" in text
    workspace.params_file.write_text(text.replace("part_classes: 4", f"part_classes: {part_classes}"), encoding="utf-8")


@pytest.mark.parametrize("everything", [True, False])
def test_pictures_exported_with_other_part_classes_are_refused(
    workspace: Workspace, exported: Path, everything: bool
) -> None:
    edit(exported / NAME)
    change_part_classes(workspace, 6)
    with pytest.raises(
        InputError, match=r"masks: exported with part_classes 4, not 6, so its colours mean other parts"
    ):
        import_masks(workspace, exported, everything)


def test_a_repair_says_for_how_many_part_classes_it_was_drawn(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    edit(exported / NAME)
    import_masks(workspace, exported)
    export(workspace, tmp_path / "again")  # of the round, which has 4 as well
    masks = np.zeros((3, 4, 2), np.uint8)
    write_store(workspace.path("coparse", "masks", "r2"), {"masks": masks, "labels": masks}, part_classes=6)
    with pytest.raises(InputError, match=r"repairs/main/train/3_2\.png: drawn for part_classes 4, not 6"):
        export_masks(workspace, "r2", "png", [], tmp_path / "of_r2")


def test_a_repair_of_another_folder_is_not_replaced(workspace: Workspace, exported: Path, tmp_path: Path) -> None:
    other = export(workspace, tmp_path / "other")
    pixels = edit(exported / NAME)
    import_masks(workspace, exported)
    edit(other / NAME, 3)
    edit(other / "main/train/3_1.png", 3)
    with pytest.raises(
        InputError, match=r"3_2\.png: was not drawn from the repair that its image has, .*/repairs/main/train/3_2\.png"
    ):
        import_masks(workspace, other)
    np.testing.assert_array_equal(read_mask(repair(workspace), 4), pixels)
    assert not repair(workspace).with_name("3_1.png").exists(), "all or none"
    repair(workspace).unlink()
    assert import_masks(workspace, other).replaced == 0
    edit(exported / NAME, 3)  # what the repair is already
    assert import_masks(workspace, exported)[:3] == ([repair(workspace)], 1, 2)


def test_unless_all_are_to_be_taken(workspace: Workspace, exported: Path, tmp_path: Path) -> None:
    other = export(workspace, tmp_path / "other")
    edit(exported / NAME)
    import_masks(workspace, exported)
    pixels = edit(other / NAME, 3)
    taken, replaced, left, *_ = import_masks(workspace, other, everything=True)
    assert (len(taken), replaced, left) == (3, 1, 0)
    np.testing.assert_array_equal(read_mask(repair(workspace), 4), pixels)


def test_an_unedited_mask_can_be_kept(workspace: Workspace, exported: Path, tmp_path: Path) -> None:
    edit(exported / NAME)
    import_masks(workspace, exported)
    palette_image(stored(workspace, 1), 4).save(exported / NAME)
    taken, replaced, left, *_ = import_masks(workspace, exported, everything=True)
    assert (len(taken), replaced, left) == (3, 1, 0)
    for row, name in enumerate(("3_1", "3_2", "8_1")):
        written = read_mask(repair(workspace).with_name(f"{name}.png"), 4)
        np.testing.assert_array_equal(written, stored(workspace, row))


def test_a_folder_made_elsewhere_is_taken_as_a_whole_when_asked(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "3_2.png"  # the name alone is enough, as for another parser's
    file.parent.mkdir()
    palette_image(np.ones((16, 8), np.uint8), 4).save(file)
    with pytest.raises(InputError, match=r"elsewhere: has no exported\.json, .* take every picture with --all"):
        import_masks(workspace, file.parent)
    assert import_masks(workspace, file.parent, everything=True)[:3] == ([repair(workspace)], 0, 0)
    assert [path.name for path in file.parent.iterdir()] == ["3_2.png"], "no note is made up"


def test_a_repair_stays_where_a_person_has_put_it(workspace: Workspace, tmp_path: Path) -> None:
    by_hand = workspace.root / "data/repairs/3_2.png"
    by_hand.parent.mkdir(parents=True)
    palette_image(np.ones((16, 8), np.uint8), 4).save(by_hand)
    samples = read_samples(workspace.path("prepare", "samples"))
    samples.loc[samples["split"] == "query", "path"] = "query/3_2.jpg"  # masks are of training images alone
    write_samples(samples, workspace.path("prepare", "samples"))
    folder = export(workspace, tmp_path / "masks")
    assert (read_mask(folder / NAME, 4) == 1).all()
    edit(folder / NAME)
    assert import_masks(workspace, folder)[:3] == ([by_hand], 1, 2)


def test_white_masks_say_nothing(workspace: Workspace, tmp_path: Path) -> None:
    masks = np.zeros((3, 4, 2), np.uint8)
    masks[0] = UNLABELLED
    write_store(workspace.path("coparse", "masks", "r1"), {"masks": masks, "labels": masks}, part_classes=4)
    folder = export(workspace, tmp_path / "masks")
    taken, _, left, *_ = import_masks(workspace, folder, everything=True)
    assert [path.name for path in taken] == ["3_2.png", "8_1.png"]
    assert left == 1, "what co-parsing said nothing of"
    white = np.full((16, 8), UNLABELLED, np.uint8)
    white[0, 0] = 1  # too little for a cell
    palette_image(white, 4).save(folder / NAME)
    for everything in (False, True):
        with pytest.raises(InputError, match=r"3_2\.png: white in every cell, so it says nothing and replaces no mask"):
            import_masks(workspace, folder, everything)
    white[:4, :4] = 1
    palette_image(white, 4).save(folder / NAME)
    assert import_masks(workspace, folder)[:3] == ([repair(workspace)], 1, 2), "a cell is enough"


def picture(workspace: Workspace, height: int, width: int) -> None:
    file = workspace.root / "data/synthetic/train/3_2.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(file)


def test_a_mask_has_the_size_that_was_exported(workspace: Workspace, tmp_path: Path) -> None:
    picture(workspace, 30, 13)
    folder = export(workspace, tmp_path / "masks")
    pixels = edit(folder / NAME)
    assert pixels.shape == (30, 13)
    picture(workspace, 32, 16)  # does not matter any more
    assert import_masks(workspace, folder)[:3] == ([repair(workspace)], 0, 2)
    np.testing.assert_array_equal(read_mask(repair(workspace), 4), pixels)
    palette_image(np.ones((16, 8), np.uint8), 4).save(folder / NAME)
    with pytest.raises(InputError, match=r"3_2\.png: 16 x 8 pixels \(height x width\), wanted is 30 x 13; do not"):
        import_masks(workspace, folder)


def test_a_mask_that_was_never_exported_has_the_size_of_image_or_network(workspace: Workspace, tmp_path: Path) -> None:
    picture(workspace, 30, 13)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for size in ((30, 13), (16, 8)):
        palette_image(np.ones(size, np.uint8), 4).save(folder / "3_2.png")
        assert len(import_masks(workspace, folder, everything=True).taken) == 1
    for name, wanted in (("3_2", "30 x 13 or 16 x 8"), ("3_1", "16 x 8")):
        palette_image(np.ones((60, 26), np.uint8), 4).save(folder / f"{name}.png")
        with pytest.raises(
            InputError, match=rf"{name}\.png: 60 x 26 pixels \(height x width\), wanted is {wanted}; do"
        ):
            import_masks(workspace, folder, everything=True)
        (folder / f"{name}.png").unlink()


def test_cells_are_those_of_the_export_whatever_the_network_is_now(workspace: Workspace, exported: Path) -> None:
    write_store(workspace.path("prepare", "images"), {"images": np.zeros((5, 32, 16, 3), np.uint8)})
    edit(exported / NAME)
    assert import_masks(workspace, exported)[:3] == ([repair(workspace)], 0, 2)


def test_one_bad_picture_and_nothing_is_taken(workspace: Workspace, exported: Path) -> None:
    edit(exported / "main/train/3_1.png")
    Image.fromarray(np.full((16, 8), 4, np.uint8)).save(exported / NAME)
    with pytest.raises(InputError, match=r"3_2\.png: number 4"):
        import_masks(workspace, exported)
    assert not (workspace.root / "data/repairs").exists()


def test_pictures_of_no_training_image_and_empty_folders_are_refused(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    for name in ("main/train/3_2 copy.png", "main/query/4_1.png"):
        stray = exported / name
        stray.parent.mkdir(exist_ok=True)
        palette_image(np.ones((16, 8), np.uint8), 4).save(stray)
        with pytest.raises(
            InputError, match=rf"{stray.name}: of no training image; keep the name .* main/train/3_1\.png"
        ):
            import_masks(workspace, exported)
        stray.unlink()
    (tmp_path / "empty").mkdir()
    for folder, message in (("empty", "holds no PNG"), ("nowhere", "no such folder")):
        with pytest.raises(InputError, match=message):
            import_masks(workspace, tmp_path / folder)


def test_the_ending_may_be_written_large_but_only_png_is_read(workspace: Workspace, exported: Path) -> None:
    edit(exported / NAME)
    large = (exported / NAME).rename(exported / "main/train/3_2.PNG")
    for name in (".DS_Store", "main/Thumbs.db", "main/train/3_2.png~"):  # of systems and editors
        (exported / name).write_bytes(b"")
    assert import_masks(workspace, exported)[:3] == ([repair(workspace)], 0, 2)
    (exported / NAME).write_bytes(large.read_bytes())
    with pytest.raises(InputError, match=r"3_2\.png: beside .*3_2\.PNG, of the same name; delete one of them"):
        import_masks(workspace, exported)
    (exported / NAME).unlink()
    for name in ("3_2.tif", "3_2.jpg", "3_2.xcf", "exported.json"):
        (exported / "main/train" / name).write_bytes(b"")
        with pytest.raises(
            InputError, match=rf"main/train/{name}: no PNG; save it as PNG under the name of the exported"
        ):
            import_masks(workspace, exported)
        (exported / "main/train" / name).unlink()


def call(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["masks", "import", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_command(workspace: Workspace, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.root)
    edit(exported / NAME)
    assert call(str(exported)).splitlines() == [
        "data/repairs: 1 mask(s) taken; 2 are as they were exported or imported last",
        "`dvc repro` goes on with them; experiments in a folder of their own see what is committed",
    ]
    assert call(str(exported)) == "data/repairs: 0 mask(s) taken; 3 are as they were exported or imported last\n"
    (exported / FILE).unlink()
    assert call(str(exported), "--all").splitlines()[0] == (
        "data/repairs: 3 mask(s) taken, 1 of them in place of an earlier repair"
    )
    (exported / NAME).write_bytes(b"broken")
    done = CliRunner().invoke(main, ["masks", "import", str(exported), "--all"])
    assert done.exit_code == 1
    assert "3_2.png: not an image" in done.output


def test_the_command_says_what_was_lost_and_what_was_too_little(
    workspace: Workspace, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)
    edit(exported / NAME)
    assert "note" not in call(str(exported))
    repair(workspace).unlink()
    small = exported / "main/train/8_1.png"
    with Image.open(small) as image:
        pixels = np.array(image)
    pixels[:2, :2] = (pixels[0, 0] + 1) % 4  # a quarter of a cell
    palette_image(pixels, 4).save(small)
    line, *notes, _ = call(str(exported)).splitlines()
    assert line == "data/repairs: 1 mask(s) taken; 2 are as they were exported or imported last"
    assert notes == [
        f"note: 1 picture(s) were edited too little to change a cell, such as {small}; a cell is 4 x 4 pixels of the "
        "network's input and takes what most of them have",
        "note: 1 of the masks taken were repairs before and were gone from data/repairs, such as 3_2.png; to take a "
        f"repair back, remove its picture from {exported} too",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("repairs: true", "repairs: false", "external.repairs is false"),
        ("source: hcnet", "source: none", "coparse.source is none"),
    ],
)
def test_the_command_says_that_repairs_are_not_used(
    workspace: Workspace, exported: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    monkeypatch.chdir(workspace.root)
    text = workspace.params_file.read_text(encoding="utf-8")
    text = text.replace(old, new).replace("features: F+P ", "features: I ")
    workspace.params_file.write_text(text, encoding="utf-8")
    edit(exported / NAME)
    assert f"note: {said} in params.yaml" in call(str(exported))
