"""Every layout, end to end: an example drawn on disk is read as what it was drawn from."""

from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow.parquet import write_table as write_parquet

from hcga.datasets.catalogue import catalogue
from hcga.datasets.check import examine_table
from hcga.datasets.examples import make_example
from hcga.datasets.layouts import generic, listing
from hcga.datasets.readers import LAYOUTS, read_data_set
from hcga.errors import InputError
from hcga.params import LayoutName
from hcga.samples import COLUMNS, count_splits

# Images, identities and cameras of train, query and gallery; 12 identities with 6 images each are drawn.
WHOLE = {"train": (36, 6, 2), "query": (12, 6, 2), "gallery": (24, 6, 2)}
SIDES = {"query": (24, 12, 1), "gallery": (24, 12, 1)}
HALVES = {"train": (36, 6, 2), "query": (18, 6, 1), "gallery": (18, 6, 1)}
EXPECTED = {
    "synthetic": WHOLE | {"gallery": (26, 6, 2)},  # two distractors more
    "market1501": WHOLE | {"gallery": (26, 6, 2)},
    "dukemtmc": WHOLE,
    "occluded_dukemtmc": WHOLE | {"train": (35, 6, 2), "query": (13, 6, 2)},  # one left out, one taken from the gallery
    "occluded_reid:half": HALVES,
    "occluded_reid:transfer": {"query": (36, 12, 1), "gallery": (36, 12, 1)},
    "p_dukemtmc": HALVES,
    "cuhk03:detected": WHOLE,
    "cuhk03:labeled": WHOLE,
    "partial_reid:partial": SIDES,
    "partial_reid:occluded": SIDES,
    "partial_ilids": {"query": (12, 12, 1), "gallery": (12, 12, 1)},
    "msmt17:with_val": WHOLE,
    "msmt17:train_only": WHOLE | {"train": (30, 6, 2)},
    "table": WHOLE | {"gallery": (26, 6, 2)},
    "folder": WHOLE | {"gallery": (26, 6, 2)},
}


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give the folder of one example a layout; to be read only."""
    folder = tmp_path_factory.mktemp("layouts")
    roots = {layout.partition(":")[0]: folder / layout.partition(":")[0] for layout in LAYOUTS}
    for layout, root in roots.items():
        make_example(layout, root)
    return {layout: roots[layout.partition(":")[0]] for layout in LAYOUTS}


def test_every_layout_can_be_asked_for_in_params_and_is_tested() -> None:
    assert list(LAYOUTS) == list(get_args(LayoutName)) == list(EXPECTED)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_example_is_read_as_it_was_drawn(examples: dict[str, Path], layout: str) -> None:
    table = read_data_set(layout, examples[layout])
    counts = {split.split: (split.images, split.identities, split.cameras) for split in count_splits(table)}
    assert counts == EXPECTED[layout]
    assert sorted(table) == sorted(set(COLUMNS) - {"dataset"})
    assert all((examples[layout] / path).is_file() for path in table["path"])
    assert not table.duplicated(["split", "path"]).any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_wrong_with_an_example(examples: dict[str, Path], layout: str) -> None:
    assert examine_table(catalogue(layout, examples[layout], list(EXPECTED[layout]), None).assign(dataset="main")) == []


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "folder"])
def test_who_is_on_an_image_is_who_was_drawn(examples: dict[str, Path], layout: str) -> None:
    """The pixels of an image tell which drawn file it is; files of one person must get one pid, and only theirs."""
    drawn = catalogue("folder", examples["folder"], ["train", "query", "gallery"], None).set_index("digest")
    found = catalogue(layout, examples[layout], list(EXPECTED[layout]), None)
    found = found[found["digest"].isin(drawn.index)]
    if layout.startswith(("occluded_reid", "cuhk03")):
        assert found.empty, "another image format, other bytes"
        return
    pairs = pd.DataFrame({"drawn": drawn.loc[found["digest"], "pid"].to_numpy(), "read": found["pid"].to_numpy()})
    assert len(pairs) > 20
    people = pairs[pairs["drawn"] > 0].drop_duplicates()
    assert people["drawn"].is_unique
    assert people["read"].is_unique


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_root_is_named(tmp_path: Path, layout: str) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder; .*set the root of the data set"):
        read_data_set(layout, tmp_path / "nowhere")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_root_is_refused_with_what_should_be_there(tmp_path: Path, layout: str) -> None:
    with pytest.raises(InputError) as caught:
        read_data_set(layout, tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    name = "market1501" if layout == "synthetic" else layout.partition(":")[0]
    assert name.split("_")[-1] in str(caught.value).lower()


def files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def rows(table: pd.DataFrame) -> set[tuple[object, ...]]:
    return set(table[["split", "pid", "camid", "sequence", "frame", "path"]].itertuples(index=False, name=None))


def test_names_of_dukemtmc(tmp_path: Path) -> None:
    names = [
        "bounding_box_train/0005_c2_f0046985.jpg",
        "query/7140_c8_f0000001.jpg",
        "bounding_box_test/0001_c1_f01.jpg",
    ]
    assert rows(read_data_set("dukemtmc", files(tmp_path, *names))) == {
        ("train", 5, 2, 0, 46985, names[0]),
        ("query", 7140, 8, 0, 1, names[1]),
        ("gallery", 1, 1, 0, 1, names[2]),
    }


def test_lists_of_occluded_dukemtmc_decide_and_look_into_the_gallery_too(tmp_path: Path) -> None:
    """As the published conversion does, for a name that is not in the folder of its own split."""
    names = ["bounding_box_train/0005_c2_f1.jpg", "bounding_box_train/0006_c2_f1.jpg", "query/0001_c1_f1.jpg"]
    names += [f"bounding_box_test/{name}" for name in ("0001_c2_f1.jpg", "0001_c3_f1.jpg")]
    root = files(tmp_path, *names)
    assert len(read_data_set("occluded_dukemtmc", root)) == 5, "without lists the folders are read"
    (root / "train.list").write_bytes(b"0005_c2_f1.jpg\r\n")
    (root / "query.list").write_text("0001_c2_f1.jpg")  # no newline at its end
    with pytest.raises(InputError, match=r"gallery\.list: no such file; the name lists are train\.list, query\.list"):
        read_data_set("occluded_dukemtmc", root)
    (root / "gallery.list").write_text("0001_c2_f1.jpg\n0001_c3_f1.jpg\n")
    assert [(split, path) for split, *_, path in sorted(rows(read_data_set("occluded_dukemtmc", root)), key=str)] == [
        ("gallery", names[3]),
        ("gallery", names[4]),
        ("query", names[3]),
        ("train", names[0]),
    ]
    (root / "query.list").write_text("0001_c2_f1.jpg\n0009_c2_f1.jpg\n")
    with pytest.raises(InputError, match=r"query\.list: 1 listed file\(s\) are missing, the first is .*0009_c2"):
        read_data_set("occluded_dukemtmc", root)


def test_protocols_of_occluded_reid(examples: dict[str, Path]) -> None:
    half, transfer = (
        read_data_set(f"occluded_reid:{name}", examples["occluded_reid:half"]) for name in ("half", "transfer")
    )
    train = set(half.loc[half["split"] == "train", "pid"])
    assert not train & set(half.loc[half["split"] != "train", "pid"])
    assert set(half["pid"]) == set(transfer["pid"])
    for table in (half, transfer):
        tested = table[table["split"] != "train"]
        assert (tested["path"].str.startswith("occluded") == (tested["split"] == "query")).all()
        assert (table["camid"] == table["path"].str.startswith("whole") + 1).all()
    assert read_data_set("occluded_reid:half", examples["occluded_reid:half"]).equals(half), (
        "the halves are drawn once for all"
    )


def test_queries_of_partial_reid_are_those_asked_for(examples: dict[str, Path]) -> None:
    for protocol in ("partial", "occluded"):
        table = read_data_set(f"partial_reid:{protocol}", examples["partial_reid:partial"])
        folders = table.groupby("split")["path"].agg(lambda paths: {path.split("/")[0] for path in paths})
        assert folders.to_dict() == {"query": {f"{protocol}_body_images"}, "gallery": {"whole_body_images"}}


def msmt17(root: Path, train: str, test: str) -> Path:
    """Four images; cameras of two digits, an expanded box, validation, identities from 0 on in training and in test."""
    files(root, f"{train}/0000/0000_000_15_0303morning_0008_0.jpg", f"{train}/0001/0001_001_02_0303noon_0008_0_ex.jpg")
    files(root, f"{test}/0000/0000_002_10_0303morning_0008_0.jpg", f"{test}/0000/0000_003_01_0303morning_0008_0.jpg")
    (root / "list_train.txt").write_text("0000/0000_000_15_0303morning_0008_0.jpg 0\n")
    (root / "list_val.txt").write_text("0001/0001_001_02_0303noon_0008_0_ex.jpg 1\n")
    (root / "list_query.txt").write_text("0000/0000_002_10_0303morning_0008_0.jpg 0\n")
    (root / "list_gallery.txt").write_text("0000/0000_003_01_0303morning_0008_0.jpg 0\n")
    return root


@pytest.mark.parametrize("version", [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_names_and_lists_of_msmt17(tmp_path: Path, version: tuple[str, str]) -> None:
    found = {
        (split, pid, camid)
        for split, pid, camid, *_ in rows(read_data_set("msmt17:with_val", msmt17(tmp_path, *version)))
    }
    assert found == {("train", 1, 15), ("train", 2, 2), ("query", 10001, 10), ("gallery", 10001, 1)}
    assert len(read_data_set("msmt17:train_only", tmp_path)) == 3


@pytest.mark.parametrize("line", ["0000/x.jpg", "0000/x.jpg zero", "x"])
def test_a_bad_line_of_msmt17_is_named(tmp_path: Path, line: str) -> None:
    root = msmt17(tmp_path, "train", "test")
    with (root / "list_query.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=r"list_query\.txt: line 2 is not a path, a space and an identity"):
        read_data_set("msmt17:with_val", root)


def test_identities_of_p_dukemtmc_are_other_people_in_training_and_test(tmp_path: Path) -> None:
    names = [
        f"{side}/{kind}_body_images/0001/0001_7.jpg" for side in ("train", "test") for kind in ("occluded", "whole")
    ]
    assert rows(read_data_set("p_dukemtmc", files(tmp_path, *names))) == {
        ("train", 1, 1, 0, 1, names[0]),
        ("train", 1, 2, 0, 1, names[1]),
        ("query", 10001, 1, 0, 1, names[2]),
        ("gallery", 10001, 2, 0, 1, names[3]),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"camid": None}, "column 'camid' is missing; it has path, split, pid"),
        ({"pid": "seven"}, "row 1: pid 'seven' is not a whole number from -1 to 1000000000"),
        ({"pid": -2}, "row 1: pid '-2' is not"),
        ({"pid": "9" * 20}, "row 1: pid '9{20}' is not"),
        ({"pid": float("nan")}, "row 1: pid '' is not"),
        ({"camid": 1.5}, r"row 1: camid '1\.5' is not a whole number"),
        ({"camid": -1}, "row 1: camid '-1' is not"),
        ({"split": "Train"}, "row 1: split 'Train' is not one of train, query, gallery"),
        ({"split": ""}, "row 1: split '' is not one of"),
        ({"path": ""}, "row 1: path '' must lead from"),
        ({"path": "/etc/passwd"}, "row 1: path '/etc/passwd' must lead from the table's folder to a file below it"),
        ({"path": "../a.jpg"}, r"row 1: path '\.\./a\.jpg' must lead from"),
        ({"path": "b.jpg"}, r"row 1: path 'b\.jpg' is no file below .*; write / between folders"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_table_is_named_with_its_row(tmp_path: Path, change: dict[str, object], message: str) -> None:
    entry = {"path": "a.jpg", "split": "train", "pid": 7, "camid": "2"} | change
    root = files(tmp_path, "a.jpg")
    table = pd.DataFrame([{key: value for key, value in entry.items() if value is not None}])
    table.to_csv(root / "samples.csv", index=False)
    with pytest.raises(InputError, match=rf"samples\.csv: {message}"):
        read_data_set("table", root)


def test_a_table_may_leave_out_sequence_and_frame(tmp_path: Path) -> None:
    root = files(tmp_path, "a b.jpg")
    table = pd.DataFrame([{"path": "a b.jpg", "split": "gallery", "pid": -1, "camid": 2, "note": "x"}])
    table.to_csv(root / "samples.csv")
    assert rows(read_data_set("table", root)) == {("gallery", -1, 2, 0, 0, "a b.jpg")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,split,pid,camid\n", "has no rows; write one an image"),
        ("path,split,pid,camid,frames\na.jpg,train,1,1,9\n", r"column 'frames': did you mean 'frame'\?"),
        (
            "path,split,pid,camid\na.jpg,train,1,1,9\n",
            r"cannot be read as a table \(row 1 has 5 values below 4 columns\)",
        ),
        ("path,split,pid,camid\na.jpg,train,1\n", r"cannot be read as a table \(row 1 has 3 values below 4 columns\)"),
        ("path,split,pid,pid,camid\na.jpg,train,1,1,9\n", r"cannot be read as a table \(two columns have one name"),
        ("path;split;pid;camid\na.jpg;train;1;1\n", r"column 'path' is missing; it has path;split;pid;camid \(commas"),
        ("path,split,pid,camid\na.jpg,train,1,1\na.jpg,train,1,1\n", r"row 2: path 'a\.jpg' stands in a row above"),
        ("\xff\xfe", r"cannot be read as a table \(.*\); write CSV with commas, in UTF-8"),
    ],
)
def test_a_table_of_another_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    root = files(tmp_path, "a.jpg")
    (root / "samples.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"samples\.csv: {message}"):
        read_data_set("table", root)


@pytest.mark.parametrize(
    "text", ["\ufeffpath,split,pid,camid\na.jpg,train,1.0,1\n", "path,split,pid,camid\na.jpg,train,1,1,\n"]
)
def test_what_programs_write_into_tables_is_read(tmp_path: Path, text: str) -> None:
    """A byte order mark, whole numbers with a point, a comma at the end of each row."""
    root = files(tmp_path, "a.jpg")
    (root / "samples.csv").write_text(text, encoding="utf-8")
    assert rows(read_data_set("table", root)) == {("train", 1, 1, 0, 0, "a.jpg")}


def test_a_table_may_be_parquet(tmp_path: Path) -> None:
    entry = {"path": "a.jpg", "split": "query", "pid": 7, "camid": 2, "frame": 5}
    root = files(tmp_path, "a.jpg")
    table = pd.DataFrame([entry | {"pid": 8}, entry, entry | {"split": "gallery"}]).iloc[1:]  # rows called 1 and 2
    table.to_parquet(root / "samples.parquet")
    assert rows(read_data_set("table", root)) == {
        ("query", 7, 2, 0, 5, "a.jpg"),
        ("gallery", 7, 2, 0, 5, "a.jpg"),
    }
    table.assign(camid=["2", "two"]).to_parquet(root / "samples.parquet")
    with pytest.raises(InputError, match=r"samples\.parquet: row 2: camid 'two' is not a whole number"):
        read_data_set("table", root)
    (root / "samples.csv").touch()
    with pytest.raises(InputError, match=r"both samples\.csv and samples\.parquet; the layout table needs one"):
        read_data_set("table", root)
    (root / "samples.csv").unlink()
    (root / "samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"samples\.parquet: cannot be read as a table"):
        read_data_set("table", root)


def test_a_quote_that_is_not_closed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text('path,split,pid,camid\n"' + "a.jpg,query,1,1\n" * 10_000)
    with pytest.raises(InputError, match=r"samples\.csv: cannot be read as a table \(field larger than field limit"):
        read_data_set("table", tmp_path)


def test_a_small_parquet_file_may_not_unpack_to_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "samples.parquet"
    write_parquet(pa.table({"path": pa.nulls(10**7 + 1)}), file)
    assert file.stat().st_size < 10**5
    with pytest.raises(InputError, match=r"read as a table \(10,000,001 rows, .* bytes; 10,000,000 and 1,073,741,824"):
        read_data_set("table", tmp_path)
    write_parquet(pa.table({"path": ["a"]}), file)
    monkeypatch.setattr(generic, "MOST_BYTES", 10)
    with pytest.raises(InputError, match=r"read as a table \(1 rows, .* bytes; 10,000,000 and 10 are the most"):
        read_data_set("table", tmp_path)


def test_nor_one_whose_description_says_too_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand rows of one long word, which the file has once."""
    write_parquet(pa.table({"path": ["a" * 10_000] * 1000}), tmp_path / "samples.parquet")
    monkeypatch.setattr(generic, "MOST_BYTES", 10**6)
    with pytest.raises(InputError, match=r"read as a table \(1,000 rows, 10,004,000 bytes; 10,000,000 and 1,000,"):
        read_data_set("table", tmp_path)


