"""A params.yaml of other values, which keeps the comments of the one it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from hcga.files import fresh
from hcga.runs.workspace import round_trip_yaml


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
    yaml = round_trip_yaml()
    document = yaml.load(template)
    _replace(document, values)
    with fresh(target) as draft, draft.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)


def _replace(document: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        old = document.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and list(old) == list(value):  # rounds have an order
            _replace(old, value)
        elif key not in document or old != value:
            document[key] = _styled(value)


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
