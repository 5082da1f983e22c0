"""docs/tutorial.md, followed to the letter on people that are drawn, with a tiny network and short rounds."""

import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT
from ruamel.yaml import YAML
from test_elsewhere import commit
from test_pipeline import TINY, new_checkout

pytestmark = pytest.mark.slow
TEXT = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
ROUNDS = {f"r{n}": {"prev": f"r{n - 1}" if n > 1 else "init", "until_epoch": n} for n in (1, 2, 3)}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_from_a_folder_of_crops_to_a_search(tmp_path: Path) -> None:
    changes = TINY | {"rounds": ROUNDS}
    for block in blocks("yaml"):
        changes |= YAML(typ="safe").load(block)
    checkout = new_checkout(tmp_path / "checkout", {k: v for k, v in changes.items() if not k.startswith("synthetic.")})
    commit(checkout, "params")
    commands = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    commands.remove("hcga view")  # which serves until it is stopped
    assert len(commands) == 8
    printed = {}
    for command in commands:
        done = checkout.run("bash", "-c", command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        printed[command] = done.stdout
    assert printed["hcga figures"].splitlines()[0].split() == ["round", "r1", "r2", "r3"]
    samples = pd.read_csv(checkout.folder / "data/samples.csv")
    assert samples["path"].str.startswith(("train/", "query/", "gallery/")).all()
    page = (checkout.folder / "found.html").read_text(encoding="utf-8")
    assert page.count('class="score"') >= 10
