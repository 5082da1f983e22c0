"""The pages' tables of results have the figures of the files beside them, docs/results.

Compared are figures with a deviation, with the files of the people whom the section is about: each line with the row of
its name, or with one or two rows where none has it, by column where the header names one figure. What stands in
sentences, and means alone, nobody compares.
"""

import re
from collections.abc import Iterator
from itertools import combinations, combinations_with_replacement
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT

from hcga.ablation.summary import average, spread

PAGES = {"results.md": "occluded-", "defaults.md": "held-out-"}  # how the names of their files begin, but for SECTIONS
SECTIONS = {"## With the truth for a parser: synthetic people": "synthetic-", "## Whole people": "whole-"}
SPREAD = re.compile(r"\d+\.\d ± \d+\.\d")


COLUMNS = {
    "Rank-1": "retrieval_rank1",
    "Rank-5": "retrieval_rank5",
    "mAP": "retrieval_mAP",
    "mAP by trapezoids": "retrieval_mAP_trapezoid",
    "here": "retrieval_mAP_trapezoid",
    "IoU, foreground": "masks_iou_foreground",
    "share of foreground": "masks_foreground_share",
    "in occluders": "masks_inside_occluders",
}
Figures = set[tuple[str, str]]  # column of a file, '' for any, and what a page has to print of it


def figures_of(file: Path) -> dict[str, Figures]:
    """What each row of a table has to print of its last round."""
    runs = pd.read_csv(file)
    summed = average(runs[runs["last"]], ["row"])
    names = [str(name).removesuffix("_mean") for name in summed if str(name).endswith("_mean")]
    rows = {}
    for _, row in summed.iterrows():
        texts = {name: spread(row[f"{name}_mean"], row[f"{name}_std"]) for name in names}
        rows[str(row["row"])] = {pair for name, text in texts.items() for pair in ((name, text), ("", text))}
    return rows


def printed() -> Iterator[tuple[str, str, Figures]]:
    """How the names of the files begin, line and figures of each line of a table."""
    for page, people in PAGES.items():
        header: list[str] = []
        prefix = people
        for line in (ROOT / "docs" / page).read_text("utf-8").splitlines():
            if line.startswith("## "):
                prefix = SECTIONS.get(line, people)
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip()[:1] == "|" else []
            header = header if cells and header else cells
            columns = [COLUMNS.get(name, "") for name in header]
            figures = {
                (column, text) for column, cell in zip(columns, cells, strict=True) for text in SPREAD.findall(cell)
            }
            if figures:
                yield prefix, line, figures


KNOWN = {file.name: figures_of(file) for file in sorted((ROOT / "docs/results").glob("*-runs.csv"))}


NAMES = {name for rows in KNOWN.values() for name in rows}


def comparable(prefix: str, label: str) -> Iterator[Figures]:
    """What may stand in a line: the row of its name, else one or two of a file; or a row on several held-out sets."""
    known = [rows for file, rows in KNOWN.items() if file.startswith(prefix)]
    for rows in known:
        if label in NAMES:
            yield rows.get(label, set())
        else:
            yield from (first | second for first, second in combinations_with_replacement(rows.values(), 2))
    if prefix == PAGES["defaults.md"]:
        for name in {label} & NAMES or NAMES:
            yield set().union(*(rows.get(name, set()) for rows in known))


@pytest.mark.parametrize(
    ("prefix", "line", "figures"), [*printed()], ids=lambda of: of[:40] if isinstance(of, str) else ""
)
def test_a_line_has_the_figures_of_its_row(prefix: str, line: str, figures: Figures) -> None:
    label = line.strip().strip("|").partition("|")[0].strip()
    unknown = min((figures - known for known in comparable(prefix, label)), key=len)
    assert not unknown, f"not in any file docs/results/{prefix}*: {sorted(unknown)}"


def test_processors_differ_as_the_page_says() -> None:
    """Mean difference of two runs: of one seed on two processors, and of two seeds on one of them."""
    columns = ["retrieval_rank1", "retrieval_mAP", "masks_iou_foreground", "parsing_head_train_iou_foreground"]
    xeon, epyc = (
        runs[runs["row"] == "hcnet"].set_index(["round", "seed"])[columns]
        for runs in (pd.read_csv(ROOT / f"docs/results/whole-mask_source{which}-runs.csv") for which in ("", "-epyc"))
    )
    page = (ROOT / "docs/reproducibility.md").read_text("utf-8")
    for number in (1, 2, 3):
        here, there = xeon.loc[f"r{number}"], epyc.loc[f"r{number}"]
        same = (here - there).abs().mean()
        pairs = [(of.loc[one] - of.loc[two]).abs() for of in (here, there) for one, two in combinations(of.index, 2)]
        cells = [f"{same[name]:.1f}, {pd.DataFrame(pairs)[name].mean():.1f}" for name in columns]
        assert f"| {number} | {' | '.join(cells)} |" in page
