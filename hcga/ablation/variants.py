"""From a table and a params.yaml to the runs: one variant a row and seed, each with the whole of its params."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hcga.ablation.inputs import with_full_paths
from hcga.ablation.tables import LABEL, Row, Table
from hcga.errors import InputError
from hcga.params import Params, check_params
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
        A row is unknown, its params are impossible, or the command line changes what every row sets itself.
    """
    common = {**table.base, **choice.settings}
    if choice.validation is not None:
        common["prepare.validation"] = choice.validation
    if choice.label and not re.fullmatch(LABEL, choice.label):
        raise InputError(f"--label {choice.label}: letters, digits, _, + and -, no other signs")
    rows, variants = _known_rows(table, choice.rows), []
    _refuse_conflicts(table, rows, choice.settings)
    for seed in choice.seeds or table.seeds:
        for name in rows:
            row = table.rows[name]
            where = f"table {table.name}, row {name}"
            values = change(base, {**common, **row.set, "seed": seed}, where)
            check_params(values, where)
            values = with_full_paths(values, workspace)
            params = check_params(values, where)
            end = suffix(params, choice.label)
            variants.append(Variant(f"{table.name}-{name}-seed{seed}{end}", name, seed, values, params))
    return variants


def kept_settings(table: Table, choice: Choice) -> list[str]:
    """Say which rows set themselves what the command line sets for all: the row counts."""
    rows = _known_rows(table, choice.rows)
    setting = {key: [name for name in rows if _sets(table.rows[name], key)] for key in choice.settings}
    return [f"--set {key}: row {', '.join(own)} has a value of its own." for key, own in setting.items() if own]


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


def _refuse_conflicts(table: Table, rows: Sequence[str], settings: Mapping[str, Any]) -> None:
    for key in settings:
        if key == "seed":
            raise InputError("--set seed: a table runs over several; use --seeds")
        if all(_sets(table.rows[name], key) for name in rows):
            raise InputError(f"--set {key}: table {table.name} sets it itself, in row {', '.join(rows)}; leave it out")


def _sets(row: Row, key: str) -> bool:
    """Whether a row sets a key of params.yaml, or a part of it, or more."""
    return any(key == own or key.startswith(f"{own}.") or own.startswith(f"{key}.") for own in row.set)
