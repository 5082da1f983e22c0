import ast
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from hcga.errors import InputError
from hcga.held_out import hold_out
from hcga.params import Image
from hcga.samples import (
    COLUMNS,
    arrange,
    describe_image_set,
    identities,
    image_names,
    read_samples,
    read_samples_of,
    write_samples,
)
from hcga.store_writing import write_store
from hcga.stores import open_store


def table(*rows: tuple[str, int, int, int, int]) -> pd.DataFrame:
    """Build a sample table from (split, pid, camid, sequence, frame)."""
    paths = [f"{split}/{pid}_c{camid}s{sequence}_{frame}.jpg" for split, pid, camid, sequence, frame in rows]
    return pd.DataFrame([(*row, path, "main") for row, path in zip(rows, paths, strict=True)], columns=list(COLUMNS))


SMALL = table(
    ("train", 3, 1, 1, 10),
    ("train", 5, 1, 1, 10),
    ("query", 2, 1, 1, 1),
    ("gallery", 2, 2, 1, 1),
    ("gallery", -1, 2, 1, 5),
    ("gallery", 0, 1, 1, 5),
)


def keys(samples: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(samples[list(COLUMNS[:5])].itertuples(index=False, name=None))


def test_rows_are_sorted_by_split_identity_camera_sequence_and_frame() -> None:
    expected = [
        ("train", 3, 1, 1, 9),
        ("train", 3, 1, 1, 10),  # as a number: 9 before 10
        ("train", 3, 1, 2, 1),
        ("train", 3, 2, 1, 0),
        ("train", 20, 1, 1, 0),
        ("query", 4, 1, 1, 0),
        ("gallery", -1, 1, 1, 0),
        ("gallery", 0, 9, 1, 0),
        ("gallery", 4, 2, 1, 0),
    ]
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(expected))
        arranged = arrange(table(*(expected[i] for i in order)).assign(extra=1))
        assert keys(arranged) == expected
        assert list(arranged.index) == list(range(len(expected)))
        assert tuple(arranged.columns) == (*COLUMNS, "extra")


def test_the_path_decides_where_all_else_is_equal() -> None:
    samples = pd.concat([SMALL, SMALL.iloc[[0]].assign(path="a.jpg")])
    assert list(arrange(samples)["path"][:2]) == ["a.jpg", SMALL["path"][0]]


@pytest.mark.parametrize("split", ["train", "query", "gallery"])
def test_an_empty_split_is_named(split: str) -> None:
    with pytest.raises(InputError, match=rf"split {split} holds no image; look at the roots and splits"):
        arrange(SMALL[SMALL["split"] != split])


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(InputError, match="unknown split 'val'; known: train, query, gallery"):
        arrange(pd.concat([SMALL, table(("val", 9, 1, 1, 1))]))


def test_identities_are_the_training_rows_by_pid() -> None:
    samples = arrange(pd.concat([SMALL, table(("train", 3, 2, 1, 0), ("train", 4, 1, 1, 0))]))
    rows = identities(samples)
    assert list(rows) == [3, 4, 5]
    assert [found.tolist() for found in rows.values()] == [[0, 1], [2], [3]]
    assert all(isinstance(pid, int) for pid in rows)


def people(count: int, cameras: int = 3, images: int = 2) -> pd.DataFrame:
    rows = [
        ("train", pid, camid, 1, frame)
        for pid in range(10, 10 + count)
        for camid in range(1, cameras + 1)
        for frame in range(images)
    ]
    test = [("query", 1, 1, 1, 1), ("gallery", 1, 2, 1, 1), ("gallery", 0, 2, 1, 1), ("gallery", -1, 2, 1, 1)]
    return arrange(table(*rows, *test))


def test_validation_identities_are_disjoint_and_replace_the_test_identities() -> None:
    samples = people(10)
    held = hold_out(samples, 0.3, 0)
    pids = {split: set(held.loc[held["split"] == split, "pid"]) for split in ("train", "query", "gallery")}
    assert pids["query"] == pids["gallery"]
    assert len(pids["query"]) == 3
    assert pids["train"] == set(range(10, 20)) - pids["query"]
    assert set(held["path"]) == set(samples.loc[samples["split"] == "train", "path"])


def test_validation_queries_are_the_first_of_each_camera_and_have_matches_elsewhere() -> None:
    held = hold_out(people(10), 0.3, 0)
    queries, gallery = (held[held["split"] == split] for split in ("query", "gallery"))
    assert (queries["frame"] == 0).all()
    assert len(queries) == 3 * 3
    for query in queries.itertuples():
        assert ((gallery["pid"] == query.pid) & (gallery["camid"] != query.camid)).any()


def test_validation_queries_are_occluded_where_some_image_of_the_camera_is_known_to_be() -> None:
    samples = people(10, images=4)
    cover = {"": 0, "whole": 1}  # what is known of an image, by frame; the third and fourth are covered
    samples["occluder"] = [
        "0 0 1 0.5" if frame > 1 else next(k for k, n in cover.items() if n == frame) for frame in samples["frame"]
    ]
    samples.loc[samples["camid"] == 2, "occluder"] = "whole"
    held = hold_out(samples, 0.3, 0)
    queries = held[held["split"] == "query"]
    assert queries.groupby("camid")["frame"].unique().map(list).to_dict() == {1: [2], 2: [0], 3: [2]}
    assert len(queries) == 3 * 3


