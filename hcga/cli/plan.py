"""`hcga plan`: what a data set of another size would take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcga.params import LARGEST
from hcga.resources import GB
from hcga.runs.stage import clear_errors
from hcga.runs.workspace import Workspace
from hcga.wording import counted, duration

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
@click.option("--queries", type=_Count(), help="Query images.  [default: those of the last run]")
@click.option("--gallery", type=_Count(), help="Gallery images.  [default: likewise]")
@click.option(
    "--gpus", type=click.IntRange(1, MOST_GPUS), help="GPUs that share the training.  [default: as in the last run]"
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: seconds, bytes of memory, of workers' memory and disk.")
def plan(
    images: int, identities: int, queries: int | None, gallery: int | None, gpus: int | None, as_csv: bool
) -> None:
    """Say what a larger data set would take: time, memory and disk of each stage.

    The last run of this checkout is scaled up, so let that be of the network and image size to be used, on a machine
    like the one to be used; its params and rounds are those of the plan. How far that carries: docs/planning.md.
    """
    from hcga.planning.run import measured_run, plan
    from hcga.planning.scaling import Size

    with clear_errors():
        workspace = Workspace(Path())
        measured = measured_run(workspace)
        size = measured.size
        wanted = Size(images, identities, queries or size.query, gallery or size.gallery)
        table = plan(workspace, measured, wanted, gpus)
    for line in _remarks(measured, wanted, gpus):
        click.echo(line, err=as_csv)
    if as_csv:
        click.echo(table.rename_axis("stage").to_csv(float_format="%.0f"), nl=False)
    else:
        click.echo(f"\n{_tabulate(table)}")


def _remarks(measured: Measured, wanted: Size, gpus: int | None) -> list[str]:
    from hcga.planning.scaling import CHECKED

    trained = measured.devices["train"]
    others = [f"{stage} on {device}" for stage, device in measured.devices.items() if device != trained]
    on = f"{trained}, {counted(measured.threads, 'thread')}, {counted(measured.processes, 'process')}"
    ratio = max(wanted.train / measured.size.train, wanted.images / measured.size.images)
    told = [
        f"wanted    {_sized(wanted)}",
        f"measured  {_sized(measured.size)}, on {'; '.join([on, *others])}",
    ]
    if ratio > CHECKED:
        told.append(
            f"UNCHECKED: {ratio:,.0f} times the images of the run, so take it for an order of magnitude; a run on more "
            "of the data makes it a better one."
        )
    if not measured.on_gpus("train"):
        idle = f", so --gpus {gpus} divides nothing" if gpus else ""
        told.append(
            f"UNKNOWN: what a GPU takes. Times are for {trained}, as in the run{idle}; for GPUs run a part of the data "
            "on one first."
        )
    elif gpus and gpus != measured.processes:
        told.append(f"train: {gpus} GPUs, each as fast as one of the run's; waiting for each other is not in it.")
    if measured.on_gpus("coparse"):
        told.append("UNKNOWN: how many GPUs co-parsed in the run; the time of coparse is for as many again.")
    return told


def _tabulate(table: pd.DataFrame) -> str:
    lines = [f"{'stage':<12}{'time':>14}{'memory, GB':>12}{'workers, GB':>13}{'disk, GB':>11}"]
    most = table.iloc[(table["memory"] + table["workers"]).argmax()]
    together = ("together", table["seconds"].sum(), most["memory"], most["workers"], table["disk"].sum())
    lines += [
        f"{name:<12}{duration(seconds):>14}{memory / GB:>12,.1f}{workers / GB:>13,.1f}{disk / GB:>11,.1f}"
        for name, seconds, memory, workers, disk in [*table.itertuples(), together]
    ]
    return "\n".join(lines)


def _sized(size: Size) -> str:
    return (
        f"{size.train:,} training images of {size.identities:,} identities, {size.query:,} queries, "
        f"{size.gallery:,} gallery images"
    )
