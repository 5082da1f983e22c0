from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from hcga.ablation.output import Summary, as_markdown, as_text, write_all
from hcga.ablation.plot import draw_rows
from hcga.ablation.results import FIGURES, Results
from hcga.ablation.summary import AGREEMENT, LEGEND, average, by_round, by_row, legend, parts_seen, readable, spread
from hcga.ablation.tables import Figures

ROWS = ["none", "isp", "late"]


def run(row: str, seed: int, name: str, rank1: float, iou: float | None) -> dict[str, Any]:
    epoch = {"r1": 6, "r2": 12}[name]
    about = {"row": row, "seed": seed, "name": f"{row}{seed}", "commit": "c0ffee", "round": name, "last": name == "r2"}
    ap = {"retrieval_mAP": rank1 / 2, "retrieval_mAP_trapezoid": rank1 / 2 - 1}
    return {**about, "epoch": epoch, "retrieval_rank1": rank1, **ap, "masks_iou_foreground": iou}


@pytest.fixture
def results() -> Results:
    """Give three seeds of isp, one of none; `late` has not run."""
    runs = [run("none", 1, "r1", 30, None), run("none", 1, "r2", 40, None)]
    for seed, rank1 in ((1, 50), (2, 52), (3, 57)):
        runs += [run("isp", seed, "r1", rank1 - 9, 20 + seed), run("isp", seed, "r2", rank1, 30)]
    agreement = pd.DataFrame(
        {
            "row": "isp",
            "round": ["r1", "r2"],
            "same_part": [61.0, 72.5],
            "rand_parts": [0.5, 0.25],
            "rand_labels": [0.4, 0.15],
        }
    )
    return Results(pd.DataFrame(runs), agreement, pd.DataFrame(), {"isp": Figures(rank1=62.8, mAP_trapezoid=52.3)}, [])


def test_mean_and_deviation_are_those_of_a_sample(results: Results) -> None:
    summed = average(results.runs, ["row", "round"]).set_index(["row", "round"])
    assert summed.index.tolist() == [("none", "r1"), ("none", "r2"), ("isp", "r1"), ("isp", "r2")]
    assert summed["seeds"].tolist() == [1, 1, 3, 3]
    assert summed.loc[("isp", "r2"), "retrieval_rank1_mean"] == pytest.approx(53)
    assert summed.loc[("isp", "r2"), "retrieval_rank1_std"] == pytest.approx(((9 + 1 + 16) / 2) ** 0.5)
    assert summed.loc[("isp", "r1"), "masks_iou_foreground_std"] == pytest.approx(1)
    assert pd.isna(summed.loc[("none", "r2"), "retrieval_rank1_std"])


def test_rows_show_the_last_round_and_the_paper_s_figures(results: Results) -> None:
    tables = readable(by_row(ROWS, results))
    keys = {"row": ROWS, "seeds": ["1", "3", "0"]}
    assert {title: table.to_dict("list") for title, table in tables.items()} == {
        "Retrieval": {
            **keys,
            "Rank-1": ["40.0", "53.0 ± 3.6", "-"],
            "paper Rank-1": ["-", "62.8", "-"],
            "mAP": ["20.0", "26.5 ± 1.8", "-"],
            "mAP trapez.": ["19.0", "25.5 ± 1.8", "-"],
            "paper mAP": ["-", "52.3", "-"],
        },
        "Masks": {
            **keys,
            "mask fg IoU": ["-", "30.0 ± 0.0", "-"],
            "same part": ["-", "72.5", "-"],
            "adj. Rand": ["-", "0.25", "-"],
            "of labels": ["-", "0.15", "-"],
        },
    }


def test_a_standard_map_of_the_paper_stands_beside_ours(results: Results) -> None:
    table = readable(by_row(ROWS, results._replace(paper={"isp": Figures(mAP=74.1)})))["Retrieval"]
    assert [*table] == ["row", "seeds", "Rank-1", "mAP", "paper mAP"]
    assert table["paper mAP"].tolist() == ["-", "74.1", "-"]


def test_rows_that_end_with_another_round_say_so(results: Results) -> None:
    runs = results.runs[(results.runs["row"] == "isp") | (results.runs["round"] == "r1")]
    runs = runs.assign(last=runs["last"] | (runs["row"] == "none"))
    table = readable(by_row(ROWS, results._replace(runs=runs)))["Retrieval"]
    assert table["round"].tolist() == ["r1", "r2", "-"]
    assert table["epoch"].tolist() == ["6", "12", "-"]


def test_without_the_paper_there_is_one_map(results: Results) -> None:
    assert [*readable(by_row(ROWS, results._replace(paper={})))["Retrieval"]] == ["row", "seeds", "Rank-1", "mAP"]


def test_each_part_is_seen_in_whole_and_in_occluded_images(results: Results) -> None:
    assert not len(parts_seen(by_row(ROWS, results)))
    seen = {"whole_head": 90.0, "occluded_head": 80.0, "whole_mean": 1.0, "whole_empty": 2.0}
    runs = results.runs.assign(**{f"visibility_{name}": value for name, value in seen.items()})
    runs.loc[runs["row"] == "none", [f"visibility_{name}" for name in seen]] = float("nan")
    assert parts_seen(by_row(ROWS, results._replace(runs=runs))).to_dict("list") == {
        "row": ["isp", "isp"],
        "images": ["whole", "occluded"],
        "head": ["90.0 ± 0.0", "80.0 ± 0.0"],
    }
    whole = runs.drop(columns="visibility_occluded_head")
    assert parts_seen(by_row(ROWS, results._replace(runs=whole)))["images"].tolist() == ["whole"], (
        "no image is occluded"
    )


