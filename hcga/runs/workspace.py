"""Where a pipeline keeps what: read from dvc.yaml, which owns every path."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hcga.errors import InputError, brief
from hcga.files import leads_below
from hcga.params import Dataset, Params, load_params
from hcga.validation import MANY, read_mapping


class Workspace:
    """A checkout with dvc.yaml and params.yaml.

    Parameters
    ----------
    folder : Path
        The checkout or a folder below it.

    Attributes
    ----------
    root : Path
        Where dvc.yaml stands, and what the stages write.
    checkout : Path
        Where relative roots of data sets start; another folder only for a revision.

    Raises
    ------
    InputError
        There is no dvc.yaml in the folder or above it.
    """

    def __init__(self, folder: Path) -> None:
        above = [path for path in (folder.resolve(), *folder.resolve().parents) if (path / "dvc.yaml").is_file()]
        if not above:
            raise InputError(f"{folder}: no dvc.yaml here or above; change into the checkout")
        self.root = self.checkout = above[0]
        self.params_file = self.root / "params.yaml"
        self._stages = _read_stages(self.root / "dvc.yaml", "take it back from Git")

    @property
    def params(self) -> Params:
        """The checked params.yaml."""
        return load_params(self.params_file)

    def path(self, stage: str, option: str, round_name: str = "") -> Path:
        """Path that dvc.yaml gives to an option of a stage's command.

        Parameters
        ----------
        stage : str
            For instance 'coparse'.
        option : str
            For instance 'masks' for `--masks`.
        round_name : str
            For a stage of the rounds.

        Raises
        ------
        InputError
            The round is not in params.yaml, or the stage has no such option.
        """
        if "do" in self._stages.get(stage, {}):
            self.require_round(round_name)
        spelled = self._spelled(stage, option)
        if spelled is None:
            raise InputError(f"stage {stage} of {self.root.name} has no {option}: its pipeline is of another version")
        if not leads_below(spelled):
            raise InputError(f"{self.root / 'dvc.yaml'}: {stage} has {brief(spelled)}, which leads out of the checkout")
        return self.root / spelled.replace("${key}", round_name)

    def has(self, stage: str, option: str, round_name: str = "") -> bool:
        """Whether an artifact is there; `InputError` if the round is not in params.yaml."""
        known = self._spelled(stage, option) is not None
        return known and self._stands(Workspace.path(self, stage, option, round_name))

    def _stands(self, path: Path) -> bool:
        return path.exists()

    def _spelled(self, stage: str, option: str) -> str | None:
        """A path as dvc.yaml spells it, None if this version of the pipeline does not have it."""
        entry = self._stages.get(stage, {})
        words = shlex.split(str(entry.get("do", entry).get("cmd", "")))
        return words[words.index(f"--{option}") + 1] if f"--{option}" in words[:-1] else None

    def outputs(self) -> set[str]:
        """Paths that stages write, as dvc.yaml spells them: `${key}` stands for a round or a data set."""
        kinds = ("outs", "metrics", "plots")
        lists = [entry.get("do", entry).get(kind, []) for entry in self._stages.values() for kind in kinds]
        return {path for paths in lists for item in paths for path in ([item] if isinstance(item, str) else item)}

    def sources(self) -> set[str]:
        """Paths that stages read and none writes, code and folders for hand-made files: what belongs into Git."""
        entries = [entry.get("do", entry) for entry in self._stages.values()]
        read = {path for entry in entries for path in entry.get("deps", []) if "${" not in path}
        made = self.outputs()
        return {path for path in read if not any(overlap(path, output) for output in made)} - {self.params_file.name}

    def is_constant(self, stage: str) -> bool:
        """Whether dvc.yaml says that what a stage writes never changes, so that its run means nothing to others."""
        return bool(self._stages.get(stage, {}).get("meta", {}).get("constant"))

    def locked(self) -> dict[str, Any]:
        """Stages of dvc.lock; none without that file, `InputError` if it cannot be read."""
        file = self.root / "dvc.lock"
        return _read_lock(file, file.stat().st_mtime_ns) if file.is_file() else {}

    def require_round(self, name: str) -> None:
        """Refuse a round that params.yaml does not have."""
        if name not in self.params.rounds:
            raise InputError(f"no round {name!r} in {self.params_file.name}; known: {', '.join(self.params.rounds)}")


@lru_cache(8)
def _read_lock(file: Path, stamp: int) -> dict[str, Any]:
    remedy = "take it back from Git, or delete it: `dvc repro` then takes what has run from DVC's cache"
    stages = _read_stages(file, remedy)
    for name, entry in stages.items():
        if not (_all_name_paths(entry.get("deps", [])) and _all_name_paths(entry.get("outs", []))):
            raise InputError(f"{file}: {brief(name)} does not list files with their paths; {remedy}")
        if not all(isinstance(each, dict) for each in (entry.get("params", {}), *entry.get("params", {}).values())):
            raise InputError(f"{file}: the params of {brief(name)} are no mappings; {remedy}")
    return stages


def _all_name_paths(entries: Any) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("path"), str) for entry in entries
    )


def _read_stages(file: Path, remedy: str) -> dict[str, Any]:
    """Stages of dvc.yaml or dvc.lock, name to entry."""
    try:
        stages = read_mapping(file, remedy, "of stages", MANY if file.suffix == ".lock" else 1).get("stages")
    except InputError as error:  # such as the marks of a conflict that Git has left
        raise InputError(f"{error}; {remedy}") from None
    if not isinstance(stages, dict) or not all(isinstance(entry, dict) for entry in stages.values()):
        raise InputError(f"{file}: `stages` is no mapping of stages; {remedy}")
    return stages


def overlap(first: str, second: str) -> bool:
    """Whether two paths are the same or one lies below the other."""
    return first == second or first.startswith(f"{second}/") or second.startswith(f"{first}/")


def refuse_common_splits(datasets: Mapping[str, Dataset], folder: Path) -> None:
    """Refuse data sets that read the same split of the same root; relative roots start at `folder`."""
    read: dict[tuple[Path, str], str] = {}
    for name, dataset in datasets.items():
        for split in dataset.splits:
            other = read.setdefault(((folder / dataset.root).resolve(), split), name)
            if other != name or dataset.splits.count(split) > 1:
                raise InputError(
                    f"datasets.{name}.splits: {split} of {dataset.root} is in datasets.{other} already; take it out"
                )
