"""`hcga ablate`: a table of variants over seeds, as DVC experiments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hcga.ablation.experiments import Found, match
from hcga.ablation.inputs import refuse_uncommitted
from hcga.ablation.tables import Table, load_table
from hcga.ablation.variants import Choice, Variant, plan, suffix
from hcga.cli.settings import read_settings
from hcga.errors import InputError
from hcga.params import check_params, read_params
from hcga.runs.git import head
from hcga.runs.stage import PATH, clear_errors
from hcga.runs.workspace import Workspace

SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command()
@click.argument("table_file", metavar="TABLE", type=PATH)
@click.option("--seeds", metavar="1,2,3", help="Seeds.  [default: those of the table]")
@click.option("--rows", metavar="NAME,...", help="Rows to run or show.  [default: all]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A param of all rows; repeatable.")
@click.option("--params", "params_file", type=PATH, help="Start from this file.  [default: params.yaml]")
@click.option("--validation", metavar="SHARE", type=SHARE, help="Test on this share of the training identities.")
@click.option("--label", default="", metavar="NAME", help="Ends the names, to keep runs with other settings apart.")
@click.option("--show", is_flag=True, help="Run nothing; show what there is.")
@click.option("--dry", is_flag=True, help="Run nothing; list what would run.")
@click.option("--output", "-o", type=PATH, help="Folder for Markdown, CSV and plot.  [default: .hcga/ablations]")
def ablate(
    table_file: Path, params_file: Path | None, show: bool, dry: bool, output: Path | None, **options: Any
) -> None:
    """Run the rows of TABLE over several seeds as DVC experiments, and compare them.

    What rows share is computed once, and what has run is not run again. Ctrl-C stops; the same command goes on. Runs
    have a checkout of their own, with the code of HEAD and params.yaml as it is: you may edit both meanwhile.

    --validation 0.2 makes query and gallery of a fifth of the training identities, so that the test identities stay
    unseen: choose settings so, and only so.
    """
    with clear_errors():
        workspace = Workspace(Path())
        table, commit = load_table(table_file), head(workspace.root)
        start = params_file or workspace.params_file
        values = read_params(start)
        check_params(values, str(start))
        variants = plan(table, values, workspace, _choice(**options))
        if dry:
            _list_runs(match(workspace.root, variants, commit), commit)
            return
        failed = [] if show else _run(workspace, variants, commit, start)
        name = table.name + suffix(variants[0].params, options["label"])
        part = "-part" if options["rows"] or options["seeds"] else ""
        _show(workspace, table, match(workspace.root, variants, commit), commit, output, f"{name}{part}")
        if failed:
            raise click.ClickException(f"{len(failed)} of {len(variants)} runs failed: {', '.join(failed)}")


def _choice(
    seeds: str | None, rows: str | None, settings: tuple[str, ...], validation: float | None, label: str
) -> Choice:
    """What the options ask for."""
    try:
        numbers = list(dict.fromkeys(int(text) for text in seeds.split(","))) if seeds else []
    except ValueError:
        raise InputError(f"--seeds {seeds}: give whole numbers with commas between, such as 1,2,3") from None
    names = [name.strip() for name in rows.split(",")] if rows else []
    return Choice(numbers, names, read_settings(settings, "train.images=8"), validation, label)


def _list_runs(found: Sequence[Found], commit: str) -> None:
    for run in found:
        if run.finished_at(commit):
            state = "has run"
        elif run.others and run.others[0][0].baseline == commit:
            state = f"cannot run: there is one with {run.others[0][1]}; use --label"
        elif run.experiment:
            state = f"would run; has run at commit {run.experiment.baseline[:7]}"
        else:
            state = "would run"
        click.echo(f"{run.variant.name}  {state}")


def _run(workspace: Workspace, variants: Sequence[Variant], commit: str, params_file: Path) -> list[str]:
    """Run what has not run; names of what failed. Ctrl-C ends the program."""
    from hcga.ablation.runner import refuse_other_params, run_all

    refuse_uncommitted(workspace)
    found = match(workspace.root, variants, commit)
    refuse_other_params(found, commit)
    try:
        failed = run_all(workspace, found, commit, params_file.read_text("utf-8"), click.echo)
    except KeyboardInterrupt:
        click.echo("\nstopped; the same command goes on from here", err=True)
        raise SystemExit(130) from None
    click.echo()
    return failed


def _show(
    workspace: Workspace, table: Table, found: Sequence[Found], commit: str, output: Path | None, name: str
) -> None:
    """Print the tables and write them to files of that name."""
    from hcga.ablation.output import as_text, summarise, write_all
    from hcga.ablation.results import collect
    from hcga.ablation.runner import folder_of

    summary = summarise(table, found, collect(workspace.root, table, found), commit)
    click.echo(as_text(summary))
    folder = output or Path(os.path.relpath(folder_of(workspace)))
    endings = [file.name.removeprefix(name) for file in write_all(summary, folder, name)]
    if endings:
        click.echo(f"\n{folder / name}{'  '.join(endings)}")
