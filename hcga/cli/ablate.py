"""`hcga ablate`: a table of variants over seeds, as DVC experiments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hcga.ablation.experiments import Found, list_experiments, match
from hcga.ablation.inputs import refuse_uncommitted
from hcga.ablation.tables import Table, load_table
from hcga.ablation.variants import Choice, describe_settings, plan, suffix
from hcga.cli.settings import read_settings
from hcga.errors import InputError
from hcga.params import check_params, read_params
from hcga.runs.git import head
from hcga.runs.stage import PATH, clear_errors
from hcga.runs.workspace import Workspace

SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command()
@click.argument("table_file", metavar="[TABLE]", type=PATH, required=False)
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
    table_file: Path | None, params_file: Path | None, show: bool, dry: bool, output: Path | None, **options: Any
) -> None:
    """Run the rows of TABLE over several seeds as DVC experiments, and compare them.

    What rows share is computed once, and what has run is not run again. Ctrl-C stops; the same command goes on. Runs
    have a checkout of their own, with the code of HEAD and params.yaml as it is: you may edit both meanwhile.
    --show without TABLE shows every table of tables/ that has runs.

    --validation 0.2 makes query and gallery of a fifth of the training identities, so that the test identities stay
    unseen: choose settings so, and only so.
    """
    with clear_errors():
        workspace = Workspace(Path())
        table = load_table(table_file) if table_file else None
        commit = head(workspace.root)
        start = params_file or workspace.params_file
        values = read_params(start)
        check_params(values, str(start))
        choice = _choice(**options)
        if table is None:
            if dry or not show or choice.rows:
                raise click.UsageError("name a TABLE, such as tables/mask_source.yaml; only --show does without")
            _show_every(workspace, values, choice, commit, output)
            return
        variants = plan(table, values, workspace, choice)
        found = match(workspace.root, variants, commit)
        if not show:
            for note in describe_settings(table, choice):
                click.echo(note)
        if dry:
            _list_runs(workspace, found, commit)
            return
        failed = [] if show else _run(workspace, found, commit, start)
        _show(workspace, table, match(workspace.root, variants, commit), choice, commit, output)
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


def _list_runs(workspace: Workspace, found: Sequence[Found], commit: str) -> None:
    """Print what would run; then refuse what `_run` would for want of masks."""
    from hcga.ablation.runner import refuse_missing_masks

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
    refuse_missing_masks(workspace, found, commit)


def _run(workspace: Workspace, found: Sequence[Found], commit: str, params_file: Path) -> list[str]:
    """Run what has not run; names of what failed. Ctrl-C ends the program."""
    from hcga.ablation.runner import refuse_missing_masks, refuse_other_params, run_all

    refuse_uncommitted(workspace)
    refuse_other_params(found, commit)
    refuse_missing_masks(workspace, found, commit)
    try:
        failed = run_all(workspace, found, commit, params_file.read_text("utf-8"), click.echo)
    except KeyboardInterrupt:
        click.echo("\nstopped; the same command goes on from here", err=True)
        raise SystemExit(130) from None
    click.echo()
    return failed


def _show_every(
    workspace: Workspace, values: Mapping[str, Any], choice: Choice, commit: str, output: Path | None
) -> None:
    """Show the tables of which there are runs of such names; then name those that do not take the settings."""
    names = [experiment.name for experiment in list_experiments(workspace.root)]
    tables = [load_table(path) for path in sorted((workspace.root / "tables").glob("*.yaml"))]
    shown, refused = 0, []
    for table in tables:
        if not any(name.startswith(f"{table.name}-{row}-seed") for name in names for row in table.rows):
            continue
        try:
            found = match(workspace.root, plan(table, values, workspace, choice), commit)
        except InputError as error:
            refused.append(str(error))
            continue
        if any(run.experiment or run.others for run in found):
            click.echo("\n\n" if shown else "", nl=False)
            _show(workspace, table, found, choice, commit, output)
            shown += 1
    if refused:
        raise InputError("\n".join(refused))
    if not shown:
        if not names:
            raise InputError("nothing has run yet; `hcga ablate TABLE` runs a table, such as tables/losses.yaml")
        raise InputError(
            f"no run of a table has such a name; there are {', '.join(names[:3])}; give the --params, --set, "
            "--validation and --label of the runs"
        )


def _show(
    workspace: Workspace, table: Table, found: Sequence[Found], choice: Choice, commit: str, output: Path | None
) -> None:
    """Print the tables and write them to files."""
    from hcga.ablation.output import as_text, summarise, write_all
    from hcga.ablation.results import collect
    from hcga.ablation.runner import folder_of

    results = collect(workspace.root, table, found)
    results = results._replace(notes=[*describe_settings(table, choice), *results.notes])
    summary = summarise(table, found, results, commit)
    click.echo(as_text(summary))
    folder = output or Path(os.path.relpath(folder_of(workspace)))
    part = "-part" if choice.rows or choice.seeds else ""
    name = f"{table.name}{suffix(found[0].variant.params, choice.label)}{part}"
    endings = [file.name.removeprefix(name) for file in write_all(summary, folder, name)]
    if endings:
        click.echo(f"\n{folder / name}{'  '.join(endings)}")