def test_what_is_the_same_in_all_rows_is_told_once(results: Results) -> None:
    """Rows that differ in matching alone share their masks."""
    runs = results.runs[results.runs["row"] == "isp"].assign(visibility_whole_head=90.0, visibility_occluded_head=80.0)
    twice = pd.concat([runs, runs.assign(row="none", retrieval_rank1=1.0)])
    agreement = pd.concat([results.agreement, results.agreement.assign(row="none")])
    found = results._replace(runs=twice, agreement=agreement)
    tables = readable(by_row(ROWS[:2], found))
    assert tables["Retrieval"]["row"].tolist() == ROWS[:2]
    assert tables["Masks"][["row", "same part"]].to_numpy().tolist() == [["all", "72.5"]]
    assert parts_seen(by_row(ROWS[:2], found))[["row", "images"]].to_numpy().tolist() == [
        ["all", "whole"],
        ["all", "occluded"],
    ]
    of_rounds = readable(by_round(ROWS[:2], found))["Masks"]
    assert of_rounds[["row", "round", "same part"]].to_numpy().tolist() == [
        ["all", "r1", "61.0"],
        ["all", "r2", "72.5"],
    ]
    assert readable(by_row(ROWS, found))["Masks"]["row"].tolist() == ROWS, "the last has not run"


def test_the_legend_explains_what_is_shown(results: Results) -> None:
    told = legend(readable(by_row(ROWS, results)))
    assert told.startswith("Per cent, mean ± standard deviation over seeds. mAP trapez.: ")
    assert "adj. Rand: adjusted Rand index" in told
    assert "in occluders" not in told
    assert set(LEGEND) - {"images"} <= set(FIGURES) | set(AGREEMENT)


def test_rounds_show_agreement_round_by_round(results: Results) -> None:
    tables = readable(by_round(["isp", "none"], results))
    assert tables["Masks"]["row"].tolist() == ["isp", "isp", "none", "none"]
    assert tables["Masks"]["round"].tolist() == ["r1", "r2", "r1", "r2"]
    assert tables["Masks"]["same part"].tolist() == ["61.0", "72.5", "-", "-"]
    assert "paper Rank-1" not in tables["Retrieval"]


def test_nothing_has_run_yet(tmp_path: Path) -> None:
    nothing = Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), {}, ["All are missing."])
    rows = by_row(ROWS, nothing)
    summary = Summary("Sources", "synthetic", rows, by_round(ROWS, nothing), nothing.notes, nothing)
    assert as_text(summary).splitlines() == ["Sources", "synthetic.", "", "- All are missing."]
    assert write_all(summary, tmp_path, "t") == list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("deviation", "text"), [(1.25, "25.0 ± 1.2"), (float("nan"), "25.0")])
def test_spread(deviation: float, text: str) -> None:
    assert spread(25, deviation) == text
    assert spread(float("nan"), float("nan")) == "-"


def test_files_of_what_is_no_more_go(results: Results, tmp_path: Path) -> None:
    several = results._replace(identities=pd.DataFrame({"row": ["isp"], "same_part": [60.0]}))
    summary = Summary("T", "about", by_row(ROWS, results), by_round(ROWS, results), [], several)
    assert tmp_path / "t-identities.csv" in write_all(summary, tmp_path, "t")
    one_seed = summary._replace(results=results)
    assert tmp_path / "t-identities.csv" not in write_all(one_seed, tmp_path, "t")
    assert not (tmp_path / "t-identities.csv").exists()


def test_text_has_the_last_rounds_and_markdown_all(results: Results) -> None:
    summary = Summary("A | B", "about", by_row(ROWS, results), by_round(ROWS, results), ["Mind this."], results)
    text, page = as_text(summary), as_markdown(summary, "t.svg")
    lines = text.splitlines()
    assert lines[3] == "Retrieval"
    assert lines[4].split()[:3] == ["row", "seeds", "Rank-1"]
    assert len({len(line) for line in lines[4:8]}) == 1  # columns below each other
    assert "by round" not in text
    assert page.startswith("# A | B\n\nabout.\n\n![A | B](t.svg)\n\n## Retrieval\n\n| row | seeds |")
    assert "| isp | 3 | 30.0 ± 0.0 | 72.5 | 0.25 |" in page
    assert "| isp | r1 | 6 | 3 | 22.0 ± 1.0 | 61.0 | 0.50 |" in page.partition("## Masks by round")[2]
    assert "(t.svg)" in page
    assert "\n- Mind this.\n" in page


def test_the_plot_has_a_mark_for_each_mean_and_seed(results: Results) -> None:
    picture = draw_rows(by_row(ROWS, results), results)
    root = ElementTree.fromstring(picture)
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    shown = {"Rank-1, per cent", "mAP trapez., per cent", "mask fg IoU, per cent", "mean ± std", "each seed", "paper"}
    assert {*ROWS, *shown} <= texts
    assert "mAP, per cent" not in texts, "not beside the paper's, which is another"
    assert "#010203" not in picture
    assert picture == draw_rows(by_row(ROWS, results), results)
