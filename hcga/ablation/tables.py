"""A table file: the rows of an ablation, what each changes in params.yaml, and what the paper has there."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from hcga.errors import InputError
from hcga.params import LayoutName, Section, read_mapping

LABEL = r"^[A-Za-z0-9][A-Za-z0-9_+-]*$"  # becomes part of the name of an experiment, which Git takes
Label = Annotated[str, Field(pattern=LABEL)]
Seed = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)] | None


class Figures(Section):
    """Figures that the paper prints, per cent."""

    rank1: Percent = None
    rank5: Percent = None
    rank10: Percent = None
    mAP: Percent = None


class Row(Section):
    """One variant of the method."""

    set: dict[str, Any] = Field(default_factory=dict)  # dotted key of params.yaml -> value
    paper: dict[LayoutName, Figures] = Field(default_factory=dict)  # layout of the data set -> what the paper has


class Table(Section):
    """A table file as a whole; all but title and rows may be left out."""

    name: Label  # of the file, unless written
    title: str
    source: str = ""  # table or figure of the paper
    note: str = ""  # what a reader must know
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(default_factory=lambda: [1, 2, 3])
    base: dict[str, Any] = Field(default_factory=dict)  # as `set`, for every row
    rows: Annotated[dict[Label, Row], Field(min_length=1)]

    @field_validator("rows", mode="before")
    @classmethod
    def _empty_rows(cls, rows: Any) -> Any:
        return {name: {} if row is None else row for name, row in rows.items()} if isinstance(rows, dict) else rows

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds} has a seed twice")
        return seeds


def load_table(path: Path) -> Table:
    """Read and check a table file; what its keys do to a params.yaml, `hcga.ablation.variants` checks.

    Raises
    ------
    InputError
        Missing file, bad YAML, or fields that are unknown, missing or of a wrong type, all of them listed.
    """
    values = read_mapping(path, "tables/ of the repository holds some", "with title and rows")
    try:
        return Table.model_validate({"name": path.stem, **values})
    except ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        raise InputError("\n".join([f"{path}: {len(lines)} problem(s)", *lines])) from None


def _explain(error: ErrorDetails) -> str:
    """One line for one pydantic error: field, value, what is wrong, nearest known name."""
    location = [str(part) for part in error["loc"] if part != "[key]"]
    where, value = ".".join(location), error["input"]
    if error["type"] == "extra_forbidden":
        known = list((Table, Table, Row, Row, Figures)[len(location) - 1].model_fields)
        near = difflib.get_close_matches(location[-1], known, n=1)
        return f"  {where}: unknown key; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}")
    if error["type"] == "missing":
        return f"  {where}: missing"
    if error["type"] == "value_error":
        return f"  {where}: {error['msg'].removeprefix('Value error, ')}"
    if error["type"] == "string_pattern_mismatch":
        return f"  {where}: {value!r} becomes part of a name: letters, digits, _, + and -, no other signs"
    if "[key]" in error["loc"] and not isinstance(value, str):
        return f"  {where}: {value!r} ({type(value).__name__}) is no name; write it in quotes"
    return f"  {where}: {value!r} ({type(value).__name__}): {error['msg'][:1].lower()}{error['msg'][1:]}"
