"""The `hcga` command, for people; the stages of dvc.yaml are scripts of pipeline/."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click

import hcga
from hcga.cli.ablate import ablate
from hcga.cli.coparse import coparse
from hcga.cli.data import data
from hcga.cli.gallery import embed, index
from hcga.cli.masks import masks
from hcga.cli.model import model
from hcga.cli.plan import plan
from hcga.cli.search import compare, search
from hcga.cli.verify import verify
from hcga.errors import InputError
from hcga.params_file import write_rounds
from hcga.runs.stage import clear_errors
from hcga.runs.staleness import changed_params
from hcga.runs.workspace import Workspace


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hcga.__version__)
def main() -> None:
    """HCGA: Human Co-parsing Guided Alignment for occluded person re-identification.

    `dvc repro` runs the method. Inside the checkout these commands look at what it made and run ablations; those on
    data sets and models work anywhere.
    """


for command in (ablate, compare, coparse, data, embed, index, masks, model, plan, search, verify):
    main.add_command(command)


@main.command()
@click.option("--csv", "as_csv", is_flag=True, help="All figures as CSV, for other programs.")
def figures(as_csv: bool) -> None:
    """Print the table of figures, a row a figure, a column a round, in per cent.

    \b
    mask ...      pseudo-masks of co-parsing, on training images
    guess         IoU of calling the middle 60 % of every image foreground: what masks must beat
    foreground    share of cells that are not background
    in occluders  the same of the cells inside the boxes of known occluders; truth in occl.: of the true masks
    agree prev    same label as in the round before
    agree head    same label from the parsing head of PRNet
    head ...      parsing head, on training images (train) or test images; in occl.: foreground inside known occluders
    empty parts   of the parts that count as visible in queries, those to which GAM leaves no cell
    TPR 1e-3      pairs of one person above the threshold that one in 1,000 pairs of two people passes
    DIR 1e-1      people on a watch list who are found first, while one in ten strangers raises an alarm
    """
    from hcga.figures import collect_figures, format_figures, read_metrics
    from hcga.runs.due import due_stages
    from hcga.runs.runlog import RunLog

    with clear_errors():
        workspace = Workspace(Path())
        paths = {name: workspace.path("evaluate", "metrics", name) for name in workspace.params.rounds}
        done = {name: read_metrics(path) for name, path in paths.items() if path.is_file()}
        if not done:
            read_metrics(next(iter(paths.values())))
        due = due_stages(workspace.root, [run.stage for run in RunLog(workspace.root).read().running])
        remarks = _remarks(workspace, due, done)
    table = collect_figures(done)
    click.echo(table.to_csv(index=False) if as_csv else format_figures(table))
    for remark in remarks:
        click.echo(f"{remark}; run `dvc repro`", err=True)


@main.command()
def status() -> None:
    """Say which stage runs, how far it is, what is to do after it and for how long, and the figures so far.

    Busy means that DVC compares or stores files, or that a stage's script is starting. A script that dies while it
    starts has noted nothing: its stage is still to do, and what DVC has printed says why.
    """
    from hcga.figures import collect_figures, format_figures, read_metrics
    from hcga.runs.busy import busy
    from hcga.runs.due import due_stages
    from hcga.runs.runlog import RunLog
    from hcga.runs.status import describe_experiments, describe_leftovers, describe_runs, still_stands

    with clear_errors():
        workspace = Workspace(Path())
        log, dvc = RunLog(workspace.root).read(), busy(workspace.root)
        due = due_stages(workspace.root, [run.stage for run in log.running])
        dvc = dvc or busy(workspace.root)  # again: between two stages it holds nothing for a moment
        log = log._replace(ended=[run for run in log.ended if still_stands(run, due, workspace)])
        runs = describe_runs(log, due, workspace.params, dvc)
        for line in [*runs, *describe_experiments(workspace.root), *describe_leftovers(workspace)]:
            click.echo(line)
        paths = {name: workspace.path("evaluate", "metrics", name) for name in workspace.params.rounds}
        done = {name: read_metrics(path) for name, path in paths.items() if path.is_file()}
        if done:
            click.echo(f"\n{format_figures(collect_figures(done))}")
            for remark in _remarks(workspace, due, done):
                click.echo(remark)


def _remarks(workspace: Workspace, due: Collection[str], done: Collection[str]) -> list[str]:
    """What a table of figures does not show: rounds without any, figures that are not up to date, changed params."""
    named = {
        "no figures yet of": [name for name in workspace.params.rounds if name not in done],
        "figures of an earlier run:": [name for name in done if f"evaluate@{name}" in due],
        "changed in params.yaml since:": changed_params(workspace),
    }
    return [f"{what} {', '.join(names)}" for what, names in named.items() if names]


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; 0 takes a free one.", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Anything else lets others see the people.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page.")
def view(port: int, host: str, browser: bool) -> None:
    """Look at masks, retrieval and figures of the workspace and of any revision, in the browser.

    Needs the extra: pip install -e '.[view]'.
    """
    with clear_errors():
        Workspace(Path())
        try:
            from hcga.view.server import serve
        except ImportError as error:
            raise InputError(f"{error}: hcga view needs more packages; pip install -e '.[view]'") from None
        serve(Path(), host, port, browser)


@main.command()
@click.option("--count", type=click.IntRange(1), required=True, help="Number of rounds.")
@click.option("--epochs-each", type=click.IntRange(1), required=True, help="Epochs of each round.")
def rounds(count: int, epochs_each: int) -> None:
    """Write rounds of equal length into params.yaml, keeping everything else and the comments."""
    with clear_errors():
        workspace = Workspace(Path())
        write_rounds(workspace.params_file, count, epochs_each)
        train = workspace.params.train
    click.echo(f"{workspace.params_file.name}: {count} rounds, {count * epochs_each} epochs in all")
    click.echo(
        f"note: train.warmup_epochs {train.warmup_epochs} and train.milestones {list(train.milestones)} are as before; "
        "adapt them to the new length (the paper's 120 epochs have 10 and [40, 70])",
        err=True,
    )
