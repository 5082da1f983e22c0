"""What stages read is compared with what dvc.lock says of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result
from conftest import DEFAULT

from hcga.errors import InputError
from hcga.params import Params
from hcga.runs.recorded import distrust_copies, dvc_digest, refuse_changed
from hcga.runs.stage import PATH, stage

pytestmark = pytest.mark.slow

PIPELINE = """\
stages:
  zero:
    cmd: mkdir -p out && echo fine > out/note
    outs: [out/note]
    meta: {constant: true}
  one:
    cmd: mkdir -p out/store && echo first > out/file && echo a > out/store/b && echo c > 'out/store/ä'
    outs: [out/file, out/store]
  two:
    foreach: [r9]
    do:
      cmd: echo second > out/other
      outs:
        - out/other
"""


def dvc(folder: Path, *arguments: str) -> str:
    quiet = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / ".site")}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=os.environ | quiet, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which DVC has run; its cache is linked, as this repository's."""
    folder = tmp_path_factory.mktemp("recorded") / "run"
    folder.mkdir()
    dvc(folder, "init", "-q", "--no-scm")
    dvc(folder, "config", "cache.type", "hardlink,copy")
    (folder / "dvc.yaml").write_text(PIPELINE, "utf-8")
    dvc(folder, "repro", "-q")
    return folder


def turn_a_bit(file: Path) -> None:
    """Change a byte of a file and nothing else, as a disk does."""
    before = file.stat()
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    with file.open("r+b") as opened:
        opened.write(content)
    file.chmod(before.st_mode)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("name", "damage"), [("out/file", turn_a_bit), ("out/store/b", lambda file: os.truncate(file, 1))]
)
def test_what_is_damaged_is_refused_and_made_anew(
    run: Path, default_params: Params, name: str, damage: Callable[[Path], None]
) -> None:
    """DVC alone sees no change where the file has kept its time, and in its cache lies the same file."""
    wanted = (run / name).read_bytes()
    out = "/".join(name.split("/")[:2])
    refuse_changed(run, default_params, "three", [Path(out)])
    damage(run / name)
    refuse_changed(run, default_params, "three", [Path("elsewhere")])
    refuse_changed(run, default_params, "one", [Path(out)])
    for read in (out, "out", f"{out}/below"):
        what = f"{out}: damaged, or changed by hand: {'b in it is ' if 'store' in out else ''}not what its stage has"
        with pytest.raises(InputError, match=f"^{what} written. Run `dvc repro` again"):
            refuse_changed(run, default_params, "three", [Path(read)])
    dvc(run, "repro", "-q")
    assert (run / name).read_bytes() == wanted
    refuse_changed(run, default_params, "three", [Path(out)])


def test_what_runs_again_is_not_replaced_by_a_damaged_copy(run: Path) -> None:
    """DVC sees the damage, has the stage run, and would then link its own copy, which is the same file."""
    os.truncate(run / "out/file", 1)
    os.truncate(run / "out/store/b", 1)
    dvc(run, "repro", "-q", "--force")
    assert (run / "out/file").read_bytes() == b"f", "so does DVC alone"
    distrust_copies(run, "two@r9")
    dvc(run, "repro", "-q", "--force")
    assert (run / "out/file").read_bytes() == b"f"
    distrust_copies(run, "one")
    dvc(run, "repro", "-q", "--force")
    assert ((run / "out/file").read_bytes(), (run / "out/store/b").read_bytes()) == (b"first\n", b"a\n")


def test_a_stage_that_dvc_has_started_compares_what_it_reads(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    ran = []

    @stage("seed")
    @click.option("--given", type=PATH)
    def script(params: SimpleNamespace, given: Path) -> None:
        ran.append(given)

    def call() -> Result:
        return CliRunner().invoke(script, ["--params", str(DEFAULT), "--given", "out/file"])

    turn_a_bit(run / "out/file")
    assert call().exit_code == 0, "by hand"
    monkeypatch.setenv("DVC_STAGE", "three")
    done = call()
    assert (done.exit_code, len(ran)) == (1, 1)
    assert "Error: out/file: damaged, or changed by hand" in done.output
    dvc(run, "repro", "-q")
    assert (call().exit_code, len(ran)) == (0, 2)


def test_the_note_of_a_constant_stage_is_compared_by_all(run: Path, default_params: Params) -> None:
    turn_a_bit(run / "out/note")
    refuse_changed(run, default_params, "zero", [])
    with pytest.raises(InputError, match=r"^out/note: damaged"):
        refuse_changed(run, default_params, "three", [])
    dvc(run, "repro", "-q")
    refuse_changed(run, default_params, "three", [])


def test_of_rounds_that_are_no_more_nothing_is_said(run: Path, default_params: Params) -> None:
    (run / "out/other").unlink()
    (run / "out/other").write_text("third\n", "utf-8")
    refuse_changed(run, default_params, "three", [Path("out")])
    rounds = default_params.rounds | {"r9": default_params.rounds["r1"]}
    with pytest.raises(InputError, match="out/other"):
        refuse_changed(run, default_params.model_copy(update={"rounds": rounds}), "three", [Path("out")])


def test_what_is_not_there_is_for_others_to_say(tmp_path: Path, run: Path, default_params: Params) -> None:
    refuse_changed(tmp_path, default_params, "three", [Path("out")])
    shutil.copy(run / "dvc.lock", tmp_path)
    refuse_changed(tmp_path, default_params, "three", [Path("out")])


def test_digests_are_dvcs(run: Path) -> None:
    lock = (run / "dvc.lock").read_text("utf-8")
    assert all(dvc_digest(run / out) in lock for out in ("out/file", "out/store"))
