"""How recorded and new outputs differ, in small files made by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from hcga.store_writing import write_store
from hcga.verification.differences import Difference, compare


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    return tmp_path / "before", tmp_path / "after"


def only(found: list[Difference]) -> Difference:
    assert len(found) == 1, found
    return found[0]


def test_equal_bytes_are_no_difference(sides: tuple[Path, Path]) -> None:
    for side in sides:
        (side / "a").write_text("same")
        write_store(side / "m.zarr", {"cells": np.ones((3, 2), np.uint8)}, epoch=1)
    assert compare(*sides, "out") == []


def test_whole_numbers_of_a_store_differ_by_the_share_of_cells(sides: tuple[Path, Path]) -> None:
    masks = np.zeros((5, 4), np.uint8)
    for side, value in zip(sides, (0, 3), strict=True):
        masks[4, :2] = value
        write_store(side / "m.zarr", {"others": np.zeros((5, 4), np.uint8), "cells": masks}, epoch=1)
    found = only(compare(*sides, "data"))
    assert found[:3] == ("data/m.zarr", "cells", "2 of 20 values differ, 0.1 of all")
    assert found.extent == pytest.approx(0.1)


def test_floats_of_a_store_differ_as_a_share_of_the_largest(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcga.verification.measures.BLOCK_BYTES", 32)  # two rows at once
    values = np.array([[1, -8], [np.nan, 2], [np.inf, 0], [1, 1], [1, 1]], np.float64)
    for side, value in zip(sides, (1.0, 1.5), strict=True):
        values[4, 1] = value
        write_store(side / "f.zarr", {"values": values})
    found = only(compare(*sides, "data"))
    assert found.how == "1 of 10 values differ, by up to 0.5, 0.062 of the largest value"
    assert found.extent == 0.5 / 8


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_in_one_alone_has_no_measure(sides: tuple[Path, Path], value: float) -> None:
    for side, number in zip(sides, (1.0, value), strict=True):
        write_store(side / "f.zarr", {"values": np.array([2.0, number])})
    assert only(compare(*sides, "data")).extent == math.inf


@pytest.mark.parametrize(
    ("arrays", "attributes", "part", "how"),
    [
        ({"a": np.zeros(3, np.uint8)}, {"epoch": 2}, "attribute epoch", "1, now 2"),
        ({"a": np.zeros(4, np.uint8)}, {"epoch": 1}, "a", "uint8 (3,), now uint8 (4,)"),
        ({"a": np.zeros(3, np.int16)}, {"epoch": 1}, "a", "uint8 (3,), now int16 (3,)"),
        ({}, {"epoch": 1}, "a", "is no longer there"),
    ],
)
def test_attributes_shapes_and_kinds_of_a_store(
    sides: tuple[Path, Path], arrays: dict[str, np.ndarray], attributes: dict[str, int], part: str, how: str
) -> None:
    write_store(sides[0] / "s", {"a": np.zeros(3, np.uint8)}, epoch=1)
    write_store(sides[1] / "s", arrays, **attributes)
    assert only(compare(*sides, "data")) == ("data/s", part, how, math.inf)


def test_a_damaged_store_is_named(sides: tuple[Path, Path]) -> None:
    for side in sides:
        write_store(side / "s", {"a": np.arange(9)})
    (sides[1] / "s" / "a" / "c" / "0").write_bytes(b"x")
    found = only(compare(*sides, "data"))
    assert found.extent == math.inf
    assert found.how.startswith("cannot be compared: ")
    assert "damaged" in found.how


def test_tensors_of_a_model(sides: tuple[Path, Path]) -> None:
    weights = {"a": torch.zeros(2), "b": torch.tensor([4.0, 2.0], dtype=torch.bfloat16), "n": torch.tensor([1, 2])}
    for side, value in zip(sides, (2.0, 3.0), strict=True):
        weights["b"][1], weights["n"][0] = value, int(value)
        save_file(weights, side / "m.safetensors", {"hcga": f"card {value}"})
    first, *others = compare(*sides, "data")
    assert first == ("data/m.safetensors", "metadata hcga", "'card 2.0', now 'card 3.0'", math.inf)
    assert [(found.part, found.extent) for found in others] == [("n", 0.5), ("b", 0.25)]


def test_what_is_said_of_machine_and_code_is_a_circumstance(sides: tuple[Path, Path]) -> None:
    for side, threads, epoch in zip(sides, (1, 2), (3, 4), strict=True):
        card = {"epoch": epoch, "environment": {"threads": threads, "torch": "2"}}
        save_file({"a": torch.zeros(2)}, side / "m.safetensors", {"hcga": json.dumps(card)})
        write_store(side / "e.zarr", {"image": np.zeros((2, 3), np.float32)}, run={"embed": {"threads": threads}})
        (side / "r1.json").write_text(
            json.dumps({"run": {"code": f"a{threads}", "seed": threads}, "retrieval": {"runs.": epoch}})
        )
    found = compare(*sides, "data")
    assert {(one.file, one.part): one.circumstance for one in found} == {
        ("data/m.safetensors", "metadata hcga.epoch"): False,
        ("data/m.safetensors", "metadata hcga.environment.threads"): True,
        ("data/e.zarr", "attribute run.embed.threads"): True,
        ("data/r1.json", "run.code"): True,
        ("data/r1.json", "run.seed"): False,
        ("data/r1.json", "retrieval.runs."): False,
    }


@pytest.mark.parametrize("with_run", [0, 1])
def test_what_only_one_side_says_of_the_machine_is_a_circumstance(sides: tuple[Path, Path], with_run: int) -> None:
    for number, side in enumerate(sides):
        told = {"run": {"embed": {"threads": 1}}} if number == with_run else {}
        write_store(side / "e.zarr", {"image": np.zeros((2, 3), np.float32)}, runs=number, **told)
    found = compare(*sides, "data")
    assert {one.part: one.circumstance for one in found} == {"attribute run": True, "attribute runs": False}


def test_columns_of_a_table(sides: tuple[Path, Path]) -> None:
    rows = ["pid,loss,name", "1,0.5,x", "2,-2.0,y", "3,,z", "4,1,z"]
    (sides[0] / "t.csv").write_text("\n".join(rows))
    (sides[1] / "t.csv").write_text("\n".join(rows).replace("0.5,x", "0.75,q"))
    names, numbers = compare(*sides, "data")
    assert names == ("data/t.csv", "column name", "1 of 4 values differ, 0.25 of all", 0.25)
    assert numbers[1:] == ("column loss", "1 of 4 values differ, by up to 0.25, 0.12 of the largest value", 0.125)


def test_other_rows_or_columns_of_a_table(sides: tuple[Path, Path]) -> None:
    (sides[0] / "t.csv").write_text("a,b\n1,2\n")
    (sides[1] / "t.csv").write_text("a,b\n1,2\n3,4\n")
    assert only(compare(*sides, "data"))[2:] == ("1 rows of a, b, now 2 rows of a, b", math.inf)


def test_figures_of_a_json_file(sides: tuple[Path, Path]) -> None:
    for side, figure, epoch in ((sides[0], 20.0, 6), (sides[1], 21.0, 7)):
        figures = {"epoch": epoch, "retrieval": {"mAP": figure, "rank1": 5.0}}
        (side / "m.json").write_text(json.dumps(figures))
    assert [found[1:] for found in compare(*sides, "data")] == [
        ("epoch", "6, now 7", math.inf),
        ("retrieval.mAP", "20, now 21", 0.05),
    ]


def test_pixels_of_a_picture(sides: tuple[Path, Path]) -> None:
    pixels = np.zeros((4, 4), np.uint8)
    for side, value in zip(sides, (0, 9), strict=True):
        pixels[0, 0] = value
        Image.fromarray(pixels).save(side / "p.png")
    assert only(compare(*sides, "data"))[1:] == ("pixels", "1 of 16 values differ, 0.062 of all", 1 / 16)


def test_the_same_values_in_other_bytes(sides: tuple[Path, Path]) -> None:
    (sides[0] / "m.json").write_text('{"a": 1}')
    (sides[1] / "m.json").write_text('{"a":1}')
    assert only(compare(*sides, "data")) == ("data/m.json", "", "other bytes with the same values", 0.0)


def test_files_of_a_folder(sides: tuple[Path, Path]) -> None:
    (sides[0] / "gone").write_text("x")
    (sides[1] / "new").write_text("x")
    for side, text in zip(sides, ("abc", "abcd"), strict=True):
        (side / "page.html").write_text(text)
    assert sorted(found[:3] for found in compare(*sides, "data")) == [
        ("data/gone", "", "is no longer written"),
        ("data/new", "", "is new"),
        ("data/page.html", "", "3 bytes, now 4"),
    ]
