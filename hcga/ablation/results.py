"""What the runs of a table have brought: figures of every round, and how far the masks of seeds agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from hcga.ablation.agreement import FIGURES as AGREEMENT
from hcga.ablation.agreement import seed_agreement
from hcga.ablation.experiments import Found
from hcga.ablation.tables import Figures, Table
from hcga.ablation.variants import change
from hcga.csv_files import read_table
from hcga.datasets.readers import LAYOUTS
from hcga.errors import InputError
from hcga.figures import SHOWN, collect_figures, read_metrics
from hcga.params import Params, read_params
from hcga.runs.revisions import open_revision
from hcga.runs.staleness import differences

# Title -> column of `collect_figures`, as `hcga figures` calls them.
TRAPEZOID = "mAP trapez."
RETRIEVAL = {title: SHOWN[title] for title in ("Rank-1", "Rank-5", "mAP")} | {TRAPEZOID: "retrieval_mAP_trapezoid"}
MASKS = {title: SHOWN[title] for title in ("mask fg IoU", "mask part IoU", "foreground", "in occluders")}
HEAD = {title: SHOWN[title] for title in ("head train IoU", "head in occl.", "empty parts")}
FIGURES = RETRIEVAL | MASKS | HEAD
TELLING = ("Rank-1", "Rank-5", "mAP", "mask fg IoU")  # of them, in a line
# Params that do not make a run another method than the paper's.
IRRELEVANT = re.compile(r"(seed|device|threads|processes|dask|synthetic|datasets|external)\b|coparse\.workers$")


class Results(NamedTuple):
    """All that is known of a table's runs."""

    runs: pd.DataFrame  # a row a run and round: row, seed, name, commit, baseline (its code), round, last, figures
    agreement: pd.DataFrame  # a row a table's row and round: row, round, figures of `Agreement`
    identities: pd.DataFrame  # the same of each identity: row, round, pid, images, figures
    paper: dict[str, Figures]  # row -> figures of the paper on this data set
    notes: list[str]  # what a reader must know


def read_run(root: Path, run: Found) -> pd.DataFrame:
    """Figures of all rounds of a finished run, one row a round.

    Raises
    ------
    InputError
        A round has no figures.
    """
    assert run.experiment is not None
    revision = open_revision(root, run.experiment.commit)
    rounds = list(run.variant.params.rounds)
    figures = collect_figures({name: read_metrics(revision.path("evaluate", "metrics", name)) for name in rounds})
    about: dict[str, Any] = {
        "row": run.variant.row,
        "seed": run.variant.seed,
        "name": run.variant.name,
        "commit": run.experiment.commit,
        "baseline": run.experiment.baseline,
    }
    table = figures.assign(**about, last=[name == rounds[-1] for name in rounds])
    return table[[*about, "round", "last", *(column for column in figures if column != "round")]]


def read_training(root: Path, run: Found) -> pd.DataFrame:
    """Loss, its terms and accuracy of the last epoch of each round of a finished run, one row a round.

    A round that trains for no epoch has none of them.

    Raises
    ------
    InputError
        A round's history is gone from DVC's cache.
    """
    assert run.experiment is not None
    revision = open_revision(root, run.experiment.commit)
    last = []
    for name in run.variant.params.rounds:
        history = read_table(revision.path("train", "history", name), ["epoch", "learning_rate"])
        last += history.drop(columns=["epoch", "learning_rate"]).tail(1).to_dict("records") or [{}]
    return pd.DataFrame(last).add_prefix("training_")


def last_figures(root: Path, run: Found) -> str:
    """The figures of a run's last round in one line, per cent."""
    last = read_run(root, run).iloc[-1]
    known = [f"{title} {last[FIGURES[title]]:.1f}" for title in TELLING if pd.notna(last.get(FIGURES[title]))]
    return "  ".join(known)


