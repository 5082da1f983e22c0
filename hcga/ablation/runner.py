"""The runs of a table one after another, each a DVC experiment with a log of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hcga.ablation.checkout import Checkout
from hcga.ablation.experiments import Found, match
from hcga.ablation.inputs import made
from hcga.ablation.results import last_figures
from hcga.ablation.variants import Variant
from hcga.errors import InputError
from hcga.masks.label_images import holds_label_images
from hcga.runs.commands import alone_in, reason_of
from hcga.runs.runlog import FOLDER
from hcga.runs.stopping import stopping_as_by_ctrl_c
from hcga.runs.workspace import Workspace
from hcga.wording import duration

Say = Callable[..., None]  # click.echo or what takes its place


def folder_of(workspace: Workspace) -> Path:
    """Where ablations keep their checkout, logs and tables, beside the pipeline and out of Git."""
    return workspace.root / FOLDER / "ablations"


def refuse_other_params(found: Sequence[Found], commit: str) -> None:
    """Refuse a name that an experiment of this commit has whose params are others.

    Raises
    ------
    InputError
        With the params and what to do.
    """
    for run in found:
        for experiment, difference in run.others:
            if experiment.baseline == commit:
                raise InputError(
                    f"{experiment.name} has run at this commit with other params: {difference}. Keep the two apart by "
                    f"--label NAME, or drop the earlier one: dvc exp remove {experiment.name}"
                )


def refuse_missing_masks(workspace: Workspace, found: Sequence[Found], commit: str) -> None:
    """Refuse to begin where a row has the masks of another parser, and there are none: the stages would, run by run.

    Raises
    ------
    InputError
        With the row, and what to do.
    """
    for run in found:
        root, params = run.variant.params.external.root, run.variant.params
        if run.finished_at(commit) or params.coparse.source != "external" or made(root, workspace):
            continue
        if not (workspace.root / root).is_dir() or not holds_label_images(workspace.root / root):
            others = dict.fromkeys(one.variant.row for one in found if one.variant.params.coparse.source != "external")
            drawn = workspace.path("synthesise", "root").relative_to(workspace.root)
            truth = f" ({drawn}/truth on synthetic people, in place of a parser)" if params.synthetic else ""
            raise InputError(
                f"row {run.variant.row} has coparse.source external, but {root} holds no label image: say where some "
                f"are by --set external.root=FOLDER{truth}"
                + (f", or run the others alone by --rows {','.join(others)}" if others else "")
            )


def run_all(workspace: Workspace, found: Sequence[Found], commit: str, template: str, say: Say) -> list[str]:
    """Run what has not run at a commit.

    Parameters
    ----------
    workspace : Workspace
        The user's checkout; nothing of it changes but Git's experiments and DVC's cache.
    found : sequence of Found
        All runs of the table.
    commit : str
        HEAD.
    template : str
        Text of a params.yaml, for its comments.
    say : callable
        Prints; `nl=False` leaves the line open.

    Returns
    -------
    list of str
        Names of the runs that failed.

    Raises
    ------
    KeyboardInterrupt
        By Ctrl-C or a signal that asks to end; the run at work has ended and what is finished stays.
    """
    folder, failed = folder_of(workspace), []
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    digits, widest = len(str(len(found))), max(len(run.variant.name) for run in found)
    _announce(workspace, found, commit, say)
    with alone_in(folder, "hcga ablate") as lock, stopping_as_by_ctrl_c():
        pending = any(not run.finished_at(commit) for run in found)
        checkout = Checkout(workspace.root, folder / "checkout", commit, template, lock) if pending else None
        for number, run in enumerate(found, 1):
            name, log = run.variant.name, folder / "logs" / f"{run.variant.name}.log"
            say(f"[{number:{digits}}/{len(found)}] {name:{widest}}  ", nl=False)
            state, failure = "has run", ""
            if checkout and not run.finished_at(commit):
                state, failure = _run(checkout, run.variant, log, commit)
            if failure:
                failed.append(name)
                say(f"{state:12} {failure}\n{' ' * (2 * digits + 4)}{os.path.relpath(log)}")
            else:
                (now,) = match(workspace.root, [run.variant], commit)
                say(f"{state:12} {last_figures(workspace.root, now)}")
    return failed


def _announce(workspace: Workspace, found: Sequence[Found], commit: str, say: Say) -> None:
    done = sum(run.finished_at(commit) for run in found)
    say(f"{len(found)} run{'s' if len(found) > 1 else ''}, {done} of them finished")
    earlier = sum(run.experiment is not None for run in found) - done
    if earlier:
        say(f"{earlier} have run at an earlier commit and run again; what has not changed comes from DVC's cache")
    if done < len(found):
        folder = os.path.relpath(folder_of(workspace) / "checkout")
        say(f"to watch them: cd {folder} && hcga status")


def _run(checkout: Checkout, variant: Variant, log: Path, commit: str) -> tuple[str, str]:
    """Run a variant; the time that it took, and what went wrong if anything did."""
    began, start = time.monotonic(), log.stat().st_size if log.is_file() else 0
    with log.open("a", encoding="utf-8") as file:
        file.write(f"==== {time.strftime('%Y-%m-%d %H:%M:%S')}, commit {commit}\n")
    ended_well = checkout.run(variant, log)
    took = duration(time.monotonic() - began)
    if ended_well:
        return took, ""
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(start)
        return took, f"failed: {reason_of(file.read())}"
