from pathlib import Path
from typing import Any

import pytest
from conftest import DEFAULT, ROOT

from hcga.ablation.tables import Table
from hcga.ablation.variants import Choice, change, kept_settings, plan
from hcga.errors import InputError
from hcga.params import read_params
from hcga.runs.workspace import Workspace

TABLE = Table.model_validate(
    {
        "name": "ways",
        "title": "Ways",
        "seeds": [5, 7],
        "base": {"gam.t": None, "train.images": 2},
        "rows": {"plain": {}, "t2": {"set": {"gam.t": 2}}},
    }
)


def planned(**choice: Any) -> dict[str, dict[str, Any]]:
    """Run names and the params of each."""
    variants = plan(TABLE, read_params(DEFAULT), Workspace(ROOT), Choice(**choice))
    return {variant.name: variant.values for variant in variants}


def test_a_run_for_each_row_and_seed_all_rows_of_a_seed_first() -> None:
    runs = planned()
    assert list(runs) == ["ways-plain-seed5", "ways-t2-seed5", "ways-plain-seed7", "ways-t2-seed7"]
    assert [values["seed"] for values in runs.values()] == [5, 5, 7, 7]
    assert [values["gam"]["t"] for values in runs.values()] == [None, 2, None, 2]
    expected = read_params(DEFAULT)
    expected["seed"], expected["gam"]["t"], expected["train"]["images"] = 7, 2, 2
    assert runs["ways-t2-seed7"] == expected


def test_rows_and_seeds_may_be_chosen() -> None:
    assert list(planned(rows=["t2"], seeds=[1])) == ["ways-t2-seed1"]


def test_the_command_line_goes_over_the_base_and_the_row_over_both() -> None:
    runs = planned(settings={"train.images": 8, "rounds": {"a": {"prev": "init", "until_epoch": 1}}}, seeds=[1])
    assert all(values["train"]["images"] == 8 for values in runs.values())
    assert all(list(values["rounds"]) == ["a"] for values in runs.values())  # replaced, not merged
    thresholds = [values["gam"]["t"] for values in planned(settings={"gam.t": 3}, seeds=[1]).values()]
    assert thresholds == [3, 2]


@pytest.mark.parametrize("settings", [{"gam.t": 3}, {"gam": {"t": 3}}])
def test_rows_keep_what_they_are_about_and_it_is_said(settings: dict[str, Any]) -> None:
    (key,) = settings
    assert kept_settings(TABLE, Choice(settings=settings)) == [f"--set {key}: row t2 has a value of its own."]
    assert kept_settings(TABLE, Choice(settings=settings, rows=["plain"])) == []
    assert kept_settings(TABLE, Choice(settings={"gamma": 1})) == []
    with pytest.raises(InputError, match=rf"--set {key}: table ways sets it itself, in row t2; leave it out"):
        planned(settings=settings, rows=["t2"])


@pytest.mark.parametrize(("share", "end"), [(0.2, "val20"), (0.125, "val12_5")])
def test_names_say_that_identities_are_held_out(share: float, end: str) -> None:
    runs = planned(validation=share, rows=["t2"], seeds=[1], label="x")
    assert list(runs) == [f"ways-t2-seed1-{end}-x"]
    assert runs[f"ways-t2-seed1-{end}-x"]["prepare"]["validation"] == share
    assert list(planned(settings={"prepare.validation": share}, rows=["t2"], seeds=[1])) == [f"ways-t2-seed1-{end}"]


def test_mistakes_are_named_with_their_row() -> None:
    with pytest.raises(InputError, match=r"--rows t9: table ways has no such row; known: plain, t2"):
        planned(rows=["t9"])
    with pytest.raises(
        InputError, match=r"table ways, row plain: 1 problem\(s\)\n  coparse.windo: unknown key; did you"
    ):
        planned(settings={"coparse.windo": 3})
    with pytest.raises(InputError, match="--set seed: a table runs over several; use --seeds"):
        planned(settings={"seed": 3})
    with pytest.raises(InputError, match="--label a b: letters, digits"):
        planned(label="a b")


def test_fields_of_what_is_no_section_cannot_be_set() -> None:
    with pytest.raises(InputError, match=r"here: synthetic.seed: synthetic is None in params.yaml and has no fields"):
        change({"synthetic": None}, {"synthetic.seed": 3}, "here")


def test_what_is_changed_is_a_copy(tmp_path: Path) -> None:
    values: dict[str, Any] = {"a": {"b": [1]}}
    assert change(values, {"a.c": 2}, "")["a"] == {"b": [1], "c": 2}
    assert values == {"a": {"b": [1]}}
