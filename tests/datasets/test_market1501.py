from pathlib import Path

import pytest

from hcga.datasets.layouts.market1501 import read_market1501
from hcga.datasets.readers import read_data_set
from hcga.errors import InputError

FILES = (
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/1500_c6s3_125300_00.jpg",
    "query/0001_c3s2_000010_00.jpg",
    "bounding_box_test/0001_c1s1_001051_01.jpg",
    "bounding_box_test/-1_c2s1_000022_04.jpg",
    "bounding_box_test/0000_c5s1_000033_02.jpg",
)


def touch(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def test_names_become_rows_with_junk_and_distractors(tmp_path: Path) -> None:
    samples = read_market1501(touch(tmp_path, *FILES))
    rows = set(samples[["split", "pid", "camid", "sequence", "frame", "path"]].itertuples(index=False, name=None))
    assert rows == {
        ("train", 2, 1, 1, 451, FILES[0]),
        ("train", 1500, 6, 3, 125300, FILES[1]),
        ("query", 1, 3, 2, 10, FILES[2]),
        ("gallery", 1, 1, 1, 1051, FILES[3]),
        ("gallery", -1, 2, 1, 22, FILES[4]),
        ("gallery", 0, 5, 1, 33, FILES[5]),
    }


def test_what_else_the_set_ships_with_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, *FILES, "readme.txt", "gt_bbox/0001_c1s1_001051_00.jpg", "gt_query/0001_c1s1_001051_00_good.mat")
    touch(tmp_path, "query/Thumbs.db", "bounding_box_test/.DS_Store", "bounding_box_train/desktop.ini")
    assert set(read_market1501(tmp_path)["path"]) == set(FILES)


def test_a_doubled_ending_is_read_as_market_1501_has_it(tmp_path: Path) -> None:
    name = "bounding_box_test/0000_c3s2_123422_01.jpg.jpg"
    samples = read_market1501(touch(tmp_path, *FILES, name)).set_index("path")
    assert samples.loc[name, ["pid", "camid", "sequence", "frame"]].tolist() == [0, 3, 2, 123422]


@pytest.mark.parametrize(
    "name",
    [
        "0002_c1s1_000451.jpg",
        "0002_c1_000451_03.jpg",
        "0002_c1s1_000451_03.png",
        "0002_c1s1_000451_03.jpg.part",
        "-2_c1s1_000451_03.jpg",
        "x0002_c1s1_000451_03.jpg",
        "0002_c1s1_000451_03_jpg",
        "notes.txt",
        "subfolder/0002_c1s1_000451_03.jpg",
    ],
)
@pytest.mark.parametrize("folder", ["bounding_box_train", "query", "bounding_box_test"])
def test_a_name_outside_the_layout_is_named(tmp_path: Path, folder: str, name: str) -> None:
    touch(tmp_path, *FILES, f"{folder}/{name}")
    with pytest.raises(InputError) as caught:
        read_market1501(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / folder / name.split('/')[0]}: ")
    assert "market1501" in message
    assert "remove it" in message


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder; set the root of the data set"):
        read_data_set("market1501", tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"jpg: no such folder"):
        read_data_set("market1501", touch(tmp_path, *FILES) / FILES[0])


@pytest.mark.parametrize("folder", ["bounding_box_train", "query", "bounding_box_test"])
def test_a_missing_folder_is_named(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, *(file for file in FILES if not file.startswith(folder)))
    with pytest.raises(InputError, match=rf"{folder}: no such folder; the layout market1501 has it"):
        read_market1501(tmp_path)


@pytest.mark.parametrize("folder", ["bounding_box_train", "query", "bounding_box_test"])
def test_an_empty_folder_is_named(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, *(file for file in FILES if not file.startswith(folder)), f"{folder}/Thumbs.db")
    with pytest.raises(InputError, match=rf"{folder}: empty; market1501 has files such as 0002_c1s1_000451_03\.jpg"):
        read_market1501(tmp_path)
