"""The tables of an ablation as text, Markdown, CSV and a plot."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hcga.ablation.experiments import Found
from hcga.ablation.plot import draw_rows
from hcga.ablation.results import Results
from hcga.ablation.summary import by_round, by_row, legend, parts_seen, readable
from hcga.ablation.tables import Table
from hcga.files import fresh

WIDTH = 110  # of text in a terminal


class Summary(NamedTuple):
    """All that is shown of an ablation."""

    title: str
    about: str  # data, commit
    rows: pd.DataFrame  # see `by_row`
    rounds: pd.DataFrame  # see `by_round`
    notes: list[str]
    results: Results

    @property
    def last(self) -> dict[str, pd.DataFrame]:
        """Tables of text on the last rounds, by their titles."""
        if not len(self.rounds):
            return {}
        seen = parts_seen(self.rows)
        return readable(self.rows) | ({"Parts seen": seen} if len(seen) else {})

    @property
    def every(self) -> dict[str, pd.DataFrame]:
        """Tables of text on all rounds, where there are several."""
        if not len(self.rounds) or (self.rounds["row"].value_counts() == 1).all():
            return {}
        return {f"{title} by round": table for title, table in readable(self.rounds).items()}


def summarise(table: Table, found: Sequence[Found], results: Results, commit: str) -> Summary:
    """Put together what is known of a table's runs; `commit` is HEAD."""
    rows = list(dict.fromkeys(run.variant.row for run in found))
    title = f"{table.source}: {table.title}" if table.source else table.title
    notes = [*([table.note] if table.note else []), *results.notes, *_notes_on_runs(found, commit)]
    return Summary(title, _about(found, commit), by_row(rows, results), by_round(rows, results), notes, results)


def _about(found: Sequence[Found], commit: str) -> str:
    """The data, which identities of it are tested, and the code if that of all runs is HEAD's."""
    params = found[0].variant.params
    data = " + ".join(dataset.layout for dataset in params.datasets.values())
    if any(run.variant.params.datasets != params.datasets for run in found):
        data = "several data sets"
    share = params.prepare.validation
    tested = "tested on test identities" if share is None else f"tested on {100 * share:g} % of the training identities"
    here = [run.finished_at(commit) for run in found if run.experiment]
    code = f", commit {commit[:7]}" if here and all(here) else ""
    return f"{data}, {params.image.height} x {params.image.width} pixels, {tested}{code}"


def _notes_on_runs(found: Sequence[Found], commit: str) -> list[str]:
    """What is missing, of other commits, or of the same name with other params."""
    notes = []
    missing = [run.variant.name for run in found if not run.experiment]
    if missing:
        names = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        notes.append(f"{len(missing)} of {len(found)} runs are missing: {names}.")
    earlier = Counter(run.experiment.baseline[:7] for run in found if run.experiment and not run.finished_at(commit))
    notes += [f"{count} of {len(found)} runs are of commit {name}, not of HEAD." for name, count in earlier.items()]
    baselines: dict[str, set[str]] = {}
    for run in found:
        if run.experiment:
            baselines.setdefault(run.variant.row, set()).add(run.experiment.baseline)
    mixed = [row for row, commits in baselines.items() if len(commits) > 1]
    if mixed:
        notes.append(f"Means of row {', '.join(mixed)} are over runs of several commits.")
    notes += [
        f"{run.variant.name} of commit {run.others[0][0].baseline[:7]} is left out: it ran with {run.others[0][1]}."
        for run in found
        if run.others and not run.experiment
    ]
    return notes


def as_text(summary: Summary) -> str:
    """For a terminal: the last rounds."""
    parts = [f"{summary.title}\n{summary.about}."]
    parts += [f"{title}\n{_aligned(table)}" for title, table in summary.last.items()]
    if summary.last:
        parts.append(textwrap.fill(legend(summary.last), WIDTH))
    if summary.notes:
        notes = [textwrap.fill(f"- {note}", WIDTH, subsequent_indent="  ") for note in summary.notes]
        parts.append("\n".join(notes))
    return "\n\n".join(parts)


def _aligned(table: pd.DataFrame) -> str:
    """Columns of text, the first to the left and the others to the right."""
    lines = [[str(name) for name in table], *table.to_numpy().tolist()]
    first, *others = [max(len(line[place]) for line in lines) for place in range(table.shape[1])]
    padded = [
        [line[0].ljust(first), *(cell.rjust(width) for cell, width in zip(line[1:], others, strict=True))]
        for line in lines
    ]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def as_markdown(summary: Summary, plot: str) -> str:
    """For a page; `plot` is the name of the picture's file."""
    parts = [f"# {summary.title}", f"{summary.about}.", f"![{summary.title}]({plot})"]
    tables = summary.last | summary.every
    parts += [f"## {title}\n\n{_markdown_table(table)}" for title, table in tables.items()]
    if tables:
        parts.append(legend(tables))
    if summary.notes:
        parts.append("\n".join(f"- {note}" for note in summary.notes))
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: pd.DataFrame) -> str:
    lines = [[str(name) for name in table], ["---", *["---:"] * (table.shape[1] - 1)], *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def write_all(summary: Summary, folder: Path, name: str) -> list[Path]:
    """Write Markdown, plot and CSV files.

    Parameters
    ----------
    summary : Summary
    folder : Path
        Made if it is not there.
    name : str
        How the files' names begin.

    Returns
    -------
    list of Path
        NAME.md, NAME.svg, NAME.csv (a row of the table each), NAME-rounds.csv, NAME-runs.csv (a run and round each) and
        NAME-identities.csv (agreement between seeds). Those that would be empty are left out, and removed where an
        earlier call has written them; if nothing has run, nothing changes.
    """
    if not len(summary.rounds):
        return []
    texts = {f"{name}.md": as_markdown(summary, f"{name}.svg"), f"{name}.svg": draw_rows(summary.rows, summary.results)}
    tables = {"": summary.rows, "-rounds": summary.rounds, "-runs": summary.results.runs}
    for suffix, table in {**tables, "-identities": summary.results.identities}.items():
        texts[f"{name}{suffix}.csv"] = _csv(table)
    for file, text in texts.items():
        if not text:
            (folder / file).unlink(missing_ok=True)
            continue
        with fresh(folder / file) as draft:
            draft.write_text(text, encoding="utf-8")
    return [folder / file for file, text in texts.items() if text]


def _csv(table: pd.DataFrame) -> str:
    return "" if table.empty else table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
