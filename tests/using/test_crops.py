"""Which files below one's own folders are embedded, and which names are refused."""

import os
from pathlib import Path

import pytest
from PIL import Image
from trained import new_crops

from hcga.errors import InputError
from hcga.using.crops import find_crops, locate

crops = pytest.fixture(new_crops)
NAMES = [*(f"cam1/{number}.png" for number in range(4)), *(f"cam2/später/{number}.png" for number in range(4, 7))]


def test_all_images_below_a_folder_are_found_in_order(crops: Path) -> None:
    (crops / "notes.txt").write_text("x")
    (crops / ".hidden.png").write_text("x")
    (crops / "Thumbs.db").write_text("x")
    (crops / "g.zarr").mkdir()
    (crops / "g.zarr/0.png").write_text("x")
    found = find_crops([crops])
    assert (found.root, found.names, found.others) == (crops, NAMES, [crops / "notes.txt"])
    assert found.files == [crops / name for name in NAMES]


def test_files_and_folders_may_be_mixed_and_count_once(crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crops)
    found = find_crops([Path("cam1/2.png"), Path("cam2"), Path("cam2/später/5.png")])
    assert (found.root, found.names) == (Path(), [NAMES[2], *NAMES[4:]])
    alone = find_crops([Path("cam1/../cam1/2.png")])
    assert (alone.root, alone.names) == (Path("cam1"), ["2.png"])


def test_what_is_not_there_or_has_no_images_is_refused(crops: Path) -> None:
    with pytest.raises(InputError, match=r"none: no such file or folder; name images"):
        find_crops([crops / "none"])
    (crops / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no images below it; they end in .jpg"):
        find_crops([crops / "empty"])


def test_links_that_lead_out_and_folders_without_end_are_refused(crops: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (crops / "inside.png").symlink_to(crops / NAMES[0])
    assert "inside.png" in find_crops([crops]).names
    (crops / "out.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match=r"out.png: a link out of .*secret.png"):
        find_crops([crops])
    (crops / "out.png").unlink()
    (crops / "loop").symlink_to(crops)
    with pytest.raises(InputError, match=r"loop: neither a file nor a folder of its own"):
        find_crops([crops])


@pytest.mark.parametrize("name", ["a\nb.png", "a\x1b[2J.png", os.fsdecode(b"a\xff.png")])
def test_hostile_names_are_refused_in_one_line(crops: Path, name: str) -> None:
    (crops / name).write_bytes(b"x")
    for named in (crops, crops / name):
        with pytest.raises(InputError, match=r"a name that is no plain text; rename it") as caught:
            find_crops([named])
        assert str(caught.value).isprintable()


def test_names_of_a_store_lead_below_its_folder(crops: Path, tmp_path: Path) -> None:
    assert locate(crops, NAMES[:2]) == [crops / name for name in NAMES[:2]]
    for name in ("../secret.png", "/etc/passwd", "", "a\nb.png"):
        with pytest.raises(InputError, match=r"does not lead to a file below"):
            locate(crops, [name])
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (crops / "out.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match=r"out.png: a link out of"):
        locate(crops, ["out.png"])
