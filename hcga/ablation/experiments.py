"""DVC's experiments in a Git repository, and which of them are runs of a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hcga.ablation.variants import Variant
from hcga.errors import InputError
from hcga.runs.git import git
from hcga.runs.staleness import differences
from hcga.validation import read_yaml

REFERENCE = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)")


class Experiment(NamedTuple):
    """A finished experiment; DVC keeps none of one that failed."""

    name: str
    commit: str  # its own, with params.yaml and dvc.lock
    baseline: str  # the commit that it started from


class Found(NamedTuple):
    """A run of a table and the experiment that is it, if there is one."""

    variant: Variant
    experiment: Experiment | None
    others: list[tuple[Experiment, str]]  # of its name, but with other params: which

    def finished_at(self, commit: str) -> bool:
        """Whether it has run with the code of a commit."""
        return self.experiment is not None and self.experiment.baseline == commit


def list_experiments(root: Path) -> list[Experiment]:
    """All experiments of a repository, the newest first."""
    lines = git(
        root, "for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", "refs/exps"
    ).splitlines()
    found = []
    for line in lines:
        commit, _, name = line.partition(" ")
        matched = REFERENCE.fullmatch(name)
        if matched:
            found.append(Experiment(matched[3], commit, matched[1] + matched[2]))
    return found


def reference(name: str, baseline: str) -> str:
    """Where Git keeps an experiment."""
    return f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"


def match(root: Path, variants: Sequence[Variant], commit: str) -> list[Found]:
    """Find the experiment of each run: of its name, and with its params by the params.yaml that it was committed with.

    Parameters
    ----------
    root : Path
        Where params.yaml stands.
    variants : sequence of Variant
    commit : str
        Experiments that started from it come first, then the newest.
    """
    experiments = sorted(list_experiments(root), key=lambda experiment: experiment.baseline != commit)
    return [_match(root, variant, [of for of in experiments if of.name == variant.name]) for variant in variants]


def _match(root: Path, variant: Variant, namesakes: Sequence[Experiment]) -> Found:
    others, same = [], None
    for experiment in namesakes:
        values = params_of(root, experiment)
        if values == variant.values:
            same = same or experiment
        else:
            others.append((experiment, _describe(values, variant.values)))
    return Found(variant, same, others)


def params_of(root: Path, experiment: Experiment) -> dict[str, Any]:
    """What the params.yaml of an experiment holds; nothing if it has none that can be read."""
    try:
        values = read_yaml(git(root, "show", f"{experiment.commit}:./params.yaml"), "params.yaml")
    except InputError:
        return {}
    return values if isinstance(values, dict) else {}


def _describe(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Say in which params an experiment differs: `train.images 2 instead of 4, seed 1 instead of 2`."""
    names = sorted(differences(there, here))
    texts = [f"{name} {_value(there, name)} instead of {_value(here, name)}" for name in names]
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _value(values: Any, name: str) -> str:
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    text = "null" if values is None else str(values)
    return text if len(text) <= 40 else f"{text[:37]}..."
