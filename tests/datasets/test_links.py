"""Links, special files and names in data sets: nothing outside is read, and nothing breaks a line."""

import os
import shutil
from pathlib import Path

import pytest

from hcga.datasets.catalogue import catalogue
from hcga.datasets.occlusion import occlude_data_set
from hcga.datasets.readers import read_data_set
from hcga.errors import InputError

NAME = "0007_c1s1_000451_03.jpg"
ODD = ["0007_c1s1_000451_03.jpg\nerror: none", "\x1b[2J.jpg", "\udcff.jpg"]


@pytest.fixture
def root(tiny_set: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_set, tmp_path / "set"))


@pytest.fixture
def elsewhere(tiny_set: Path, tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return Path(shutil.copy(next((tiny_set / "query").iterdir()), tmp_path / "elsewhere" / NAME))


def test_an_image_that_links_out_of_the_set_is_refused(root: Path, elsewhere: Path) -> None:
    (root / "query" / NAME).symlink_to(elsewhere)
    with pytest.raises(InputError, match=rf"query/{NAME}: a link out of .*, to .*elsewhere/.*; put"):
        read_data_set("market1501", root)


def test_so_is_a_folder(root: Path, tmp_path: Path) -> None:
    shutil.move(root / "query", tmp_path / "moved")
    (root / "query").symlink_to(tmp_path / "moved")
    with pytest.raises(InputError, match=r"set/query: a link out of .*, to .*moved"):
        read_data_set("market1501", root)


def test_so_is_a_label_image(root: Path, elsewhere: Path) -> None:
    image = min((root / "query").iterdir())
    (root / "truth/query").mkdir(parents=True, exist_ok=True)
    label = root / "truth/query" / f"{image.stem}.png"
    label.unlink(missing_ok=True)
    label.symlink_to(elsewhere)
    with pytest.raises(InputError, match=r"truth/query/.*png: a link out of "):
        catalogue("market1501", root, ["query"], "truth")


SECRET = "nobody may read this"


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("occluded_dukemtmc", "train.list"),
        ("msmt17:train_only", "list_train.txt"),
        ("table", "samples.csv"),
        ("table", "samples.parquet"),
        ("market1501", "occluders.csv"),
    ],
)
def test_so_is_a_list_or_table_of_which_a_message_might_show_lines(
    root: Path, tmp_path: Path, layout: str, file: str
) -> None:
    for folder in ("train", "test"):
        (root / folder).mkdir()
    (tmp_path / file).write_text(SECRET)
    (root / file).unlink(missing_ok=True)
    (root / file).symlink_to(tmp_path / file)
    with pytest.raises(InputError, match=rf"set/{file}: a link out of .*, to .*{file}; put") as caught:
        catalogue(layout, root, ["train"], None)
    assert SECRET not in str(caught.value)


def test_links_within_a_set_to_a_set_and_into_the_cache_of_dvc_are_fine(root: Path, tmp_path: Path) -> None:
    known = read_data_set("market1501", root)
    within, cached = sorted((root / "query").iterdir())[:2]
    shutil.move(within, root / "kept.jpg")
    within.symlink_to("../kept.jpg")
    kept = tmp_path / "cache/files/md5/ab" / ("0" * 30)
    kept.parent.mkdir(parents=True)
    shutil.move(cached, kept)
    cached.symlink_to(kept)
    (tmp_path / "link").symlink_to(root)
    for place in (root, tmp_path / "link"):
        assert read_data_set("market1501", place).equals(known)


@pytest.mark.parametrize("layout", ["market1501", "folder"])
def test_what_is_no_file_is_refused_and_never_waited_for(root: Path, layout: str) -> None:
    folder = root / ("query" if layout == "market1501" else "query/7")
    if layout == "folder":
        shutil.rmtree(root / "query")
        folder.mkdir(parents=True)
    os.mkfifo(folder / "1_c1s1_1_1.jpg")
    if layout == "folder":
        shutil.rmtree(root / "bounding_box_train")
        shutil.rmtree(root / "bounding_box_test")
    with pytest.raises(InputError, match=r"1_c1s1_1_1\.jpg: no image file"):
        read_data_set(layout, root)


def test_a_list_that_is_no_file_is_refused(root: Path) -> None:
    os.mkfifo(root / "train.list")
    with pytest.raises(InputError, match=r"train\.list: no such file"):
        read_data_set("occluded_dukemtmc", root)


@pytest.mark.parametrize("name", ["../../elsewhere/0007_c1_f1.jpg", "/etc/0007_c1_f1.jpg", ".", "a/../0007_c1_f1.jpg"])
def test_lists_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    root = tmp_path / "set"
    for folder in ("bounding_box_train", "query", "bounding_box_test", "../elsewhere", "train", "test"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "0007_c1_f1.jpg").touch()
    for file in ("train.list", "query.list", "gallery.list"):
        (root / file).write_text(name)
    with pytest.raises(InputError, match=r"train\.list: '.*' does not lead to a file below .*bounding_box_train; mend"):
        read_data_set("occluded_dukemtmc", root)
    for part in ("train", "query", "gallery"):
        (root / f"list_{part}.txt").write_text(f"{name} 1")
    with pytest.raises(InputError, match=r"list_train\.txt: '.*' does not lead to a file below .*train"):
        read_data_set("msmt17:train_only", root)


@pytest.mark.parametrize("path", ["a\nb.jpg", "a" * 300, "\x1b[2J.jpg"])
def test_paths_of_a_table_are_plain_text_of_files(tmp_path: Path, path: str) -> None:
    (tmp_path / "samples.csv").write_text(f'path,split,pid,camid\n"{path}",train,1,1\n')
    if len(path) < 255:
        (tmp_path / path).touch()
    with pytest.raises(InputError, match=r"samples\.csv: row 1: path .* (is no plain text|is no file below)") as caught:
        read_data_set("table", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ODD)
def test_names_that_are_no_plain_text_are_spelled_out_on_one_line(root: Path, name: str) -> None:
    (root / "query" / name).touch()
    with pytest.raises(InputError, match=r"query/.*\\.*: a name that is no plain text; rename it") as caught:
        read_data_set("market1501", root)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["out", "loop", "fifo"])
def test_a_copy_with_occluders_is_not_made_of_what_is_elsewhere_or_has_no_end(
    root: Path, elsewhere: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "out":
        (root / "extra.jpg").symlink_to(elsewhere)
    elif kind == "loop":
        (root / "loop").symlink_to(".")
    else:
        os.mkfifo(root / "pipe")
    with pytest.raises(InputError, match=r"extra\.jpg: a link out|loop: neither a file nor|pipe: neither a file nor"):
        occlude_data_set(
            *("market1501", root, tmp_path / "new"),
            **{"splits": ["query"], "share": 1.0, "cover": (0.3, 0.5), "side": "any", "occluders": "drawn", "seed": 0},
        )
    assert not (tmp_path / "new").exists()
