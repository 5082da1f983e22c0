from pathlib import Path

import pytest

from hcga.csv_files import read_table
from hcga.errors import InputError


def test_options_are_those_of_pandas(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("pid,name\n1,007\n")
    assert read_table(tmp_path / "a.csv", dtype={"name": str})["name"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"a\.csv: no such file; `dvc repro` makes it"),
        (b"", r"a\.csv: no readable table \(No columns to parse from file\); `dvc repro` makes it"),
        (b"a,b\n1,2\n1,2,3\n", r"a\.csv: no readable table \(Error tokenizing data"),
        (b"a,b\n\xff,2\n", r"a\.csv: no readable table \('utf-8' codec"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_remedy(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "a.csv")


def test_a_table_of_another_version_lacks_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    with pytest.raises(InputError, match=r"a\.csv: no column 'pid'; it has: id, name\. .*`git worktree add`"):
        read_table(tmp_path / "a.csv", ("name", "pid"))
    assert read_table(tmp_path / "a.csv", ("name", "id"))["id"].tolist() == [1]


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable table"):
        read_table(tmp_path)