def test_rows_of_a_csv_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generic, "MOST_ROWS", 2)
    (tmp_path / "samples.csv").write_text("path,split,pid,camid\n" + "a.jpg,query,1,1\n" * 3)
    with pytest.raises(InputError, match=r"samples\.csv: cannot be read as a table \(more than 2 rows\)"):
        read_data_set("table", tmp_path)


def test_tables_and_lists_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generic, "MOST_BYTES", 10)
    monkeypatch.setattr(listing, "LONGEST_LIST", 10)
    for name in ("samples.csv", "train.list"):
        (tmp_path / name).write_text("path,split,pid,camid\n")
    with pytest.raises(InputError, match=r"samples\.csv: cannot be read as a table \(21 bytes; 10 are the most"):
        read_data_set("table", tmp_path)
    with pytest.raises(InputError, match=r"train\.list: 21 bytes, 10 are the most; it lists"):
        listing.read_lines(tmp_path / "train.list", "it lists")


def test_folders_of_identities_say_who_and_file_names_which_camera(tmp_path: Path) -> None:
    names = ["train/0012/3_b.jpg", "train/0012/3_a.PNG", "gallery/-1/10_x_y.jpg"]
    assert rows(read_data_set("folder", files(tmp_path, *names))) == {
        ("train", 12, 3, 0, 0, names[1]),
        ("train", 12, 3, 0, 1, names[0]),
        ("gallery", -1, 10, 0, 0, names[2]),
    }
    files(tmp_path, "train/anna/3_b.jpg")
    with pytest.raises(InputError, match="anna: name outside the layout folder, such as train/0012/; rename"):
        read_data_set("folder", tmp_path)


