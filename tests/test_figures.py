import json
from pathlib import Path

import pandas as pd
import pytest

from hcga.errors import InputError
from hcga.figures import SHOWN, collect_curves, collect_figures, format_figures, read_metrics, strays

METRICS = {
    "r1": {
        "epoch": 4,
        "run": {"seed": 1, "device": "cpu: A"},
        "retrieval": {"rank1": 43.2198, "mAP": 30.0},
        "masks": {"iou_foreground": 65.43},
    },
    "r2": {"epoch": 8, "retrieval": {"rank1": 50.0, "mAP": 100 / 3}, "masks": {"agreement_previous": 81.25}},
}


def test_figures_stand_side_by_side_under_their_sections() -> None:
    table = collect_figures(METRICS).set_index("round")
    given = ["epoch", "retrieval_rank1", "retrieval_mAP", "masks_iou_foreground", "masks_agreement_previous"]
    assert list(table.columns)[:5] == given
    assert set(table.columns) == {*given, *SHOWN.values()}
    assert table[[column for column in table if column not in given]].isna().all(axis=None), "there to be plotted"
    assert table.loc["r2", "retrieval_rank1"] == 50.0
    assert table["masks_iou_foreground"].isna().tolist() == [False, True]
    assert list(table.index) == ["r1", "r2"]


def test_the_text_table_shows_the_rounds_with_one_decimal() -> None:
    lines = format_figures(collect_figures(METRICS)).splitlines()
    assert [line.rsplit(maxsplit=2) for line in lines] == [
        ["round", "r1", "r2"],
        ["epoch", "4", "8"],
        ["mask fg IoU", "65.4", "-"],
        ["agree prev", "-", "81.2"],
        ["Rank-1", "43.2", "50.0"],
        ["mAP", "30.0", "33.3"],
    ]


def test_missing_or_broken_metrics_are_named(tmp_path: Path) -> None:
    path = tmp_path / "r1.json"
    with pytest.raises(InputError, match=r"r1\.json: no figures of this round yet; run `dvc repro`"):
        read_metrics(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"r1\.json: no valid JSON .*`dvc repro` writes it anew"):
        read_metrics(path)
    for text in ("[]", "null", "3"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"r1\.json: holds \w+, not figures by name; perhaps another version"):
            read_metrics(path)
    path.write_text('{"epoch": 3}', encoding="utf-8")
    assert read_metrics(path) == {"epoch": 3}


def test_how_figures_came_about_is_read_with_them(tmp_path: Path) -> None:
    path = tmp_path / "r1.json"
    path.write_text(json.dumps(METRICS["r1"]))
    assert read_metrics(path) == METRICS["r1"]


def test_curves_stand_below_each_other(tmp_path: Path) -> None:
    for name, losses in (("r1", [3.0, 2.0]), ("r2", [1.0])):
        pd.DataFrame({"epoch": range(len(losses)), "loss": losses}).to_csv(tmp_path / f"{name}.csv", index=False)
    curves = collect_curves({name: tmp_path / f"{name}.csv" for name in ("r1", "r2")})
    assert list(curves.columns) == ["round", "epoch", "loss"]
    assert curves["round"].tolist() == ["r1", "r1", "r2"]
    assert curves["loss"].tolist() == [3.0, 2.0, 1.0]
    assert curves.index.tolist() == [0, 1, 2]


def test_rounds_without_an_epoch_add_nothing(tmp_path: Path) -> None:
    (tmp_path / "r1.csv").write_text("epoch,loss\n")
    (tmp_path / "r2.csv").write_text("epoch,loss\n1,2.5\n")
    files = {name: tmp_path / f"{name}.csv" for name in ("r1", "r2")}
    curves = collect_curves(files)
    assert curves.to_dict("list") == {"round": ["r2"], "epoch": [1], "loss": [2.5]}
    assert (curves["epoch"].dtype, curves["loss"].dtype) == ("int64", "float64")
    empty = collect_curves({"r1": files["r1"]})
    assert list(empty.columns) == ["round", "epoch", "loss"]
    assert empty.empty


def test_files_of_rounds_that_are_no_more_are_found(tmp_path: Path) -> None:
    for name in ("r1.json", "r2.json", ".gitignore"):
        (tmp_path / name).touch()
    assert strays(tmp_path, ["r1", "r3"]) == [tmp_path / "r2.json"]