def test_the_hold_out_follows_from_its_seed_alone() -> None:
    samples = people(20)
    first = hold_out(samples, 0.2, 0)
    assert hold_out(samples, 0.2, 0).equals(first)
    others = [hold_out(samples, 0.2, seed) for seed in range(1, 4)]
    assert not any(other.equals(first) for other in others)


@pytest.mark.parametrize(("share", "held"), [(0.01, 1), (0.2, 1), (0.5, 2), (0.6, 2)])
def test_at_least_one_identity_is_held_out(share: float, held: int) -> None:
    found = hold_out(people(4), share, 0)
    assert found.loc[found["split"] == "query", "pid"].nunique() == held


@pytest.mark.parametrize(("count", "share"), [(2, 0.01), (4, 0.9), (1, 0.5)])
def test_at_least_two_identities_go_on_training(count: int, share: float) -> None:
    with pytest.raises(InputError, match=rf"prepare\.validation: {share} of {count} .* two must be left to train"):
        hold_out(people(count), share, 0)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    samples = arrange(SMALL)
    write_samples(samples, tmp_path / "samples.csv")
    assert read_samples(tmp_path / "samples.csv").equals(samples)
    assert (
        (tmp_path / "samples.csv")
        .read_bytes()
        .startswith(b"split,pid,camid,sequence,frame,path,dataset\ntrain,3,1,1,10,")
    )


def test_a_table_of_which_a_store_was_not_made_is_refused(tmp_path: Path) -> None:
    """Names with signs that CSV quotes; only the identity of the first image is another one."""
    samples = arrange(SMALL.assign(path=SMALL["path"] + ' "a", é.jpg'))
    write_samples(samples, table := tmp_path / "samples.csv")
    for height in (64, 128):
        write_store(tmp_path / "images.zarr", {}, **describe_image_set(samples, Image(height=height, width=32)))
        assert read_samples_of(table, open_store(tmp_path / "images.zarr")).equals(samples)
    write_samples(samples.assign(pid=[4, *samples["pid"][1:]]), table)
    with pytest.raises(
        InputError, match=r"samples\.csv: not the table of which .*images\.zarr was made, so its rows bel"
    ):
        read_samples_of(table, open_store(tmp_path / "images.zarr"))
    write_store(tmp_path / "images.zarr", {})
    assert read_samples_of(table, open_store(tmp_path / "images.zarr"))["pid"][0] == 4


def test_whoever_opens_a_store_reads_the_table_with_it() -> None:
    readers = 0
    for file in [*(ROOT / "hcga").rglob("*.py"), *(ROOT / "pipeline").glob("*.py")]:
        nodes = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
        taken = {alias.name for node in nodes for alias in node.names}
        readers += bool(taken & {"read_samples", "read_samples_of"})
        assert "read_samples" not in taken or not taken & {"open_store", "open_store_of", "open_artifact"}, file
    assert readers > 10


def test_images_of_two_data_sets_have_names_of_their_own() -> None:
    table = pd.DataFrame({"dataset": ["a", "b"], "path": ["query/1.jpg"] * 2})
    assert image_names(table).tolist() == ["a/query/1.jpg", "b/query/1.jpg"]


def test_a_missing_table_or_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    with pytest.raises(InputError, match=r"samples\.csv: no such file; `dvc repro` makes it"):
        read_samples(path)
    SMALL.drop(columns="camid").to_csv(path)
    with pytest.raises(InputError, match=r"samples\.csv: no column 'camid'; it has: "):
        read_samples(path)


def test_a_camera_with_one_image_gives_no_query_but_gallery() -> None:
    """Identity 10 is seen twice by two cameras and once by a third; 11 and 12 have no two cameras with two images."""
    rows = [("train", 10, camid, 1, frame) for camid in (1, 2) for frame in (0, 1)] + [("train", 10, 3, 1, 0)]
    rows += [("train", pid, camid, 1, 0) for pid in (11, 12) for camid in (1, 2)]
    test = [("query", 1, 1, 1, 1), ("gallery", 1, 2, 1, 1)]
    held = hold_out(arrange(table(*rows, *test)), 0.3, 0)
    assert held.loc[held["split"] == "query", ["pid", "camid"]].to_numpy().tolist() == [[10, 1], [10, 2]]
    assert held.loc[held["split"] == "gallery", ["pid", "camid"]].to_numpy().tolist() == [[10, 1], [10, 2], [10, 3]]


def test_too_few_identities_with_a_match_are_named() -> None:
    """One image a camera: every query would leave nothing to find."""
    with pytest.raises(InputError, match=r"prepare\.validation: 0.5 of 4 .* 0 have two images at two cameras"):
        hold_out(people(4, images=1), 0.5, 0)
