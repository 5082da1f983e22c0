from pathlib import Path

import pytest

from hcga import files
from hcga.errors import InputError
from hcga.files import content_digest, fresh, resumable, run_key, scratch


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


def test_scratch_outlives_a_death_and_goes_when_all_is_done(tmp_path: Path) -> None:
    path = tmp_path / "model"

    def reach(key: str, death: type[BaseException] | None = None) -> list[str]:
        with scratch(path, key) as folder:
            found = [entry.name for entry in folder.iterdir()]
            (folder / f"state{len(found)}").write_text("so far")
            if death:
                raise death
        return found

    for death in (KeyboardInterrupt, InputError):  # of damaged input, which may come back as it was
        with pytest.raises(death):
            reach("a", death)
    assert reach("a") == ["state0", "state1"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        reach("a", KeyboardInterrupt)
    assert reach("b") == [], "of another key"
    assert list(tmp_path.iterdir()) == [], "that of the other key has gone too"


def test_the_key_is_another_when_code_inputs_or_settings_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("a")
    folder.mkdir()
    (folder / "b").write_text("b")
    keys = [run_key([file, folder], 1, "x"), run_key([file, folder], 2, "x"), run_key([folder, file], 1, "x")]
    (folder / "b").write_text("c")
    keys.append(run_key([file, folder], 1, "x"))
    (folder / "b").rename(folder / "c")
    keys.append(run_key([file, folder], 1, "x"))
    assert run_key([file, folder], 1, "x") == keys[-1]
    monkeypatch.setattr(files, "code_digest", lambda: "other")
    keys.append(run_key([file, folder], 1, "x"))
    assert len(set(keys)) == len(keys)


def test_where_a_file_ends_counts(tmp_path: Path) -> None:
    for name, contents in {"one": ("ab", "c"), "two": ("a", "bc")}.items():
        (tmp_path / name).mkdir()
        for number, content in enumerate(contents):
            (tmp_path / name / str(number)).write_text(content)
    assert content_digest(tmp_path / "one") != content_digest(tmp_path / "two")
