import errno
import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from hcga import files
from hcga.errors import InputError
from hcga.files import content_digest, fresh, note_beside, read_note, resumable, run_key, scratch, write_note
from hcga.guards import NoSpaceError
from hcga.runs.commands import alone_in


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


def test_where_no_locks_are_known_the_log_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    for name in "ab":
        with fresh(tmp_path / name) as draft:
            draft.write_text(name)
    with alone_in(tmp_path, "hcga ablate"):
        assert [record.getMessage() for record in caplog.records] == [
            f"{tmp_path}: its file system knows no locks; let no two commands that write there run at once"
        ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b", "lock"]


@pytest.mark.parametrize("writing", [fresh, partial(resumable, key="key"), partial(scratch, key="key")])
def test_a_second_process_is_refused(tmp_path: Path, writing: Callable[[Path], AbstractContextManager[Path]]) -> None:
    """What the first is writing stays as it is."""
    path = tmp_path / "file"
    with writing(path) as first:
        first.mkdir(exist_ok=True)
        with pytest.raises(InputError, match="file: another process writes it at this moment; wait"), writing(path):
            pass
        assert first.is_dir()
        with fresh(tmp_path / "other") as draft:
            draft.touch()
    with writing(path) as again:
        again.mkdir(exist_ok=True)
    assert not list(tmp_path.glob(".*.lock.part"))


def test_of_many_that_write_one_file_one_is_at_it(tmp_path: Path) -> None:
    """And whoever is refused comes in later; locks come and go with each."""
    path, at_it, rounds = tmp_path / "file", [0], []

    def write() -> None:
        while len(rounds) < 200:
            try:
                with fresh(path) as draft:
                    at_it[0] += 1
                    rounds.append(at_it[0])
                    draft.touch()
                    at_it[0] -= 1
            except InputError:
                pass

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(rounds) == {1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_lock_of_a_process_that_was_killed_is_none(tmp_path: Path) -> None:
    (tmp_path / ".file.lock.part").touch()
    with fresh(tmp_path / "file") as draft:
        draft.touch()
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def fill(writing: AbstractContextManager[Path]) -> None:
    with writing as draft:
        draft.mkdir(exist_ok=True)
        (draft / "reached").touch()
        with fresh(draft / "part"):
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("writing", [fresh, partial(resumable, key="key"), partial(scratch, key="key")])
def test_a_full_disk_is_named_and_what_was_reached_is_kept(
    tmp_path: Path, writing: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    path = tmp_path / "file"
    with pytest.raises(NoSpaceError, match=r"part: no space left to write it .* make room"):
        fill(writing(path))
    assert len(list(tmp_path.iterdir())) == (writing is not fresh)
    with pytest.raises(OSError, match="other") as caught, fresh(path):
        raise OSError(errno.EIO, "other")
    assert not isinstance(caught.value, NoSpaceError)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks /proc which file a handle is of")
def test_a_lasting_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, flushed = tmp_path / "store", []
    monkeypatch.setattr(
        os, "fsync", lambda handle: flushed.append((str(Path(f"/proc/self/fd/{handle}").readlink()), path.exists()))
    )
    with fresh(path, flushed=True) as draft:
        (draft / "array").mkdir(parents=True)
        (draft / "array" / "shard").touch()
    inside = [str(draft / name) for name in ("array", "array/shard")]
    assert sorted(flushed) == sorted([*((name, False) for name in [*inside, str(draft)]), (str(tmp_path), True)])


def test_a_note_that_was_damaged_says_nothing(tmp_path: Path) -> None:
    note = tmp_path / "note"
    assert read_note(note) == ""
    write_note(note, "7 ä")
    assert read_note(note) == "7 ä"
    content = note.read_bytes()
    for place in range(len(content)):
        note.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert read_note(note) == ""
        note.write_bytes(content[:place])
        assert read_note(note) == ""


def die(path: Path, error: type[BaseException]) -> None:
    with resumable(path, "key") as draft:
        draft.write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError, NoSpaceError])
def test_a_draft_outlives_a_death_and_what_somebody_mends(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error):
        die(path, error)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".file.key.part", "file"]
    with resumable(path, "key") as draft:
        assert draft.read_text() == "half"
    assert path.read_text() == "half"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_is_noted_of_a_draft_stands_until_that_has_its_name(tmp_path: Path) -> None:
    """It is of no other draft: one that got its name and whose note did not go is not gone by."""
    path, kept = tmp_path / "file", tmp_path / ".file.key.part"
    with resumable(path, "key") as draft:
        draft.write_text("whole")
        write_note(note_beside(draft), "all")
    assert not kept.exists()
    kept.mkdir()
    write_note(kept / "draft.note", "all")
    with resumable(path, "key") as draft:
        assert read_note(note_beside(draft)) == ""
        draft.write_text("whole")
    with pytest.raises(KeyboardInterrupt):
        die(path, KeyboardInterrupt)
    write_note(kept / "draft.note", "half of it")
    with resumable(path, "key") as draft:
        assert read_note(note_beside(draft)) == "half of it"


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


@pytest.mark.parametrize("name", ["[ab].zarr", "*.zarr", "a", "a.zarr.parquet"])
def test_scratch_of_another_output_stays(tmp_path: Path, name: str) -> None:
    state = tmp_path / ".a.zarr.key.part/state"
    state.parent.mkdir()
    state.touch()
    with scratch(tmp_path / name, "other"):
        assert state.exists()
    with scratch(tmp_path / "a.zarr", "other"):
        assert not state.exists()


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


def test_another_stage_script_is_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (files.SCRIPTS / "train.py").is_file()
    monkeypatch.setattr(files, "SCRIPTS", tmp_path)
    found = [files.checkout_digest()]
    for text in ("a", "b"):
        (tmp_path / "train.py").write_text(text)
        found.append(files.checkout_digest())
    assert len(set(found)) == 3


def test_where_a_file_ends_counts(tmp_path: Path) -> None:
    for name, contents in {"one": ("ab", "c"), "two": ("a", "bc")}.items():
        (tmp_path / name).mkdir()
        for number, content in enumerate(contents):
            (tmp_path / name / str(number)).write_text(content)
    assert content_digest(tmp_path / "one") != content_digest(tmp_path / "two")
