"""From a table and a params.yaml to the runs: one variant a row and seed, each with the whole of its params."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hcga.ablation.inputs import with_full_paths
from hcga.ablation.tables import LABEL, Table
from hcga.errors import InputError
from hcga.params import Params, Section, check_params
from hcga.runs.workspace import Workspace


class Choice(NamedTuple):
    """What is asked for on the command line; None and empty leave it to the table and params.yaml."""

    seeds: Sequence[int] = ()
    rows: Sequence[str] = ()
    settings: Mapping[str, Any] = {}  # dotted key -> value, for all rows
    validation: float | None = None  # share of the training identities that becomes query and gallery
    label: str = ""  # ends the names, to keep runs with other settings apart


class Variant(NamedTuple):
    """One run."""

    name: str  # of the experiment
    row: str
    seed: int
    values: dict[str, Any]  # the whole of its params.yaml
    params: Params  # the same, checked


def plan(table: Table, base: Mapping[str, Any], workspace: Workspace, choice: Choice) -> list[Variant]:
    """List the runs of a table, all rows of a seed before the next seed: so an early look shows every row.

    Parameters
    ----------
    table : Table
    base : mapping
        What params.yaml holds. The table's base, the command line, then the row change it, in this order.
    workspace : Workspace
        The checkout that runs; data of it that Git has not are named by their full paths.
    choice : Choice

    Raises
    ------
    InputError
        A row is unknown, params of rows are impossible, or the command line changes what every row sets itself.
    """
    common = {**table.base, **choice.settings}
    if choice.validation is not None:
        common["prepare.validation"] = choice.validation
    if choice.label and not re.fullmatch(LABEL, choice.label):
        raise InputError(f"--label {choice.label}: letters, digits, _, + and -, no other signs")
    rows = _known_rows(table, choice.rows)
    _refuse_conflicts(table, rows, choice)
    variants, wrong = [], []
    for seed in choice.seeds or table.seeds:
        for name in rows:
            changes = {**common, **table.rows[name].set, "seed": seed}
            try:
                values, params = _params_of_row(base, changes, f"table {table.name}, row {name}", workspace)
            except InputError as error:
                wrong.append(str(error))
                continue
            end = suffix(params, choice.label)
            variants.append(Variant(f"{table.name}-{name}-seed{seed}{end}", name, seed, values, params))
    if wrong:
        raise InputError("\n".join(dict.fromkeys(wrong)))  # the same with every seed
    return variants


def _params_of_row(
    base: Mapping[str, Any], changes: Mapping[str, Any], where: str, workspace: Workspace
) -> tuple[dict[str, Any], Params]:
    """What the params.yaml of a row holds, and the same checked; `where` begins what is said against it."""
    for key, value in changes.items():
        kind = Params.model_fields[key].annotation if key in Params.model_fields else None
        whole = kind.model_fields if isinstance(kind, type) and issubclass(kind, Section) else {}
        if isinstance(value, Mapping) and set(whole) - set(value):
            field, inner = next(iter(value.items()), ("FIELD", "VALUE"))
            raise InputError(f"{where}: {key} would be replaced as a whole; write {key}.{field}: {inner}")
    values = change(base, changes, where)
    check_params(values, where)
    values = with_full_paths(values, workspace)
    return values, check_params(values, where)


def describe_settings(table: Table, choice: Choice) -> list[str]:
    """Say what else sets what the command line sets for all rows: a row, which counts, or the table, which does not."""
    rows, notes = _known_rows(table, choice.rows), []
    for key, value in choice.settings.items():
        own = [name for name in rows if _sets(table.rows[name].set, key)]
        if own:
            notes.append(f"--set {key}: row {', '.join(own)} has a value of its own.")
        given = [base for base in table.base if _sets({base: None}, key) and table.base[base] != value]
        if len(own) < len(rows):
            notes += [f"--set {key} takes the place of {base} of the table's base." for base in given]
    return notes


def suffix(params: Params, label: str) -> str:
    """What ends names such as `mask_source-isp-seed1`: -val and the share held out in per cent, then the label."""
    share = params.prepare.validation
    held_out = "" if share is None else f"-val{100 * share:g}".replace(".", "_")
    return held_out + (f"-{label}" if label else "")


def change(values: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Give a copy of nested mappings with other values at dotted keys; a mapping is replaced, not merged.

    Raises
    ------
    InputError
        A key leads through something that is no section; `where` begins the message.
    """
    changed = copy.deepcopy(dict(values))
    for key, value in changes.items():
        *sections, last = str(key).split(".")
        place: Any = changed
        for name in sections:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise InputError(f"{where}: {key}: {name} is {place!r} in params.yaml and has no fields; set it first")
        place[last] = copy.deepcopy(value)
    return changed


def _known_rows(table: Table, wanted: Sequence[str]) -> list[str]:
    unknown = [name for name in wanted if name not in table.rows]
    if unknown:
        raise InputError(f"--rows {unknown[0]}: table {table.name} has no such row; known: {', '.join(table.rows)}")
    return [name for name in table.rows if not wanted or name in wanted]


def _refuse_conflicts(table: Table, rows: Sequence[str], choice: Choice) -> None:
    for key in choice.settings:
        if key == "seed":
            raise InputError("--set seed: a table runs over several; use --seeds")
        if all(_sets(table.rows[name].set, key) for name in rows):
            raise InputError(f"--set {key}: table {table.name} sets it itself, in row {', '.join(rows)}; leave it out")
    places = {"base": table.base, **{f"row {name}": table.rows[name].set for name in rows}}
    for where, changes in places.items():
        if _sets(changes, "seed"):
            raise InputError(f"table {table.name}, {where}: a table runs over several seeds; list them as `seeds`")
        if choice.validation is not None and where != "base" and _sets(changes, "prepare.validation"):
            raise InputError(
                f"--validation: table {table.name}, {where} sets prepare.validation; leave one of them out"
            )


def _sets(changes: Mapping[str, Any], key: str) -> bool:
    """Whether changes by dotted keys set a key of params.yaml, or a part of it, or more."""
    return any(key == own or key.startswith(f"{own}.") or own.startswith(f"{key}.") for own in changes)
