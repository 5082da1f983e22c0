from pathlib import Path

import pytest

from hcga.errors import InputError
from hcga.files import fresh, resumable


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


def die(path: Path, error: type[BaseException]) -> None:
    with resumable(path, "key") as draft:
        draft.write_text("half")
        raise error


def test_a_draft_outlives_a_death_but_no_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        die(path, KeyboardInterrupt)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".file.key.part", "file"]
    with resumable(path, "key") as draft:
        assert draft.read_text() == "half"
    assert path.read_text() == "half"
    with pytest.raises(InputError):
        die(path, InputError)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
