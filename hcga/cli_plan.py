"""`hcga plan`: what a data set of another size would take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcga.params import LARGEST
from hcga.progress import counted, duration
from hcga.resources import GB
from hcga.stage import clear_errors
from hcga.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from hcga.planning.run import Measured
    from hcga.planning.scaling import Size


MOST_GPUS = 1024


class _Count(click.ParamType[int]):
    """A number of things, such as 250000 or 1e7."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> int:
        with suppress(ValueError):
            number = float(str(value))
            if number.is_integer() and 0 < number <= LARGEST:
                return int(number)
        return self.fail(f"{value!r} is no whole number from 1 to {LARGEST:,}, such as 250000 or 1e7", param, context)


@click.command()
@click.option("--images", type=_Count(), required=True, help="Training images.")
@click.option("--identities", type=_Count(), required=True, help="Training identities.")
@click.option(
    "--queries", type=_Count(), help="Query images.  [default: as many to a training image as in the last run]"
)
@click.option("--gallery", type=_Count(), help="Gallery images.  [default: likewise]")
@click.option(
    "--gpus",
    type=click.IntRange(1, MOST_GPUS),
    default=1,
    show_default=True,
    help="Devices that share co-parsing and training.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: seconds, bytes of memory and disk.")
def plan(images: int, identities: int, queries: int | None, gallery: int | None, gpus: int, as_csv: bool) -> None:
    """Say what a larger data set would take: time, memory and disk of each stage.

    The last run of this checkout is scaled up, so let that be of the network and image size to be used, on a machine
    like the one to be used; its params and rounds are those of the plan. How far that carries: docs/planning.md.
    """
    from hcga.planning.run import in_proportion, measured_run, plan

    with clear_errors():
        workspace = Workspace(Path())
        measured = measured_run(workspace)
        wanted = in_proportion(measured.size, images, identities, queries, gallery)
        table = plan(workspace, measured, wanted, gpus)
    if as_csv:
        click.echo(table.rename_axis("stage").to_csv(float_format="%.0f"), nl=False)
    else:
        click.echo(_describe(table, measured, wanted, gpus))


def _describe(table: pd.DataFrame, measured: Measured, wanted: Size, gpus: int) -> str:
    on = f"{measured.device}, {counted(measured.threads, 'thread')}, {counted(measured.processes, 'process')}"
    lines = [
        f"wanted    {_sized(wanted)}",
        f"measured  {_sized(measured.size)}, on {on}",
        "",
        f"{'stage':<12}{'time':>14}{'memory, GB':>12}{'disk, GB':>11}",
    ]
    rows = [*table.itertuples(), ("together", table["seconds"].sum(), table["memory"].max(), table["disk"].sum())]
    lines += [
        f"{name:<12}{duration(seconds):>14}{memory / GB:>12,.1f}{disk / GB:>11,.1f}"
        for name, seconds, memory, disk in rows
    ]
    return "\n".join([*lines, "", *_remarks(measured, wanted, gpus)])


def _remarks(measured: Measured, wanted: Size, gpus: int) -> list[str]:
    ratio = wanted.train / measured.size.train
    times = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"
    told = [f"{times} times the training images of the run that was measured."]
    if gpus > 1:
        told.append(f"{gpus} devices that co-parse and train {gpus} times as fast as one; waiting is not in it.")
    if not measured.device.startswith("cuda"):
        told.append("No GPU was measured: with one, run a part of the data on it first, and plan again.")
    return told


def _sized(size: Size) -> str:
    return (
        f"{size.train:,} training images of {size.identities:,} identities, {size.query:,} queries, "
        f"{size.gallery:,} gallery images"
    )
