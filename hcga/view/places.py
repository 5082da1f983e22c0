"""What can be looked at: the revisions that there are, and what each of them holds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr

from hcga.artifacts import open_artifact, open_images
from hcga.csv_files import read_table
from hcga.errors import OTHER_VERSION, REMEDY, InputError
from hcga.occluders import Occlusion, read_occlusion
from hcga.runs.revisions import WORKSPACE, Place, open_revision, parse_place
from hcga.runs.staleness import written_anew
from hcga.runs.workspace import Workspace
from hcga.samples import image_names, read_samples_of
from hcga.stores import array, open_store

# Columns of the first gallery images of each query.
RANKED = {"query": str, "rank": int, "gallery": str, "similarity": float, "hit": bool}
REOPEN_SECONDS = 20  # a branch may have moved on since


class Archive:
    """All that a checkout holds, opened when it is asked for.

    Parameters
    ----------
    root : Path
        The checkout or a folder below it.
    """

    def __init__(self, root: Path) -> None:
        self._root = Workspace(root).root
        self._opened: dict[str, tuple[float, Workspace]] = {}
        self._opening = threading.Lock()

    def revision(self, name: str) -> Workspace:
        """Open a revision; `InputError` if there is none of that name."""
        with self._opening:  # a page asks for many pictures at once
            opened, found = self._opened.get(name, (-np.inf, None))
            old = time.monotonic() - opened > REOPEN_SECONDS
            if found is None or old or not found.params_file.is_file():  # somebody has cleared .hcga
                found = open_revision(self._root, name)
                self._opened[name] = (time.monotonic(), found)
            return found

    def place(self, text: str) -> Place:
        """Read `revision:round`, a round of the workspace, or a revision alone: its last round with masks."""
        place = parse_place(text)
        if ":" in text or place.round in self.revision(WORKSPACE).params.rounds:
            return place
        try:
            self.revision(text)
        except InputError:
            return place  # which `require_round` refuses
        return self.all_rounds(text)[-1]

    def all_rounds(self, rev: str) -> list[Place]:
        """The rounds of a revision that have masks; `InputError` if there is none."""
        found = [Place(rev, name) for name in self.rounds(rev)]
        if not found:
            raise InputError(f"{rev}: no round has masks yet; run `dvc repro`, or choose another revision")
        return found

    def require_round(self, place: Place) -> None:
        """Refuse a round that its revision does not have."""
        known = list(self.revision(place.rev).params.rounds)
        if place.round not in known:
            hint = "; nor is there a revision of this name" if place.rev == WORKSPACE else ""
            raise InputError(f"{place.rev}: no round {place.round!r} in params.yaml; known: {', '.join(known)}{hint}")

    def rounds(self, rev: str) -> list[str]:
        """The rounds of a revision that have masks."""
        revision = self.revision(rev)
        return [name for name in revision.params.rounds if revision.has("coparse", "masks", name)]

    def known_revisions(self) -> list[str]:
        """The workspace, HEAD, DVC experiments (by their commits where several have one name), branches and tags."""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
        from dvc.scm import SCMError

        try:
            with Repo(str(self._root)) as repo:
                experiments = _unambiguous(repo.experiments.ls(all_commits=True), repo.scm.get_rev())
                found = [*experiments, *repo.scm.list_branches(), *repo.scm.list_tags()]
        except (DvcException, SCMError):
            found = []
        return [WORKSPACE, "HEAD", *sorted(set(found))]

    def samples(self, rev: str) -> pd.DataFrame:
        """The sample table of a revision."""
        paths = [self.revision(rev).path("prepare", option) for option in ("samples", "images")]
        return _samples(*paths, *map(_stamp, paths))

    def sample(self, rev: str, row: int) -> dict[str, Any]:
        """What is known of one image: row, pid, camid, path."""
        of = self.samples(rev).iloc[row]
        return {"row": row, "pid": int(of["pid"]), "camid": int(of["camid"]), "path": of["path"]}

    def same_images(self, rev: str, rows: np.ndarray, other: str) -> np.ndarray:
        """Rows of the same training images in another revision, by data set and path; -1 where it lacks them."""
        if other == rev:
            return rows
        tables = [self.samples(name)[["dataset", "path"]] for name in (rev, other)]
        if tables[0].equals(tables[1]):
            return rows
        there = tables[1][self.samples(other)["split"] == "train"]
        row_of = dict(zip(there.itertuples(index=False, name=None), there.index, strict=True))
        wanted = tables[0].iloc[rows].itertuples(index=False, name=None)
        return np.array([row_of.get(key, -1) for key in wanted], dtype=np.int64)

    def table(self, place: Place) -> pd.DataFrame:
        """What is known of each identity's masks: by the evaluation of these very masks, else as co-parsing left it."""
        revision = self.revision(place.rev)
        for stage, option in (("evaluate", "identities"), ("coparse", "table")):
            old = stage == "evaluate" and written_anew(revision, stage, place.round)
            if revision.has(stage, option, place.round) and not old:
                return self._whole_table(place.rev, revision.path(stage, option, place.round))
        raise InputError(f"{place}: no masks of this round yet; run `dvc repro`, or choose another round or revision")

    def _whole_table(self, rev: str, path: Path) -> pd.DataFrame:
        """A table with a row an identity; `InputError` if it has been cut short."""
        table, samples = read_table(path, ("pid",)), self.samples(rev)
        pids = samples["pid"][samples["split"] == "train"].unique()
        missing = sorted(set(pids.tolist()) - set(table["pid"]))
        if missing:
            raise InputError(
                f"{path}: lacks {len(missing)} of the {len(pids)} training identities, the first {missing[0]}: it is "
                f"cut short, or samples.csv has other images now; {REMEDY}"
            )
        return table

    def rankings(self, place: Place) -> pd.DataFrame:
        """The first gallery images of each query."""
        revision = self.revision(place.rev)
        if not revision.has("evaluate", "rankings", place.round):
            raise InputError(f"{place}: no matching of this round yet; run `dvc repro`, or choose another round")
        rankings = read_table(revision.path("evaluate", "rankings", place.round), RANKED, dtype=RANKED)
        if not set(rankings["query"]).union(rankings["gallery"]) <= set(image_names(self.samples(place.rev))):
            raise InputError(f"{place}: its matching was of other images than samples.csv has now, or {OTHER_VERSION}")
        return rankings

    def store(self, place: Place, stage: str, option: str) -> zarr.Group:
        """A store of a round."""
        return open_artifact(self.revision(place.rev), stage, option, place.round)

    def images(self, rev: str) -> zarr.Array[Any]:
        """All images of a revision, (N, H, W, 3) uint8."""
        return array(open_images(self.revision(rev)), "images")

    def truth(self, rev: str) -> zarr.Array[Any] | None:
        """True masks (N, H, W) uint8, where there are any."""
        store = open_artifact(self.revision(rev), "prepare", "truth")
        return array(store, "truth") if "truth" in store else None

    def occlusion(self, rev: str) -> Occlusion:
        """What is known of the occluders in a revision's images."""
        return read_occlusion(self.revision(rev).path("prepare", "occlusion"), self.samples(rev))


def _unambiguous(experiments: Mapping[str, list[tuple[str, str]]], head: str) -> list[str]:
    """What names each experiment: of several of one name DVC knows the one by its name that started from HEAD."""
    times = Counter(name for entries in experiments.values() for name, _ in entries)
    return [
        name if times[name] == 1 or baseline == head else commit[:7]
        for baseline, entries in experiments.items()
        for name, commit in entries
    ]


def _stamp(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


@lru_cache(4)
def _samples(path: Path, images: Path, *stamps: float) -> pd.DataFrame:
    return read_samples_of(path, open_store(images))
