"""Whether DVC is at work, by its own locks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.rwlock import rwlock

from hcga.runs.busy import LOCKS, busy


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """Give the file of a checkout in which DVC notes its locks."""
    file = tmp_path / LOCKS
    file.parent.mkdir(parents=True)
    return file


def test_what_dvc_itself_notes_is_understood(tmp_path: Path, locks: Path) -> None:
    assert busy(tmp_path) is None
    read, written = [str(tmp_path / "data/a")], [str(tmp_path / "data/b")]
    code = (
        "import sys; from dvc.fs import localfs; from dvc.rwlock import rwlock\n"
        "with rwlock(sys.argv[1], localfs, '/usr/bin/dvc repro train@r1', sys.argv[2:3], sys.argv[3:], False):\n"
        "    print(flush=True), input()"
    )
    command = [sys.executable, "-c", code, str(locks.parent), *read, *written]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert busy(tmp_path) == (process.pid, "dvc repro train@r1", "data/b")
        process.kill()
    assert locks.read_text().count(str(process.pid)), "left behind"
    assert busy(tmp_path) is None


def test_one_that_only_looks_or_is_done_is_not_at_work(tmp_path: Path, locks: Path) -> None:
    with rwlock(str(locks.parent), localfs, "dvc status", [str(tmp_path / "a")], [], False):
        assert json.loads(locks.read_text())["read"]
        assert busy(tmp_path) is None
    assert busy(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"write": []}', '{"write": {"a": 3}}', '{"write": {"a": {"pid": 1}}}']
)
def test_what_is_no_note_is_passed_over(tmp_path: Path, locks: Path, text: str) -> None:
    locks.write_text(text)
    assert busy(tmp_path) is None
