"""The figures of a round, on embeddings and masks made by hand."""

import json
import logging
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from angles import PLAIN, ROWS, embeddings, samples

from hcga import __version__
from hcga.evaluation import describe_run, evaluate_round, summarise, tidy
from hcga.files import checkout_digest
from hcga.masks.parts import UNLABELLED
from hcga.occluders import BOX, Occlusion
from hcga.store_writing import write_store
from hcga.stores import open_store

NOBODY = np.zeros(10, bool)
UNKNOWN = Occlusion(NOBODY, NOBODY, pd.DataFrame(columns=["row", *BOX]))

LACKING = {
    "images_turned_inside_out": 0,
    "images_lacking_foreground": 0,
    "images_lacking_background": 2,
    "images_lacking_part1": 0,
}
LACKING |= {"images_lacking_part2": 2}


def masks_store(path: Path, masks: np.ndarray, truth: np.ndarray | None) -> tuple[zarr.Group, zarr.Group]:
    write_store(path / "masks.zarr", {"masks": masks, "labels": masks}, run={})
    write_store(path / "truth.zarr", {} if truth is None else {"truth": truth}, part_classes=3)
    return open_store(path / "masks.zarr"), open_store(path / "truth.zarr")


def test_a_round_says_how_it_came_about() -> None:
    trained = {"device": "cpu: A", "threads": 2, "python": platform.python_version(), "numpy": np.__version__}
    run = describe_run({"seed": 5, "train": trained, "embed": trained})
    assert run == {"hcga": __version__, "code": checkout_digest()[:12], "seed": 5} | trained
    elsewhere = {"seed": 5, "train": trained | {"numpy": "1"}, "embed": trained | {"numpy": "1", "device": "cuda: B"}}
    run = describe_run(elsewhere | {"coparse": {"device": "cpu: C", "numpy": "1"}, "extract": {"device": "cpu: A"}})
    assert "extract" not in run
    assert (run["device"], run["coparse"], run["embed"], run["evaluate"]) == (
        "cpu: A",
        {"device": "cpu: C"},
        {"device": "cuda: B"},
        {"numpy": np.__version__},
    )


def test_tidy_rounds_and_drops_what_is_not_defined() -> None:
    figures = {
        "epoch": 3,
        "a": {"x": np.float32(1 / 3), "y": float("nan"), "z": np.float64("nan"), "v": np.float32("nan")},
        "b": {"inner": {"w": 66.66666}},
        "c": np.float64(2),
    }
    tidied = tidy(figures)
    assert tidied == {"epoch": 3, "a": {"x": 0.3333}, "b": {"inner": {"w": 66.6667}}, "c": 2.0}
    assert json.loads(json.dumps(tidied, allow_nan=False)) == tidied


def round_figures(path: Path, parsing: bool, truth: np.ndarray | None, **table: Any) -> dict[str, Any]:
    masks, truths = masks_store(path, np.full((2, 4, 2), 1 if parsing else UNLABELLED, np.uint8), truth)
    pd.DataFrame({"pid": [9]} | table).to_csv(path / "table.csv", index=False)
    (path / "skipped.csv").write_text("dataset,path,problem\nmain,a.jpg,truncated\n")
    files = (path / "table.csv", path / "skipped.csv")
    return evaluate_round(embeddings(path, parsing=parsing), masks, truths, samples(), UNKNOWN, *files, PLAIN).figures


def test_a_round_rates_its_identities(tmp_path: Path) -> None:
    masks, truths = masks_store(tmp_path, np.full((2, 4, 2), 1, np.uint8), np.ones((len(ROWS), 16, 8), np.uint8))
    table = pd.DataFrame({"pid": [9], "images": [2], "agreement_previous": [80.0], "repaired": [0]})
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "skipped.csv").write_text("dataset,path,problem\n")
    files = (tmp_path / "table.csv", tmp_path / "skipped.csv")
    found = evaluate_round(embeddings(tmp_path, parsing=True), masks, truths, samples(), UNKNOWN, *files, PLAIN)
    (row,) = found.identities.to_dict("records")
    known = {"pid": 9, "images": 2, "agreement_previous": 80.0, "repaired": 0}
    assert row == {**known, "agreement_head": 0.0, "iou_foreground": 100.0}


def test_a_round_with_parsing_and_truth_has_all_figures(tmp_path: Path) -> None:
    truth = np.ones((len(ROWS), 16, 8), np.uint8)
    figures = round_figures(tmp_path, True, truth, images=[2], agreement_previous=[80.0], repaired=[0])
    assert list(figures) == [
        "epoch",
        "run",
        "skipped_images",
        "retrieval",
        "verification",
        "open_set",
        "masks",
        "parsing_head",
        "visibility_query",
        "visibility_gallery",
    ]
    assert figures["epoch"] == 6
    assert figures["masks"] == {  # part 2 is nowhere: no number for it, nor for the mean
        "foreground_share": 100,
        "agreement_previous": 80,
        "images_without": 0,
        "images_repaired": 0,
        **LACKING,
        "iou_foreground": 100,
        "iou_guess": 100,
        "iou_part1": 100,
    }
    assert figures["parsing_head"]["agreement"] == 0
    assert figures["visibility_query"] == {"part1": 100, "part2": 100, "mean": 100, "empty": 0}
    json.dumps(figures, allow_nan=False)


def test_the_first_round_has_nothing_to_agree_with(tmp_path: Path) -> None:
    figures = round_figures(tmp_path, True, None, images=[2], agreement_previous=[np.nan], repaired=[0])
    assert figures["masks"] == {"foreground_share": 100, "images_without": 0, "images_repaired": 0} | LACKING


def test_a_log_has_a_line_a_round(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = np.ones((len(ROWS), 16, 8), np.uint8)
    with caplog.at_level(logging.INFO, "hcga"):
        figures = round_figures(tmp_path, True, truth, images=[2], agreement_previous=[80.0], repaired=[0])
    (line,) = caplog.messages
    assert figures["retrieval"]["rank1"] != figures["retrieval"]["mAP"]
    assert line == f"Rank-1 0.0 %, mAP {figures['retrieval']['mAP']:.1f} %, mask fg IoU 100.0 %"
    with_parts = {
        "retrieval": {"rank1": 1, "mAP": 2, "reranked_rank1": 3, "reranked_mAP": 4},
        "masks": {"iou_parts": 5},
    }
    assert summarise(with_parts) == (
        "Rank-1 1.0 %, mAP 2.0 %, re-ranked Rank-1 3.0 %, re-ranked mAP 4.0 %, mask part IoU 5.0 %"
    )


def test_a_round_without_parsing_has_retrieval_figures_only(tmp_path: Path) -> None:
    figures = round_figures(tmp_path, False, None)
    assert list(figures) == ["epoch", "run", "skipped_images", "retrieval", "verification", "open_set"]
    assert figures["skipped_images"] == 1
