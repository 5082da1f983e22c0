"""YAML files that hold a mapping, checked against a model; what is wrong is said field by field."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from hcga.errors import InputError, brief

LARGEST, LARGEST_TEXT = 100_000, 4 * 2**20  # values and bytes of a file
MANY = 10  # times as much in dvc.lock: enough for nearly a thousand rounds
LONGEST = 100  # letters of a name for which a near one is looked for
# What ruamel.yaml raises beside its own: of numbers, dates and tags that are none, and of nesting.
UNREADABLE = (YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError, RecursionError)
M = TypeVar("M", bound=BaseModel)
Remark = Callable[[ErrorDetails], str | None]


def read_mapping(path: str | Path, remedy: str, kind: str, times: int = 1) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Parameters
    ----------
    path : str or Path
    remedy : str
        What to do if the file is missing.
    kind : str
        Of mapping, for messages: `of sections`.
    times : int
        How many times `LARGEST` and `LARGEST_TEXT` it may have.

    Raises
    ------
    InputError
        Missing file, bad YAML, too much of it, or no mapping.
    """
    problem = f"{path} is not valid YAML"
    try:
        _refuse_long(Path(path).stat().st_size, problem, times)
        text = Path(path).read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: no such file; {remedy}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{problem}: {error}") from None
    values = read_yaml(text, problem, times)
    if not isinstance(values, dict):
        raise InputError(f"{path} holds {type(values).__name__}, not a mapping {kind}")
    return values


def read_yaml(text: str, problem: str, times: int = 1) -> Any:
    """Read a value that is written in YAML; `InputError` if it is none, which `problem` begins.

    What is nested or repeated, by aliases, without bounds is none either: to write it out would take all memory.
    """
    _refuse_long(len(text), problem, times)
    try:
        value = YAML(typ="safe").load(text)
        size = _size(value, LARGEST * times)
    except UNREADABLE as error:
        if isinstance(error, MarkedYAMLError):
            error.note = None  # says how to have ruamel.yaml let it pass
        raise InputError(f"{problem}: {error or type(error).__name__}") from None
    if size > LARGEST * times:
        raise InputError(f"{problem}: more than {LARGEST * times:,} values, written out")
    return value


def _refuse_long(size: int, problem: str, times: int) -> None:
    if size > LARGEST_TEXT * times:
        raise InputError(f"{problem}: {size:,} bytes, {LARGEST_TEXT * times:,} are the most")


def _size(value: Any, most: int) -> int:
    """How many values a value holds, itself among them, as far as `most` and somewhat beyond."""
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    size = 1
    for each in inner:
        if size <= most:
            size += _size(each, most)
    return size


def validate(model: type[M], values: Mapping[str, Any], source: str, remark: Remark) -> M:
    """Check what a file holds.

    Parameters
    ----------
    model : type
        A pydantic model.
    values : mapping
    source : str
        Begins the message: the file's name.
    remark : callable
        What to say of an error in place of the words of `explain`; None leaves them.

    Raises
    ------
    InputError
        A field is unknown, missing, of a wrong type or impossible; all of them are listed, each with its name and
        value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [f"  {explain(model, detail, remark)}" for detail in error.errors()]
        raise InputError("\n".join([f"{source}: {len(lines)} problem(s)", *lines])) from None


def explain(model: type[BaseModel], error: ErrorDetails, remark: Remark) -> str:
    """One line for one error of pydantic: field, value, what is wrong, nearest known name."""
    where = ".".join(str(part)[:LONGEST] for part in error["loc"] if part != "[key]")
    return ": ".join(filter(None, [where, remark(error) or _in_words(model, error)]))


def _in_words(model: type[BaseModel], error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        known = fields_at(model, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1])[:LONGEST], known, n=1)
        return "unknown key; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}")
    if error["type"] == "missing":
        return "missing"
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    value = error["input"]
    return f"{brief(value)} ({type(value).__name__}): {error['msg'][:1].lower()}{error['msg'][1:]}"


def fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model at a location: fields of models and keys of mappings of models."""
    at: Any = model
    for part in location:
        at = get_args(at)[1] if get_origin(at) is dict else at.model_fields[part].annotation
        if get_origin(at) is not dict:  # may be a union with None
            at = next(each for each in (at, *get_args(at)) if hasattr(each, "model_fields"))
    return list(at.model_fields)
