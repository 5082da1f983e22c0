"""The pages' tables of results have the figures of the files beside them, docs/results."""

import re
from itertools import combinations_with_replacement
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT

from hcga.ablation.summary import average, spread

SPREAD = re.compile(r"\d+\.\d ± \d+\.\d")


def figures_of(file: Path) -> list[set[str]]:
    """What each row of a table has to print of its last round."""
    runs = pd.read_csv(file)
    summed = average(runs[runs["last"]], ["row"])
    names = [name.removesuffix("_mean") for name in summed if str(name).endswith("_mean")]
    return [{spread(row[f"{name}_mean"], row[f"{name}_std"]) for name in names} for _, row in summed.iterrows()]


KNOWN = {file.name: figures_of(file) for file in sorted((ROOT / "docs/results").glob("*-runs.csv"))}
PRINTED = [
    (page, line)
    for page in ("results.md",)
    for line in (ROOT / "docs" / page).read_text("utf-8").splitlines()
    if line.startswith("|") and SPREAD.search(line)
]


@pytest.mark.parametrize(("page", "line"), PRINTED, ids=lambda text: text[:40])
def test_a_line_has_the_figures_of_one_row_or_of_two_that_it_compares(page: str, line: str) -> None:
    printed = set(SPREAD.findall(line))
    pairs = (pair for rows in KNOWN.values() for pair in combinations_with_replacement(rows, 2))
    best = min((printed - first - second for first, second in pairs), key=len)
    assert not best, f"{page}: not in any file of docs/results: {', '.join(sorted(best))}"
