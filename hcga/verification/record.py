"""The stages as dvc.lock recorded them, and what has become other since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from hcga.errors import InputError
from hcga.runs.due import opened
from hcga.runs.staleness import changed_params_of
from hcga.runs.workspace import Workspace
from hcga.verification.content import Content, Item


class Recorded(NamedTuple):
    """A stage of dvc.yaml with what dvc.lock says of its last run."""

    name: str  # as DVC has it, such as train@r1
    command: str
    deps: list[Item]
    outs: list[Item]
    varies: dict[str, str]  # files whose bytes are not the same every time, and what they show
    changed: list[str]  # why it is not up to date, as far as command and params decide that; empty if it is


class Record(NamedTuple):
    """All stages, in the order in which DVC takes them, and where to find what they wrote."""

    stages: list[Recorded]
    content: Content


def read_record(workspace: Workspace) -> Record:
    """Read what dvc.lock recorded, without running or changing anything.

    Parameters
    ----------
    workspace : Workspace

    Raises
    ------
    InputError
        There is no dvc.lock or no folder .dvc, or one of DVC's files cannot be read.
    """
    from dvc.repo.reproduce import plan_repro
    from dvc.stage import PipelineStage

    locked = workspace.locked()
    if not locked:
        raise InputError(f"{workspace.root / 'dvc.lock'}: no such file, so no stage has run here; `dvc repro` first")
    with opened(workspace.root) as repo:
        stages = [stage for stage in plan_repro(repo.index.graph) if isinstance(stage, PipelineStage)]
        found = [_recorded(workspace, stage, locked.get(stage.name)) for stage in stages]
        content = Content(workspace.root, Path(repo.cache.local.path), repo.dvcignore)
    return Record(found, content._replace(made=[out for stage in found for out in stage.outs]))


def _recorded(workspace: Workspace, stage: Any, entry: dict[str, Any] | None) -> Recorded:
    varies = dict((stage.meta or {}).get("varies", {}))
    if entry is None:
        return Recorded(stage.name, stage.cmd, [], [], varies, ["it has not run yet"])
    changed = [f"{name} has changed in params.yaml" for name in changed_params_of(workspace, stage.name)]
    if entry.get("cmd") != stage.cmd:
        changed.append("its command has changed in dvc.yaml")
    deps, outs = (_items(entry.get(kind, []), stage.name, workspace.root / "dvc.lock") for kind in ("deps", "outs"))
    return Recorded(stage.name, stage.cmd, deps, outs, varies, changed)


def _items(entries: Iterable[dict[str, Any]], stage: str, file: Path) -> list[Item]:
    try:
        return [Item(str(entry["path"]), str(entry["md5"]), int(entry.get("size", 0))) for entry in entries]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"{file}: stage {stage}: a path without its md5; take the file back from Git, or `dvc repro`"
        ) from None


def choose_stages(stages: Sequence[Recorded], wanted: Sequence[str]) -> list[Recorded]:
    """Find stages by name.

    Parameters
    ----------
    stages : sequence of Recorded
    wanted : sequence of str
        Names as DVC has them (train@r1), or without what follows the @ (train) for all of these; empty for all.

    Returns
    -------
    list of Recorded
        In the order of `stages`.

    Raises
    ------
    InputError
        There is no such stage.
    """
    verbs = {stage.name: stage.name.partition("@")[0] for stage in stages}
    known = list(dict.fromkeys(name for pair in verbs.items() for name in pair))
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"no stage {name!r}{hint} dvc.yaml has: {', '.join(dict.fromkeys(verbs.values()))}")
    return [stage for stage in stages if not wanted or {stage.name, verbs[stage.name]} & set(wanted)]
