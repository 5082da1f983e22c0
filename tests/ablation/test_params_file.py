from pathlib import Path
from typing import Any

import pytest
from conftest import DEFAULT, ROOT, change

from hcga.ablation.params_file import write_values
from hcga.params import read_params

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
