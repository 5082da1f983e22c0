"""What dvc.lock tells of a run, of the workspace or of a revision: whether it was made of what is there now."""

from __future__ import annotations

from typing import Any

from hcga.params import read_params
from hcga.runs.workspace import Workspace, overlap


def changed_params(workspace: Workspace) -> list[str]:
    """Dotted names of the params that have changed since the stages ran; none without dvc.lock."""
    current = read_params(workspace.params_file)
    changed = set()
    for name, entry in workspace.locked().items():
        verb, _, key = name.partition("@")
        if (not key or key in (current.get("rounds") or ())) and not workspace.is_constant(verb):
            changed |= _changed(workspace, entry, current)
    return sorted(changed)


def changed_params_of(workspace: Workspace, stage: str) -> list[str]:
    """Dotted names of the params of one stage, named as DVC does, that have changed since it ran."""
    current = read_params(workspace.params_file)
    return sorted(_changed(workspace, workspace.locked().get(stage, {}), current))


def written_anew(workspace: Workspace, stage: str, round_name: str = "") -> list[str]:
    """Paths that a stage read and that have been written anew since; as dvc.yaml spells them."""
    written = {out["path"]: out.get("md5") for _, out in _outs(workspace)}
    read = workspace.locked().get(_name(stage, round_name), {}).get("deps", [])
    return [dep["path"] for dep in read if written.get(dep["path"], dep.get("md5")) != dep.get("md5")]


def is_stale(workspace: Workspace, stage: str, round_name: str = "") -> bool:
    """Whether a stage or one before it would run again, as far as params and what stages write decide that.

    A run of a part of the pipeline leaves such: an experiment up to round r1 still has the r2 of the commit before.
    """
    current = read_params(workspace.params_file)
    known = {"", *(current.get("rounds") or ()), *(current.get("datasets") or ())}
    made = [(name, out["path"]) for name, out in _outs(workspace) if name.partition("@")[2] in known]
    waiting, seen = [_name(stage, round_name)], set()
    while waiting:
        name = waiting.pop()
        entry = workspace.locked().get(name, {})
        if name in seen or workspace.is_constant(name.partition("@")[0]):
            continue
        seen.add(name)
        if _changed(workspace, entry, current) or written_anew(workspace, name):
            return True
        read = [dep["path"] for dep in entry.get("deps", [])]
        waiting += [maker for maker, out in made if any(overlap(out, path) for path in read)]
    return False


def changed_since(workspace: Workspace, stage: str, moment: float) -> bool:
    """Whether params.yaml, dvc.yaml or anything else that a stage reads is newer than a moment.

    Parameters
    ----------
    workspace : Workspace
    stage : str
        As DVC names it, such as train@r1.
    moment : float
        Seconds since the epoch.
    """
    read = [dep["path"] for dep in workspace.locked().get(stage, {}).get("deps", [])]
    files = [workspace.root / path for path in (workspace.params_file.name, "dvc.yaml", *read)]
    return any(file.stat().st_mtime > moment for file in files if file.exists())


def differences(old: Any, new: Any, name: str = "") -> set[str]:
    """Dotted names, below `name`, of the values that differ between two nested mappings."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = old.keys() | new.keys()
        below = f"{name}." if name else ""
        return set().union(*(differences(old.get(key), new.get(key), f"{below}{key}") for key in keys))
    return set() if old == new else {name}


def _name(stage: str, round_name: str) -> str:
    return f"{stage}@{round_name}" if round_name else stage


def _outs(workspace: Workspace) -> list[tuple[str, dict[str, Any]]]:
    return [(name, out) for name, entry in workspace.locked().items() for out in entry.get("outs", [])]


def _changed(workspace: Workspace, entry: dict[str, Any], current: dict[str, Any]) -> set[str]:
    read = entry.get("params", {}).get(workspace.params_file.name, {})
    return set().union(*(differences(value, current.get(section), section) for section, value in read.items()))
