from pathlib import Path
from typing import Any

import pytest
from conftest import DEFAULT, ROOT, change

from hcga.errors import InputError
from hcga.params import load_params, read_params
from hcga.params_file import write_rounds, write_values

FILES = sorted((ROOT / "params").glob("*.yaml"))
ROUNDS = {"r0": {"prev": "init", "until_epoch": 0}, "r1": {"prev": "r0", "until_epoch": 6}}


@pytest.mark.parametrize("template", [DEFAULT, ROOT / "params/occluded_dukemtmc.yaml"], ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 2, "gam.t": None, "coparse.borders": [0.4], "prepare.validation": 0.2},
        {"synthetic": None, "datasets.main.root": "/data/set: one", "train.milestones": []},
        {"rounds": ROUNDS},
        {"rounds.r4": {"prev": "r3", "until_epoch": 999}},
        {"rounds": {"r1": {"prev": "init", "until_epoch": 5}}, "evaluate.rerank": ...},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_the_file_holds_the_values_in_their_order(template: Path, changes: dict[str, Any], tmp_path: Path) -> None:
    values = read_params(template)
    change(values, changes)
    write_values(template.read_text("utf-8"), values, tmp_path / "params.yaml")
    written = read_params(tmp_path / "params.yaml")
    assert written == values
    assert list(written["rounds"]) == list(values["rounds"])


def test_lines_that_do_not_change_stay_as_they_are(tmp_path: Path) -> None:
    values = read_params(DEFAULT)
    change(values, {"gam.t": None, "train.milestones": [7], "rounds": ROUNDS})
    write_values(DEFAULT.read_text("utf-8"), values, tmp_path / "params.yaml")
    before, after = (path.read_text("utf-8").splitlines() for path in (DEFAULT, tmp_path / "params.yaml"))
    assert [line for line in after if line not in before] == [
        next(line for line in before if line.startswith("  t: ")).replace("4   ", "null"),
        next(line for line in before if "milestones" in line).replace("[13, 16]", "[7]     "),
        "  r0: {prev: init, until_epoch: 0}",
        "  r1: {prev: r0, until_epoch: 6}",
    ]


def outside_rounds(text: str) -> str:
    """Drop the lines of the rounds themselves."""
    return "".join(line for line in text.splitlines(keepends=True) if "{prev:" not in line)


@pytest.mark.parametrize("count", [1, 3, 12, 20])
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_all_but_the_rounds_stays_byte_for_byte(tmp_path: Path, file: Path, count: int) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(file.read_bytes())
    write_rounds(path, count, 7)
    before, after = (p.read_bytes().decode("utf-8") for p in (file, path))
    assert outside_rounds(after) == outside_rounds(before)
    expected = [
        f"  r{n}: {{prev: {f'r{n - 1}' if n > 1 else 'init'}, until_epoch: {7 * n}}}" for n in range(1, count + 1)
    ]
    start = after.splitlines().index("rounds:") + 1
    assert after.splitlines()[start : start + count] == expected
    old, new = load_params(file), load_params(path)
    assert new.model_copy(update={"rounds": {}}) == old.model_copy(update={"rounds": {}})


@pytest.mark.parametrize("count", [2, 3, 6])
def test_what_stands_below_the_rounds_stays_there(tmp_path: Path, count: int) -> None:
    text = DEFAULT.read_text(encoding="utf-8")
    above, rounds = text.split("\nrounds:\n")
    path = tmp_path / "params.yaml"
    evaluate = above[above.index("evaluate:") :]
    moved = f"{above.replace(evaluate, '')}\nrounds:\n{rounds}\n# Matching.\n{evaluate}\n# The end.\n"
    path.write_text(moved, encoding="utf-8")
    write_rounds(path, count, 5)
    after = path.read_text(encoding="utf-8")
    assert outside_rounds(after) == outside_rounds(moved)
    start = after.splitlines().index("rounds:")
    assert all("{prev:" in line for line in after.splitlines()[start + 1 : start + 1 + count])


def test_the_same_rounds_again_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(DEFAULT.read_bytes())
    write_rounds(path, 4, 3)
    once = path.read_bytes()
    write_rounds(path, 4, 3)
    assert path.read_bytes() == once


def test_a_params_file_with_a_mistake_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: x\n", encoding="utf-8")
    with pytest.raises(InputError, match="seed"):
        write_rounds(path, 2, 2)
    assert path.read_text(encoding="utf-8") == "seed: x\n"
