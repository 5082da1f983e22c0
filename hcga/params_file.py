"""A params.yaml of other values, which keeps the comments of the one it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from hcga.files import fresh
from hcga.params import check_params, read_params

NULL = "tag:yaml.org,2002:null"


def write_values(template: str, values: Mapping[str, Any], target: Path) -> None:
    """Write other values into a copy of a params.yaml, whose comments stay.

    Parameters
    ----------
    template : str
        Text of the params.yaml to copy.
    values : mapping
        All that the copy holds; every section of the template is among it.
    target : Path
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 200
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(NULL, "null"))
    document = yaml.load(template)
    _replace(document, values)
    with fresh(target) as draft, draft.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)


def write_rounds(params_file: Path, count: int, epochs_each: int) -> None:
    """Write `count` rounds of equal length into a params.yaml; everything else, comments too, stays as it is.

    Parameters
    ----------
    params_file : Path
    count, epochs_each : int
        At least 1.

    Raises
    ------
    InputError
        The file is not a valid params.yaml.
    """
    values = read_params(params_file)
    check_params(values, str(params_file))
    rounds, previous = {}, "init"
    for number in range(1, count + 1):
        rounds[f"r{number}"] = {"prev": previous, "until_epoch": number * epochs_each}
        previous = f"r{number}"
    write_values(params_file.read_text("utf-8-sig"), values | {"rounds": rounds}, params_file)


def _replace(document: Any, values: Mapping[str, Any], below: bool = False) -> None:
    for key, value in values.items():
        old = document.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if list(old) != list(value):  # rounds have an order
                for name in list(old):
                    del old[name]
            _replace(old, value, True)
        elif key not in document or old != value:
            document[key] = _styled(value, below)


def _styled(value: Any, below: bool = False) -> Any:
    """A value as params.yaml writes it: lists, and mappings below another, on one line."""
    if isinstance(value, list):
        sequence = CommentedSeq(value)
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, dict):
        mapping = CommentedMap({key: _styled(inner, True) for key, inner in value.items()})
        if below:
            mapping.fa.set_flow_style()
        return mapping
    return value