@pytest.mark.parametrize(
    "stray",
    [
        "1_loose.jpg",
        "train/1_loose.jpg",
        "Train/3/1_a.jpg",
        "val/3/1_a.jpg",
        "test/-1/1_a.png",
        "old/a.jpg",
        "train/x.txt",
    ],
)
def test_images_that_would_not_be_read_are_named(tmp_path: Path, stray: str) -> None:
    root = files(tmp_path, "train/12/3_b.jpg", stray)
    first = stray if stray.endswith(("loose.jpg", ".txt")) else stray.split("/")[0]
    with pytest.raises(InputError, match=rf"{first}: (would not be read|no folder; the layout folder)"):
        read_data_set("folder", root)


def test_numbers_in_names_order_images_as_numbers(tmp_path: Path) -> None:
    table = read_data_set("folder", files(tmp_path, *(f"train/3/1_{number}.jpg" for number in (10, 9, 11, 2))))
    assert table["path"].tolist() == [f"train/3/1_{number}.jpg" for number in (2, 9, 10, 11)]


def test_two_folders_of_one_identity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder train/012 is identity 12, but folder train/12 is identity 12"):
        read_data_set("folder", files(tmp_path, "train/12/3_b.jpg", "train/012/3_b.jpg"))
    assert len(read_data_set("folder", files(tmp_path / "b", "query/12/3_b.jpg", "gallery/012/4_b.jpg"))) == 2


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a name that is no plain text; rename it"):
        read_data_set("folder", files(tmp_path, "train/12/3_a\x1b.jpg"))


