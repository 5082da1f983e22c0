from pathlib import Path

import numpy as np
import pytest

from hcga.errors import InputError
from hcga.masks.export_note import FILE, ExportNote, read_note


def test_a_note_tells_what_has_changed_cell_by_cell(tmp_path: Path) -> None:
    mask = np.zeros((32, 16), np.uint8)  # twice the network's size: a cell is 8 x 8 pixels
    note = ExportNote(part_classes=4, height=16, width=8)
    note.add("a.png", mask, repair=False)
    note.write(tmp_path)
    found = read_note(tmp_path)
    assert found == note
    assert (found.masks["a.png"].height, found.masks["a.png"].width) == (32, 16)
    stroke, line = mask.copy(), mask.copy()
    stroke[8:16, :8], line[8:16, :2] = 1, 1
    same = [found.holds("a.png", found.cells_of(now)) for now in (mask, mask[::2, ::2], line, stroke)]
    assert same == [True, True, True, False]
    assert not found.holds("b.png", found.cells_of(mask))


def test_a_note_tells_an_edit_of_no_cell_and_what_was_a_repair() -> None:
    mask = np.zeros((32, 16), np.uint8)
    note = ExportNote(part_classes=4, height=16, width=8)
    note.add("a.png", mask, repair=False)
    note.add("b.png", mask, repair=True)
    line = mask.copy()
    line[8:16, :2] = 1
    assert [note.holds_pixels(name, now) for name in ("a.png", "c.png") for now in (mask, line)] == [True, *[False] * 3]
    assert [note.was_repair(name) for name in ("a.png", "b.png", "c.png")] == [False, True, False]


def test_no_note_and_a_broken_one(tmp_path: Path) -> None:
    assert read_note(tmp_path) is None
    (tmp_path / FILE).write_text('{"height": 16}')
    with pytest.raises(InputError, match=r"exported\.json: not as it was written \(Field required\); copy the edited"):
        read_note(tmp_path)