def collect(root: Path, table: Table, found: Sequence[Found]) -> Results:
    """Read the finished runs of a table.

    Parameters
    ----------
    root : Path
        Where dvc.yaml stands.
    table : Table
    found : sequence of Found
        Runs without an experiment are left out.
    """
    done = [run for run in found if run.experiment]
    tables, agreements, identities, notes = [], [], [], []
    for run in done:
        tables.append(read_run(root, run))
        try:
            tables[-1] = pd.concat([tables[-1], read_training(root, run)], axis=1)
        except InputError as error:
            notes.append(f"Losses of {run.variant.name} are not known: {error}")
    runs = _joined(tables)
    for row, group in groupby(sorted(done, key=lambda run: list(table.rows).index(run.variant.row)), _row):
        try:
            overall, of_identities = _agreement(root, row, list(group))
            agreements.append(overall)
            identities.append(of_identities)
        except InputError as error:
            notes.append(f"Agreement between the seeds of row {row} is not known: {error}")
    paper, of_paper = papers_rows(table, done, runs)
    of_paper += unlike_paper(root, table, [run for run in done if run.variant.row in paper])
    return Results(runs, _joined(agreements), _joined(identities), paper, [*notes, *of_paper])


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _row(run: Found) -> str:
    return run.variant.row


def _agreement(root: Path, row: str, runs: Sequence[Found]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Agreement between the seeds of a row, overall and of each identity; empty for a single seed."""
    overall, tables = [], []
    if len(runs) > 1:
        revisions = [open_revision(root, run.experiment.commit) for run in runs if run.experiment]
        for name in runs[0].variant.params.rounds:
            found = seed_agreement(revisions, name)
            overall.append({"row": row, "round": name} | {figure: getattr(found, figure) for figure in AGREEMENT})
            tables.append(found.identities.assign(row=row, round=name)[["row", "round", *found.identities]])
    return pd.DataFrame(overall), _joined(tables)


def papers_rows(table: Table, done: Sequence[Found], runs: pd.DataFrame) -> tuple[dict[str, Figures], list[str]]:
    """The paper's figures of each row that ran on the paper's data, and why others have none."""
    layouts = sorted({layout for row in table.rows.values() for layout in row.paper})
    shown, notes = {}, []
    for run in done:
        params, row = run.variant.params, table.rows[run.variant.row]
        layout = _layout(params)
        if layout not in row.paper:
            continue
        queries = int(runs.loc[runs["name"] == run.variant.name, "retrieval_queries"].iloc[-1])
        published = LAYOUTS[layout].counts["query"][0]
        if params.prepare.validation is not None:
            notes.append("The paper tests on the test identities, these runs do not.")
        elif queries != published:
            notes.append(f"{layout} has {published} queries, these runs {queries}: the paper's figures do not compare.")
        else:
            shown[run.variant.row] = row.paper[layout]
    if done and layouts and not shown and not notes:
        notes.append(f"The paper has figures for {', '.join(layouts)}; these runs are on other data.")
    return shown, list(dict.fromkeys(notes))


def unlike_paper(root: Path, table: Table, runs: Sequence[Found]) -> list[str]:
    """Name the params in which runs differ from the paper's, which `params/` has for its data sets."""
    differing: dict[str, set[str]] = {}
    for run in runs:
        file = Path("params", f"{_layout(run.variant.params).replace(':', '_')}.yaml")
        if (root / file).is_file():
            wanted = change(read_params(root / file), table.base | table.rows[run.variant.row].set, str(file))
            names = {name for name in differences(wanted, run.variant.values) if not IRRELEVANT.match(name)}
            differing.setdefault(str(file), set()).update(names)
    return [
        f"The paper's figures are of the settings of {file}; these runs have others: {', '.join(sorted(of))}."
        for file, of in differing.items()
        if of
    ]


def _layout(params: Params) -> str:
    """Layout of the data set, if it is one alone that trains and is tested."""
    layouts = [dataset.layout for dataset in params.datasets.values()]
    return layouts[0] if len(layouts) == 1 else ""
