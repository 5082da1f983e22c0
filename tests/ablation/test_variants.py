from pathlib import Path
from typing import Any

import pytest
from conftest import DEFAULT, ROOT

from hcga.ablation.tables import Table
from hcga.ablation.variants import Choice, change, describe_settings, plan
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
    base = f"--set {key} takes the place of gam.t of the table's base."
    assert describe_settings(TABLE, Choice(settings=settings)) == [f"--set {key}: row t2 has a value of its own.", base]
    assert describe_settings(TABLE, Choice(settings=settings, rows=["plain"])) == [base]
    assert describe_settings(TABLE, Choice(settings={"gam.t": None}, rows=["plain"])) == []
    assert describe_settings(TABLE, Choice(settings={"gamma": 1})) == []
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


def test_mistakes_of_all_rows_are_said_at_once() -> None:
    rows = {"a": {"set": {"coparse.windo": 5}}, "b": {"set": {"coparse.window": 4}}, "c": {}}
    table = Table.model_validate({"name": "ways", "title": "Ways", "rows": rows})
    with pytest.raises(InputError) as error:
        plan(table, read_params(DEFAULT), Workspace(ROOT), Choice())
    lines = str(error.value).splitlines()
    assert [line for line in lines if line.startswith("table")] == [
        "table ways, row a: 1 problem(s)",
        "table ways, row b: 1 problem(s)",
    ]


def test_a_section_is_not_replaced_by_a_part_of_it() -> None:
    table = Table.model_validate({"name": "ways", "title": "Ways", "rows": {"a": {"set": {"coparse": {"window": 5}}}}})
    with pytest.raises(InputError, match=r"row a: coparse would be replaced as a whole; write coparse.window: 5$"):
        plan(table, read_params(DEFAULT), Workspace(ROOT), Choice())


@pytest.mark.parametrize(
    ("where", "message"),
    [({"base": {"seed": 9}}, "table ways, base"), ({"rows": {"a": {"set": {"seed": 9}}}}, "table ways, row a")],
)
def test_the_seeds_of_a_table_are_a_list(where: dict[str, Any], message: str) -> None:
    table = Table.model_validate({"name": "ways", "title": "Ways", "rows": {"a": {}}, **where})
    with pytest.raises(InputError, match=f"{message}: a table runs over several seeds; list them as `seeds`"):
        plan(table, read_params(DEFAULT), Workspace(ROOT), Choice())


def test_a_row_cannot_go_back_to_the_test_identities() -> None:
    rows = {"a": {"set": {"prepare.validation": None}}}
    table = Table.model_validate({"name": "ways", "title": "Ways", "rows": rows})
    assert plan(table, read_params(DEFAULT), Workspace(ROOT), Choice())
    with pytest.raises(InputError, match=r"--validation: table ways, row a sets prepare.validation; leave one of them"):
        plan(table, read_params(DEFAULT), Workspace(ROOT), Choice(validation=0.2))


def test_fields_of_what_is_no_section_cannot_be_set() -> None:
    with pytest.raises(InputError, match=r"here: synthetic.seed: synthetic is None in params.yaml and has no fields"):
        change({"synthetic": None}, {"synthetic.seed": 3}, "here")


def test_what_is_changed_is_a_copy(tmp_path: Path) -> None:
    values: dict[str, Any] = {"a": {"b": [1]}}
    assert change(values, {"a.c": 2}, "")["a"] == {"b": [1], "c": 2}
    assert values == {"a": {"b": [1]}}
