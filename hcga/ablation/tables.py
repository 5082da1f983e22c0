"""A table file: the rows of an ablation, what each changes in params.yaml, and what the paper has there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_core import ErrorDetails

from hcga.errors import brief
from hcga.params import LayoutName, Section, Seed
from hcga.validation import read_mapping, validate

LABEL = r"^[A-Za-z0-9][A-Za-z0-9_+-]*$"  # becomes part of the name of an experiment, which Git takes
Label = Annotated[str, Field(pattern=LABEL)]
Percent = Annotated[float, Field(ge=0, le=100)] | None


class Figures(Section):
    """Figures that the paper prints, per cent."""

    rank1: Percent = None
    rank5: Percent = None
    rank10: Percent = None
    mAP: Percent = None  # the standard one, which the authors' script for CUHK03 computes
    mAP_trapezoid: Percent = None  # theirs of everything that is matched by visible parts


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
    return validate(Table, {"name": path.stem, **values}, str(path), _remark)


def _remark(error: ErrorDetails) -> str | None:
    """What to say of some errors."""
    value = error["input"]
    if error["type"] == "string_pattern_mismatch":
        return f"{brief(value)} becomes part of a name: letters, digits, _, + and -, no other signs"
    if error["type"] == "dict_type":
        return f"{brief(value)} ({type(value).__name__}) is no mapping; write a line NAME: ... for each"
    if "[key]" in error["loc"] and not isinstance(value, str):
        return f"{brief(value)} ({type(value).__name__}) is no name; write it in quotes"
    return None
