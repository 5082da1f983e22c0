import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import DEFAULT, ROOT

from hcga.ablation.experiments import list_experiments, match, reference
from hcga.ablation.tables import Table
from hcga.ablation.variants import Choice, Variant, change, plan
from hcga.params import read_params
from hcga.params_file import write_values
from hcga.runs.workspace import Workspace

TABLE = Table.model_validate({"name": "t", "title": "T", "seeds": [1], "rows": {"a": {}}})


class Repository:
    """A repository with commits, and with experiments put there as DVC does."""

    def __init__(self, root: Path) -> None:
        self.root, self.days = root, 0
        self.git("init", "-q")

    def git(self, *arguments: str) -> str:
        date = f"2026-01-{1 + self.days:02} 12:00 +0000"
        names = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(["git", *arguments], cwd=self.root, env=os.environ | names | dates, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def commit(self, values: dict[str, Any]) -> str:
        self.days += 1
        write_values(DEFAULT.read_text("utf-8"), values, self.root / "params.yaml")
        self.git("add", "params.yaml")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def experiment(self, name: str, baseline: str, values: dict[str, Any]) -> str:
        """Commit on top of a baseline, and go back to where HEAD was."""
        before = self.git("rev-parse", "HEAD")
        self.git("reset", "-q", "--hard", baseline)
        made = self.commit(values)
        self.git("update-ref", reference(name, baseline), made)
        self.git("reset", "-q", "--hard", before)
        return made


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture(scope="module")
def variant() -> Variant:
    (found,) = plan(TABLE, read_params(DEFAULT), Workspace(ROOT), Choice())
    return found


def test_only_experiments_are_listed_the_newest_first(repository: Repository, variant: Variant) -> None:
    first = repository.commit(variant.values)
    older = repository.experiment("x-1", first, variant.values)
    newer = repository.experiment("x-2", first, variant.values)
    repository.git("update-ref", "refs/exps/exec/EXEC_HEAD", first)
    repository.git("update-ref", "refs/heads/x-1", first)
    assert list_experiments(repository.root) == [("x-2", newer, first), ("x-1", older, first)]


def test_of_equal_runs_that_of_the_commit_counts_then_the_newest(repository: Repository, variant: Variant) -> None:
    first = repository.commit(variant.values)
    second = repository.commit(variant.values)
    at_second = repository.experiment(variant.name, second, variant.values)
    at_first = repository.experiment(variant.name, first, variant.values)  # run later
    for commit, expected in ((first, at_first), (second, at_second), ("f" * 40, at_first)):
        (found,) = match(repository.root, [variant], commit)
        assert found.experiment is not None
        assert found.experiment.commit == expected
        assert found.finished_at(first) == (expected == at_first)


def test_other_params_are_another_run_and_are_named(repository: Repository, variant: Variant) -> None:
    first = repository.commit(variant.values)
    differing = {"train.flip": 0.1, "gam.t": None, "rounds": {"r1": {"prev": "init", "until_epoch": 1}}, "seed": 9}
    repository.experiment(variant.name, first, change(variant.values, differing, ""))
    repository.experiment("other-name", first, variant.values)
    (found,) = match(repository.root, [variant], first)
    assert found.experiment is None
    assert not found.finished_at(first)
    ((experiment, difference),) = found.others
    assert experiment.baseline == first
    assert difference == (
        "gam.t null instead of 4, rounds.r1.until_epoch 1 instead of 6, "
        "rounds.r2 null instead of {'prev': 'r1', 'until_epoch': 12} and 3 more"
    )


def test_an_experiment_whose_params_cannot_be_read_is_another_run(repository: Repository, variant: Variant) -> None:
    first = repository.commit(variant.values)
    (repository.root / "params.yaml").write_text("rounds: [")
    repository.git("commit", "-qam", "broken")
    repository.git("update-ref", reference(variant.name, first), repository.git("rev-parse", "HEAD"))
    (found,) = match(repository.root, [variant], first)
    assert found.experiment is None
    assert len(found.others) == 1
