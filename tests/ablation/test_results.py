import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import DEFAULT, ROOT

from hcga.ablation.agreement import seed_agreement
from hcga.ablation.experiments import Experiment, Found
from hcga.ablation.results import papers_rows, unlike_paper
from hcga.ablation.tables import Table
from hcga.ablation.variants import Choice, plan
from hcga.errors import InputError
from hcga.params import read_params
from hcga.runs.workspace import Workspace
from hcga.samples import read_samples, write_samples

TABLE = Table.model_validate(
    {
        "name": "t",
        "title": "T",
        "seeds": [1],
        "rows": {"a": {"paper": {"occluded_dukemtmc": {"rank1": 70.2}}}, "b": {}},
    }
)
DUKE = {"synthetic": None, "datasets.main.layout": "occluded_dukemtmc", "datasets.main.root": "/data/duke"}


def beside(settings: dict[str, Any], queries: int) -> tuple[dict[str, Any], list[str]]:
    """What stands beside the rows after runs with these params."""
    variants = plan(TABLE, read_params(DEFAULT), Workspace(ROOT), Choice(settings=settings))
    done = [Found(variant, Experiment(variant.name, "c0ffee", "c0ffee"), []) for variant in variants]
    runs = pd.DataFrame({"name": [variant.name for variant in variants], "retrieval_queries": queries})
    return papers_rows(TABLE, done, runs)


def test_the_paper_stands_beside_runs_on_its_data_alone() -> None:
    shown, notes = beside(DUKE, 2210)
    assert {row: figures.rank1 for row, figures in shown.items()} == {"a": 70.2}
    assert notes == []


@pytest.mark.parametrize(
    ("settings", "queries", "note"),
    [
        (DUKE, 300, "occluded_dukemtmc has 2210 queries, these runs 300: the paper's figures do not compare."),
        (
            DUKE | {"prepare.validation": 0.2},
            2210,
            "The paper tests on the test identities, these runs do not.",
        ),
        ({}, 2210, "The paper has figures for occluded_dukemtmc; these runs are on other data."),
    ],
    ids=["a part of it", "held out", "other data"],
)
def test_else_it_is_said_why_not(settings: dict[str, Any], queries: int, note: str) -> None:
    assert beside(settings, queries) == ({}, [note])


def test_settings_that_are_not_the_paper_s_are_named() -> None:
    papers = read_params(ROOT / "params/occluded_dukemtmc.yaml") | {"seed": 7, "threads": 3}

    def unlike(settings: dict[str, Any]) -> list[str]:
        variants = plan(TABLE, papers, Workspace(ROOT), Choice(settings=settings, rows=["a"]))
        return unlike_paper(ROOT, TABLE, [Found(variant, None, []) for variant in variants])

    assert unlike({}) == []
    (note,) = unlike({"image.height": 128, "gam.t": 2, "rounds": {"r1": {"prev": "init", "until_epoch": 1}}})
    assert "of params/occluded_dukemtmc.yaml; these runs have others: gam.t, image.height, rounds.r1" in note


def test_of_several_data_sets_the_paper_says_nothing() -> None:
    main = read_params(DEFAULT)["datasets"]["main"] | {"layout": "occluded_dukemtmc", "root": "/data/duke"}
    other = main | {"layout": "market1501", "splits": ["train"]}
    shown, _ = beside({"datasets": {"main": main | {"splits": ["query", "gallery"]}, "other": other}}, 2210)
    assert shown == {}


def test_seeds_agree_with_themselves(workspace_folder: Path) -> None:
    workspace = Workspace(workspace_folder)
    found = seed_agreement([workspace, workspace], "r1")
    assert (found.same_part, found.rand_parts, found.rand_labels) == (100, 1, 1)
    assert found.identities["pid"].tolist() == [3, 8]
    assert found.identities["images"].tolist() == [2, 1]


def test_masks_of_other_images_are_not_compared(workspace_folder: Path, tmp_path: Path) -> None:
    other = Workspace(shutil.copytree(workspace_folder, tmp_path / "other"))
    samples = read_samples(other.path("prepare", "samples"))
    write_samples(samples.replace({"pid": {8: 9}}), other.path("prepare", "samples"))
    with pytest.raises(InputError, match="were given different images"):
        seed_agreement([Workspace(workspace_folder), other], "r1")
