"""Stages run again, each by itself on the inputs that were recorded, and what comes of it."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal, NamedTuple

from hcga.errors import InputError
from hcga.runs.commands import reason_of, run_logged
from hcga.verification.content import Content, Item
from hcga.verification.differences import Difference, compare
from hcga.verification.measures import NO_MEASURE
from hcga.verification.record import Recorded

State = Literal["equal", "elsewhere", "within", "differs", "failed", "unverified"]
LOST = "other bytes; those that were recorded are neither here nor in DVC's cache"
CHANGED = (
    "has changed since it ran, and no option of its command names it; `dvc checkout --force`, or `dvc repro` first"
)
UNNAMED = "is written, and the stage's command does not name it so that it could be written elsewhere"
VARIABLES = {"PYTHONDONTWRITEBYTECODE": "1", "DVC_STAGE": ""}  # leave no code behind, and nothing in the log of stages


class Outcome(NamedTuple):
    """What a verification has found."""

    state: State
    seconds: float
    why: str = ""  # of `failed` and `unverified`
    found: Sequence[Difference] = ()
    notes: Sequence[str] = ()  # of what decides nothing


def verify_stage(stage: Recorded, content: Content, folder: Path, tolerance: float, lock: IO[str]) -> Outcome:
    """Run a stage again and compare what it writes with what dvc.lock recorded.

    It reads the workspace, and from DVC's cache what is no longer as it was there. It writes to the folder alone.

    Parameters
    ----------
    stage : Recorded
    content : Content
    folder : Path
        An empty one; what the stage writes comes to lie below `outputs`, what it prints in `log.txt`.
    tolerance : float
        The largest extent of a difference that counts as none, see `Difference`; 0 for equal bytes.
    lock : file
        Held by the stage too, should it outlive this process.
    """
    began, outputs, log = time.monotonic(), folder / "outputs", folder / "log.txt"
    try:
        command, read_here = _command(stage, content, folder / "inputs", outputs)
    except InputError as error:
        return Outcome("unverified", time.monotonic() - began, str(error))
    for out in stage.outs:
        (outputs / out.path).parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        status = run_logged(["/bin/sh", "-c", command], content.root, file, lock, VARIABLES)
    seconds = time.monotonic() - began
    if status:
        outcome = Outcome("failed", seconds, reason_of(log.read_text("utf-8", errors="replace")))
    else:
        outcome = _judge(stage, content, folder, tolerance, seconds)
    if outcome.state in ("equal", "elsewhere"):
        return outcome
    edited = [dep.path for dep in read_here if content.digest(content.root / dep.path) != dep.md5]
    why = f"{', '.join(edited)} has changed while it ran; leave the workspace alone meanwhile"
    return Outcome("unverified", seconds, why) if edited else outcome


def _command(stage: Recorded, content: Content, inputs: Path, outputs: Path) -> tuple[str, list[Item]]:
    """The stage's command, reading what was recorded and writing elsewhere; and what it reads in the workspace.

    Raises
    ------
    InputError
        It cannot be had.
    """
    if stage.changed:
        raise InputError(f"not up to date: {'; '.join(stage.changed)}. `dvc repro` first")
    needed, free = sum(out.size for out in stage.outs), shutil.disk_usage(outputs.parent).free
    if needed > free:
        raise InputError(f"writes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} are free at {outputs.parent}; make room")
    command, read_here = stage.command, []
    for dep in stage.deps:
        place = content.find(dep, inputs)
        if place is None:
            raise InputError(_lost(dep, content))
        if place == content.root / dep.path:
            read_here.append(dep)
        else:
            command = _redirect(command, dep, place, CHANGED)
    for out in stage.outs:
        if not (outputs / out.path).resolve().is_relative_to(outputs.resolve()):
            raise InputError(f"{out.path} lies outside of the checkout, and what is there is left alone")
        command = _redirect(command, out, outputs / out.path, UNNAMED)
    return command, read_here


def _lost(dep: Item, content: Content) -> str:
    if any(out.path == dep.path or out.path.startswith(f"{dep.path}/") for out in content.made):
        return f"{dep.path} as the stage read it is neither here nor in DVC's cache; `dvc fetch`, or `dvc repro` first"
    return f"not up to date: {dep.path} has changed since it ran; `dvc repro` first, or take it back"


def _redirect(command: str, item: Item, place: Path, otherwise: str) -> str:
    """Put another path in the place of one, or of its beginning, wherever a command has it."""
    name = rf"{re.escape(item.path)}(?![\w.-])"
    changed, count = re.subn(rf"(?<![\w./-]){name}", lambda _: shlex.quote(str(place)), command)
    if not count or count < len(re.findall(name, command)):
        raise InputError(f"{item.path} {otherwise}")
    return changed


def _judge(stage: Recorded, content: Content, folder: Path, tolerance: float, seconds: float) -> Outcome:
    found: list[Difference] = []
    notes: list[str] = []
    for out in stage.outs:
        differences, note = _compare_out(out, content, folder)
        found += differences
        notes += [note] if note else []
    varying = {difference.file for difference in found if difference.file in stage.varies}
    notes += [f"{file} differs, as it may: it shows {stage.varies[file]}" for file in sorted(varying)]
    found = [difference for difference in found if difference.file not in varying]
    notes += [f"{one.file}: {one.part}: {one.how}" for one in found if one.circumstance]
    worst = max((difference.extent for difference in found if not difference.circumstance), default=None)
    state: State
    if worst is None:
        state = "elsewhere" if found else "equal"
    else:
        state = "within" if tolerance > 0 and worst <= tolerance else "differs"
    return Outcome(state, seconds, "", [one for one in found if not one.circumstance], notes)


def _compare_out(out: Item, content: Content, folder: Path) -> tuple[list[Difference], str]:
    """Compare what was written again with what was recorded and with the workspace."""
    again, here = folder / "outputs" / out.path, content.root / out.path
    written, there = content.digest(again), content.digest(here)
    if written == out.md5 and there == out.md5:
        return [], ""
    if written == out.md5:
        note = f"{out.path}: the stage writes what dvc.lock has, but in the workspace "
        return compare(again, here, out.path) if there else [], note + (
            "there is something else; `dvc checkout --force` or Git takes it back"
            if there
            else "there is none; `dvc checkout` takes it from DVC's cache"
        )
    try:
        before, lost = content.find(out, folder / "recorded"), LOST
    except InputError as error:
        before, lost = None, f"other bytes; {error}"
    found = compare(before, again, out.path) if before else [Difference(out.path, "", lost, NO_MEASURE)]
    note = f"{out.path}: the workspace has what the stage writes, and dvc.lock something else"
    return found, note if written == there else ""
