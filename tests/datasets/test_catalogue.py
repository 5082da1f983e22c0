import shutil
from pathlib import Path

import pandas as pd
import pytest

from hcga.datasets.catalogue import catalogue, read_catalogues, write_catalogue
from hcga.datasets.truth import truth_file
from hcga.errors import InputError

SPLITS = ["train", "query", "gallery"]


@pytest.fixture
def mine(tiny_set: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_set, tmp_path / "mine")


def test_a_catalogue_changes_with_the_files_and_with_nothing_else(mine: Path) -> None:
    before = catalogue("market1501", mine, SPLITS, "truth")
    assert catalogue("market1501", mine, SPLITS, "truth").equals(before)
    assert before["digest"].is_unique
    image = mine / before["path"][3]
    image.write_bytes(image.read_bytes() + b" ")
    truth_file(mine, "truth", before["path"][5]).write_bytes(b"other")
    truth_file(mine, "truth", before["path"][6]).unlink()
    after = catalogue("market1501", mine, SPLITS, "truth")
    assert before.index[before["digest"] != after["digest"]].tolist() == [3]
    assert before.index[before["truth_digest"] != after["truth_digest"]].tolist() == [5, 6]
    assert after["truth_digest"][6] == ""


def test_only_the_wanted_splits_are_listed(mine: Path) -> None:
    assert set(catalogue("market1501", mine, ["query"], None)["split"]) == {"query"}
    folder = mine / "new" / "query" / "3"
    folder.mkdir(parents=True)
    (folder / "1_a.jpg").touch()
    with pytest.raises(InputError, match="the layout folder has no split train there; look for it, or change splits"):
        catalogue("folder", mine / "new", SPLITS, None)


def test_what_was_written_is_read(mine: Path, tmp_path: Path) -> None:
    table = catalogue("market1501", mine, SPLITS, None)
    write_catalogue(table, tmp_path / "one.csv")
    found = read_catalogues({"one": tmp_path / "one.csv"})
    pd.testing.assert_frame_equal(found["one"], table)
    with pytest.raises(InputError, match=r"two\.csv: no such file; run `dvc repro catalogue@two`"):
        read_catalogues({"two": tmp_path / "two.csv"})


def test_where_truth_lies(tmp_path: Path) -> None:
    for name, label in (("0001_c1.jpg.jpg", "0001_c1.png"), ("1_a.v1.jpg", "1_a.v1.png"), ("1_a.v2.jpg", "1_a.v2.png")):
        assert truth_file(tmp_path, "parts", f"query/{name}") == tmp_path / "parts/query" / label
