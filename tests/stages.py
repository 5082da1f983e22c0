"""The stages of dvc.yaml, read without DVC."""

import shlex
from typing import Any, NamedTuple

from conftest import DEFAULT, ROOT
from ruamel.yaml import YAML

DVC: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")
PARAMS: dict[str, Any] = YAML(typ="safe").load(DEFAULT)


class Stage(NamedTuple):
    verb: str
    cmd: list[str]
    params: list[str]
    deps: list[str]
    outs: list[str]


def names(entries: list[Any]) -> list[str]:
    return [name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)]


def templates() -> dict[str, Stage]:
    """Read the stages of dvc.yaml, `${...}` as they stand."""
    return {
        verb: Stage(
            verb,
            shlex.split(body["cmd"]),
            body.get("params", []),
            body["deps"],
            [name for kind in ("outs", "metrics", "plots") for name in names(body.get(kind, []))],
        )
        for verb, body in ((verb, entry.get("do", entry)) for verb, entry in DVC["stages"].items())
    }


def resolve(
    rounds: dict[str, dict[str, Any]], datasets: dict[str, dict[str, Any]] = PARAMS["datasets"]
) -> dict[str, Stage]:
    """Unfold the stages over data sets and rounds, as DVC does: `verb` or `verb@key` to a stage without `${...}`."""
    found = {}
    for verb, stage in templates().items():
        loops = {"${rounds}": rounds, "${datasets}": datasets, None: {"": {}}}
        for key, item in loops[DVC["stages"][verb].get("foreach")].items():
            values = {
                "${key}": key,
                "${external.root}": PARAMS["external"]["root"],
                **{f"${{item.{name}}}": str(value) for name, value in item.items()},
            }
            lists = [[fill(text, values) for text in texts] for texts in stage[1:]]
            found[f"{verb}@{key}" if key else verb] = Stage(verb, *lists)
    return found


def fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    assert "${" not in text, text
    return text
