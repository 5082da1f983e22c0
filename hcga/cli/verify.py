"""`hcga verify`: whether stages write the same again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from hcga.errors import InputError
from hcga.runs.stage import clear_errors
from hcga.runs.workspace import Workspace
from hcga.wording import duration

if TYPE_CHECKING:
    from hcga.verification.content import Content
    from hcga.verification.differences import Difference
    from hcga.verification.record import Recorded
    from hcga.verification.rerun import Outcome

FILES_SHOWN = 5  # of those in which a stage differs
HINT = (
    "bytes are equal on one kind of processor or GPU, at one number of threads and with one version of PyTorch; "
    "elsewhere --tolerance X allows for a difference"
)


@click.command()
@click.argument("names", metavar="[STAGE]...", nargs=-1)
@click.option(
    "--tolerance", metavar="X", type=click.FloatRange(0, 1, min_open=True), help="Differences that count as none."
)
@click.option("--keep", is_flag=True, help="Keep what the stages write, and their logs, in .hcga/verify.")
def verify(names: tuple[str, ...], tolerance: float | None, keep: bool) -> None:
    """Run stages again and compare what they write with what dvc.lock recorded, byte by byte.

    STAGE is a name as DVC has it, such as train@r2, or train for all rounds; all stages if none is given.

    Each stage is checked by itself: it reads the inputs that were recorded, from the workspace or, where that has
    changed, from DVC's cache. Nothing in the workspace, the cache or dvc.lock changes.

    --tolerance X is for another kind of device. A float may then differ by X times the largest absolute value that was
    recorded in its array, column or figure. Of whole numbers (labels, masks, pixels) and of texts in a column the
    share X of the values may differ. All else, such as shapes, must be equal.

    Models, embeddings and figures say on what machine they were made, figures also with which code. Where that alone is
    other, they count as equal, and it is shown.

    Exit code 0 if all stages named are as recorded, 1 if one differs, fails or could not be verified, 2 for a name
    or an option that there is not.
    """
    from hcga.runs.busy import busy
    from hcga.verification.record import choose_stages, read_record

    with clear_errors():
        workspace = Workspace(Path())
        if at_work := busy(workspace.root):
            raise InputError(f"DVC is at work in this checkout ({at_work.command}); wait until it is done")
        record = read_record(workspace)
    try:
        chosen = choose_stages(record.stages, names)
    except InputError as error:
        raise click.UsageError(str(error)) from None
    with clear_errors(), _folder(workspace, keep) as (folder, lock):
        if not _verify(record.content, chosen, folder, lock, tolerance or 0.0, keep):
            raise SystemExit(1)


@contextmanager
def _folder(workspace: Workspace, keep: bool) -> Iterator[tuple[Path, IO[str]]]:
    """Give an empty folder to work in, beside the log of stages, and the lock on it; it is emptied at the end."""
    from hcga.runs.commands import alone_in
    from hcga.runs.runlog import FOLDER
    from hcga.runs.stopping import stopping_as_by_ctrl_c

    folder = workspace.root / FOLDER / "verify"
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, "hcga verify") as lock, stopping_as_by_ctrl_c():
        _empty(folder)
        try:
            yield folder, lock
        except KeyboardInterrupt:
            click.echo("\nstopped", err=True)
            raise SystemExit(130) from None
        finally:
            if not keep:
                _empty(folder)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def _verify(
    content: Content, stages: Sequence[Recorded], folder: Path, lock: IO[str], tolerance: float, keep: bool
) -> bool:
    """Verify stages one after another and print a line each; whether all are as recorded."""
    from hcga.verification.rerun import verify_stage

    widest = max(len(stage.name) for stage in stages)
    outcomes: dict[str, Outcome] = {}
    for stage in stages:
        click.echo(f"{stage.name:{widest}}  ", nl=False)
        place = folder / stage.name
        place.mkdir()
        outcomes[stage.name] = outcome = verify_stage(stage, content, place, tolerance, lock)
        click.echo(f"{duration(outcome.seconds):>10}  {_verdict(outcome, tolerance)}")
        for line in (*_files(outcome.found), *outcome.notes):
            click.echo(f"{' ' * (widest + 14)}{line}")
        if not keep:
            shutil.rmtree(place)
    bad = _sum_up(outcomes)
    if any(outcome.state == "differs" for outcome in outcomes.values()):
        click.echo(f"note: {HINT}", err=True)
    if keep:
        click.echo(f"kept: {os.path.relpath(folder)}", err=True)
    return not bad


def _verdict(outcome: Outcome, tolerance: float) -> str:
    return {
        "equal": "equal bytes",
        "elsewhere": "equal but for what it says of code and machine",
        "within": f"within {tolerance:g}",
        "differs": "DIFFERS",
        "failed": f"FAILED: {outcome.why}",
        "unverified": f"cannot be verified: {outcome.why}",
    }[outcome.state]


def _files(found: Sequence[Difference]) -> list[str]:
    """A line for each file that differs, with what differs most in it."""
    by_file = {file: list(group) for file, group in groupby(sorted(found), key=lambda difference: difference.file)}
    worst = {file: max(group, key=lambda difference: difference.extent) for file, group in by_file.items()}
    order = sorted(worst, key=lambda file: -worst[file].extent)
    lines = []
    for file in order[:FILES_SHOWN]:
        others = len(by_file[file]) - 1
        part = f"{worst[file].part}: " if worst[file].part else ""
        lines.append(f"{file}: {part}{worst[file].how}" + (f"; {others} more by no larger a share" if others else ""))
    return lines + ([f"and {len(order) - FILES_SHOWN} more files"] if len(order) > FILES_SHOWN else [])


def _sum_up(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Print how many stages are as recorded; names of those that are not."""
    words = {"differs": "differ", "failed": "failed", "unverified": "could not be verified"}
    bad = [name for name, outcome in outcomes.items() if outcome.state in words]
    line = f"{len(outcomes) - len(bad)} of {len(outcomes)} stages are as recorded"
    for state, word in words.items():
        names = [name for name, outcome in outcomes.items() if outcome.state == state]
        line += f"; {word}: {', '.join(names)}" if names else ""
    click.echo(line)
    return bad