def test_what_else_may_lie_beside_the_images(tmp_path: Path) -> None:
    """True masks, notes, and what operating systems, editors and network drives leave behind."""
    others = ["truth/train/12/3_b.png", "readme.txt", "train/12/THUMBS.DB", "train/12/.x", "train/.DS_Store"]
    others += ["train/@eaDir/x.jpg", "train/.ipynb_checkpoints/3_b.jpg", "train/12/@eaDir/3_b.jpg", ".git/1_a.jpg"]
    assert rows(read_data_set("folder", files(tmp_path, "train/12/3_b.jpg", *others))) == {
        ("train", 12, 3, 0, 0, "train/12/3_b.jpg")
    }


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("occluded_reid:half", ["{0}_body_images/001/001_01.tif", "{0}_body_images/002/001_02.tif"]),
        ("p_dukemtmc", ["train/{0}_body_images/0001/0002_c1.jpg", "train/{0}_body_images/0003/0002_c2.jpg"]),
        ("occluded_reid:half", ["{0}_body_images/001/002_01.tif", "{0}_body_images/002/001_02.tif"]),
        ("p_dukemtmc", ["train/{0}_body_images/0001/0001_c1.jpg", "train/{0}_body_images/0001/0002_c2.jpg"]),
    ],
)
def test_folders_and_file_names_must_not_contradict(tmp_path: Path, layout: str, names: list[str]) -> None:
    given = [name.format(kind) for kind in ("occluded", "whole") for name in names]
    tests = [f"test/{kind}_body_images/0001/0001_c1.jpg" for kind in ("occluded", "whole")]
    root = files(tmp_path, *given, *(tests if layout == "p_dukemtmc" else []))
    with pytest.raises(
        InputError,
        match=r"folder \d+ is identity \d, but folder \d+ is identity \d; they contradict|in another's folder; move it",
    ):
        read_data_set(layout, root)


