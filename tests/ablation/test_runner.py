from typing import Any

import pytest
from conftest import DEFAULT, ROOT

from hcga.ablation.experiments import Experiment, Found
from hcga.ablation.runner import refuse_missing_masks
from hcga.ablation.tables import load_table
from hcga.ablation.variants import Choice, plan
from hcga.errors import InputError
from hcga.params import read_params
from hcga.runs.workspace import Workspace


def found(experiment: Experiment | None = None, **choice: Any) -> list[Found]:
    variants = plan(
        load_table(ROOT / "tables/mask_source.yaml"), read_params(DEFAULT), Workspace(ROOT), Choice(**choice)
    )
    return [Found(variant, experiment, []) for variant in variants]


def test_nothing_begins_where_a_row_lacks_its_masks() -> None:
    with pytest.raises(InputError, match=r"row external has coparse.source external, but data/external") as refused:
        refuse_missing_masks(Workspace(ROOT), found(), "c0ffee")
    assert str(refused.value).endswith(
        "holds no label image: say where some are by --set external.root=FOLDER (data/synthetic/truth on synthetic "
        "people, in place of a parser), or run the others alone by --rows none,stripes,isp,hcnet"
    )
    with pytest.raises(
        InputError, match=r"but /nowhere holds no label image: say where some are by --set external.roo"
    ):
        refuse_missing_masks(
            Workspace(ROOT), found(rows=["external"], settings={"external.root": "/nowhere"}), "c0ffee"
        )


def test_masks_that_a_stage_makes_and_runs_that_are_done_are_not_lacking() -> None:
    workspace = Workspace(ROOT)
    refuse_missing_masks(workspace, found(rows=["hcnet", "isp"]), "c0ffee")
    refuse_missing_masks(workspace, found(settings={"external.root": "data/synthetic/truth"}), "c0ffee")
    refuse_missing_masks(workspace, found(Experiment("e", "c0ffee", "c0ffee")), "c0ffee")
