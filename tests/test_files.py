from pathlib import Path

import pytest

from hcga.files import fresh


def test_a_file_appears_when_its_block_has_ended_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with fresh(path) as draft:
        draft.write_text("a")
        assert not path.exists()
    assert path.read_text() == "a"
    with pytest.raises(FileNotFoundError), fresh(path):
        (tmp_path / "none").rename(path)
    assert path.read_text() == "a"
    assert list(path.parent.iterdir()) == [path]
