"""Repairs say for how many part classes they were drawn, and are read for no other number of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hcga.errors import InputError
from hcga.masks.parts import UNLABELLED
from hcga.masks.repair_files import find_repairs, write_mask

SAMPLES = pd.DataFrame({"dataset": "main", "path": ["a.jpg", "b.jpg"]})
MASK = np.array([[0, 1, 2, 3, UNLABELLED] * 2] * 8, np.uint8)


def read(folder: Path, part_classes: int) -> np.ndarray:
    return find_repairs(folder, SAMPLES, part_classes)[0][0].read()


def test_a_repair_is_read_as_it_was_drawn(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", MASK, 4)
    np.testing.assert_array_equal(read(tmp_path, 4), MASK)


@pytest.mark.parametrize("part_classes", [3, 6])
def test_its_numbers_mean_nothing_with_other_part_classes(tmp_path: Path, part_classes: int) -> None:
    write_mask(tmp_path / "a.png", MASK, 4)
    with pytest.raises(
        InputError, match=rf"a\.png: drawn for part_classes 4, not {part_classes}, so .* set part_classes"
    ):
        read(tmp_path, part_classes)


def test_one_that_does_not_say_is_judged_by_its_numbers(tmp_path: Path) -> None:
    Image.fromarray(MASK).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path, 6), MASK)
    with pytest.raises(InputError, match=r"a\.png: number 3; with part_classes 3 parts are 0 to 2, and 255 says"):
        read(tmp_path, 3)


def test_what_is_no_repair_is_listed(tmp_path: Path) -> None:
    for name in ("README.md", "a.jpg", "sub/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for name in ("b.png", "c.png"):
        write_mask(tmp_path / name, MASK, 4)
    found, idle = find_repairs(tmp_path, SAMPLES, 4)
    assert (list(found), idle) == ([1], [tmp_path / name for name in ("a.jpg", "c.png", "sub/README.md")])
