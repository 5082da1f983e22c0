"""What data sets know of their occluders, from their own file to the figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hcga import occluders
from hcga.datasets.catalogue import catalogue
from hcga.errors import InputError
from hcga.occluders import list_occluders, read_occlusion, write_occlusion

HEADER = "image,left,top,right,bottom\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set of images a, b and c, 40 pixels wide and 80 high."""
    for name in "abc":
        Image.fromarray(np.zeros((80, 40, 3), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


PATHS = pd.Series(["a.png", "b.png", "c.png"])


def test_boxes_are_shares_of_width_and_height(root: Path) -> None:
    boxes = "b.png,10,0,40,80\na.png,0,20,20,80\nb.png,0,0,1,1\nelsewhere.png,0,0,999,999\n"
    (root / "occluders.csv").write_text(HEADER + boxes)
    assert list_occluders(root, PATHS) == ["0 0.25 0.5 1", "0.25 0 1 1 0 0 0.025 0.0125", "whole"]


def test_other_columns_play_no_part(root: Path) -> None:
    (root / "occluders.csv").write_text("kind,image,covered,left,top,right,bottom\ncar,a.png,0.2,0,0,40,40\n")
    assert list_occluders(root, PATHS)[0] == "0 0 1 0.5"


def test_without_a_file_nothing_is_known(root: Path) -> None:
    assert list_occluders(root, PATHS) == ["", "", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,left,top,right\n", "column bottom is missing; wanted are image, left, top, right, bottom"),
        (HEADER + "a.png,1,2,x,4\n", "no table of boxes"),
        (HEADER + "a.png,1,2,3\n", r"the box 1, 2, 3, nan of .*a\.png is not within"),
        (HEADER + "a.png,0,0,41,80\n", r"the box 0, 0, 41, 80 of .*a\.png is not within its 40 x 80 pixels"),
        (HEADER + "a.png,9,0,8,80\n", r"the box 9, 0, 8, 80 of .*a\.png is not within"),
        ("", "no table of boxes"),
    ],
)
def test_what_is_no_table_of_boxes_is_refused(root: Path, text: str, message: str) -> None:
    (root / "occluders.csv").write_text(text)
    with pytest.raises(InputError, match=rf"occluders\.csv: {message}"):
        list_occluders(root, PATHS)


def test_a_file_of_any_size_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "occluders.csv").write_text(HEADER)
    monkeypatch.setattr(occluders, "MOST_BYTES", len(HEADER) - 1)
    with pytest.raises(InputError, match=r"occluders\.csv: no table of boxes \(28 bytes; 27 are the most\)"):
        list_occluders(root, PATHS)


def test_the_catalogue_changes_with_the_boxes(tiny_set: Path) -> None:
    """So that DVC sees it."""
    listed = catalogue("synthetic", tiny_set, ["query"], None)
    known = pd.read_csv(tiny_set / "occluders.csv")["image"]
    assert ((listed["occluder"] != "whole") == listed["path"].isin(known)).all()
    assert listed["path"].isin(known).sum() > 0


def test_what_is_written_is_read_for_the_images_that_are_left(tmp_path: Path) -> None:
    occluders = ["0 0.25 0.5 1", "whole", "", "0.25 0 1 1 0 0 0.025 0.0125", "0 0 1 1"]
    samples = pd.DataFrame({"dataset": "main", "path": list("abcde"), "occluder": occluders})
    write_occlusion(samples, tmp_path / "occlusion.csv")
    found = read_occlusion(tmp_path / "occlusion.csv", samples.iloc[:4].iloc[::-1].reset_index(drop=True))
    assert found.known.tolist() == [True, False, True, True]
    assert found.occluded.tolist() == [True, False, False, True]
    expected = [[0, 0.25, 0, 1, 1], [0, 0, 0, 0.025, 0.0125], [3, 0, 0.25, 0.5, 1]]
    assert sorted(found.boxes.to_numpy().tolist()) == sorted(expected)


def test_nothing_known_is_an_empty_table(tmp_path: Path) -> None:
    samples = pd.DataFrame({"dataset": "main", "path": list("ab"), "occluder": ""})
    write_occlusion(samples, tmp_path / "occlusion.csv")
    found = read_occlusion(tmp_path / "occlusion.csv", samples)
    assert not found.known.any()
    assert found.boxes.empty
    with pytest.raises(InputError, match=r"nothing\.csv: no such file; `dvc repro` makes it"):
        read_occlusion(tmp_path / "nothing.csv", samples)