def test_names_and_lists_of_msmt17_must_not_contradict(tmp_path: Path) -> None:
    root = msmt17(tmp_path, "train", "test")
    with (root / "list_train.txt").open("a") as file:
        file.write("0001/0001_001_02_0303noon_0008_0_ex.jpg 0\n")
    with pytest.raises(
        InputError, match=r"name train/0001 is identity 1, but name train/0001 is identity 2; they contradict"
    ):
        read_data_set("msmt17:with_val", root)


@pytest.mark.parametrize("changed", ["list_val.txt", "list_query.txt"])
def test_lists_of_msmt17_must_not_contradict_each_other(tmp_path: Path, changed: str) -> None:
    root = msmt17(tmp_path, "train", "test")
    if changed == "list_val.txt":
        with (root / changed).open("a") as file:
            file.write("0000/0000_000_15_0303morning_0008_0.jpg 5\n")
    else:
        (root / changed).write_text((root / changed).read_text().replace(" 0\n", " 5\n"))
    with pytest.raises(InputError, match=r"name \w+/0000 is identity \d+, but name \w+/0000 is identity \d+"):
        read_data_set("msmt17:with_val", root)


def test_both_versions_of_msmt17_at_once_are_refused(tmp_path: Path) -> None:
    root = msmt17(tmp_path, "train", "test")
    (root / "mask_train_v2").mkdir()
    with pytest.raises(InputError, match="both train and mask_train_v2; MSMT17 has its train images in one"):
        read_data_set("msmt17:with_val", root)


def test_lists_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    root = msmt17(tmp_path, "train", "test")
    expected = read_data_set("msmt17:with_val", root)
    for file in root.glob("*.txt"):
        file.write_text("\ufeff" + file.read_text(), encoding="utf-8")
    pd.testing.assert_frame_equal(read_data_set("msmt17:with_val", root), expected)


def test_the_halves_of_occluded_reid_are_those_they_always_were(tmp_path: Path) -> None:
    """Figures of protocol half compare only if everybody has the same halves."""
    kinds = ("occluded", "whole")
    root = files(
        tmp_path, *(f"{kind}_body_images/{pid:03d}/{pid:03d}_01.tif" for kind in kinds for pid in range(1, 201))
    )
    table = read_data_set("occluded_reid:half", root)
    training = sorted(set(table["pid"][table["split"] == "train"]))
    assert len(training) == 100
    assert training[:12] == [1, 3, 5, 9, 13, 14, 15, 16, 17, 18, 19, 22]


def test_a_number_too_large_to_be_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a number beyond 1,000,000,000 in its name; rename it"):
        read_data_set("folder", files(tmp_path, f"train/{10**10}/1_a.jpg"))
