"""How masks of two rounds differ: the order of the identities, and what the command says of names."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hcga.cli.main import main
from hcga.errors import InputError
from hcga.masks.comparison import compare_masks
from hcga.masks.parts import UNLABELLED
from hcga.runs.workspace import Workspace
from hcga.store_writing import write_store
from hcga.stores import array, open_store


def test_identities_without_a_cell_that_both_label_come_first(workspace_folder: Path) -> None:
    """Nobody can tell how much they differ, so they are to be looked at."""
    masks = np.asarray(array(open_store(workspace_folder / "data/masks/r1.zarr"), "masks")[:])
    masks[0] = (masks[0] + 1) % 4  # identity 3
    masks[2] = UNLABELLED  # identity 8
    write_store(workspace_folder / "data/masks/r2.zarr", {"masks": masks}, part_classes=4)
    table = compare_masks(Workspace(workspace_folder), Workspace(workspace_folder), "r1", "r2")
    assert table["pid"].tolist() == [8, 3]
    assert table["changed"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("attributes", "words"),
    [({"part_classes": 6}, "masks of 4 and of 6 part classes"), ({}, "no attribute 'part_classes' .* another version")],
)
def test_masks_of_other_parts_are_not_compared(workspace_folder: Path, attributes: dict[str, int], words: str) -> None:
    masks = np.ones((3, 4, 2), np.uint8)
    write_store(workspace_folder / "data/masks/r2.zarr", {"masks": masks}, **attributes)
    with pytest.raises(InputError, match=words):
        compare_masks(Workspace(workspace_folder), Workspace(workspace_folder), "r1", "r2")


def test_a_round_in_place_of_a_revision(workspace_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace_folder)
    for arguments, hint in (
        (["workspace:r1", "r2"], "; for the round of this name write workspace:r2\n"),
        (["r1", "r2"], "; for the round of this name write workspace:r1\n"),
        (["r9"], None),
    ):
        done = CliRunner().invoke(main, ["masks", "diff", *arguments])
        assert done.exit_code == 1
        assert done.stderr.endswith(hint) if hint else "for the round" not in done.stderr
