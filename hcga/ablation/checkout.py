"""Where an ablation runs: a clone of the user's repository beside it, which shares DVC's cache.

The user's own files stay as they are, whatever runs, and may be edited meanwhile. The clone is kept from run to run:
stages whose outputs DVC does not take from its run cache (`persist: true`) need not run again, and a stage that was
interrupted goes on from its own scratch. `dvc exp run --temp` would make a new folder for each run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from hcga.ablation.experiments import reference
from hcga.ablation.params_file import write_values
from hcga.ablation.variants import Variant
from hcga.errors import InputError
from hcga.files import fresh
from hcga.git import git

PATIENCE = 60  # seconds that an interrupted run has to end


class Checkout:
    """The clone.

    Parameters
    ----------
    user : Path
        The user's checkout, where dvc.yaml stands.
    folder : Path
        Of the clone; made if it is not there.
    commit : str
        HEAD of the user's repository, which is checked out.
    template : str
        Text of a params.yaml whose comments the runs' own keep.
    lock : file
        A locked file, see `alone_in`; runs hold it too, should they outlive this process.
    """

    def __init__(self, user: Path, folder: Path, commit: str, template: str, lock: IO[str]) -> None:
        self.root, self._user, self._commit, self._template, self._lock = folder, user, commit, template, lock
        if git(user, "rev-parse", "--show-prefix").strip():
            raise InputError(f"{user} lies below the top of its Git repository; make it a repository of its own")
        if not folder.exists():
            with fresh(folder) as draft:
                git(user, "clone", "--quiet", "--no-checkout", str(user), str(draft))
        self._check_out()
        self._share_settings()

    def _check_out(self) -> None:
        """Check the commit out; what DVC knows of the outputs that lie here stays."""
        lock = self.root / "dvc.lock"
        known = lock.read_bytes() if lock.is_file() else None
        git(self.root, "fetch", "--quiet", str(self._user), "HEAD")
        git(self.root, "checkout", "--quiet", "--force", "--detach", self._commit)
        if known:
            lock.write_bytes(known)

    def _share_settings(self) -> None:
        """Let Git and DVC here have the user's settings, and DVC the user's cache."""
        for name in ("user.name", "user.email"):  # DVC wants to know whose an experiment is
            value = git(self._user, "config", "--default", "", "--get", name).strip()
            if value:
                git(self.root, "config", name, value)
        config, own = self._user / ".dvc" / "config.local", self.root / ".dvc" / "config.local"
        if config.is_file():
            shutil.copy(config, own)
        cache = _dvc(self._user, "cache", "dir").strip()
        _dvc(self.root, "config", "--local", "cache.dir", str(Path(self._user, cache).resolve()))

    def run(self, variant: Variant, log: Path) -> bool:
        """Run a variant as an experiment and hand that to the user's repository.

        Parameters
        ----------
        variant : Variant
        log : Path
            What DVC and the stages print is added to it.

        Returns
        -------
        bool
            Whether it ran to its end.

        Raises
        ------
        KeyboardInterrupt
            It was interrupted; its processes have ended.
        """
        self._forget_experiments()
        write_values(self._template, variant.values, self.root / "params.yaml")
        command = [sys.executable, "-m", "dvc", "exp", "run", "--name", variant.name]
        with log.open("a", encoding="utf-8") as file:
            if run_logged(command, self.root, file, self._lock):
                return False
        name = reference(variant.name, self._commit)
        git(self._user, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(self.root), f"{name}:{name}")
        return True

    def _forget_experiments(self) -> None:
        """Remove what is in the user's repository by now, and what an interrupted run has left."""
        for name in git(self.root, "for-each-ref", "--format=%(refname)", "refs/exps").split():
            git(self.root, "update-ref", "-d", name)


@contextmanager
def alone_in(folder: Path, command: str = "hcga ablate") -> Iterator[IO[str]]:
    """Lock a folder in which a command works: a second ablation there would change the params of the first.

    Raises
    ------
    InputError
        It is locked.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another `{command}` runs in this checkout; wait until it is done, or stop it") from None
        yield file


def _environment(root: Path) -> dict[str, str]:
    """Variables under which the stages run with this Python and the `hcga` of their own commit."""
    first = {"PATH": Path(sys.executable).parent, "PYTHONPATH": root}
    return os.environ | {
        name: os.pathsep.join(filter(None, [str(path), os.environ.get(name, "")])) for name, path in first.items()
    }


def _dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, env=_environment(root), capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{root}: dvc {arguments[0]} says: {done.stderr.strip()}")
    return done.stdout


def run_logged(
    command: list[str], root: Path, log: IO[str], lock: IO[str], variables: Mapping[str, str] | None = None
) -> int:
    """Run a command in a process group of its own, which ends with this process, and return its exit status."""
    process = subprocess.Popen(
        command,
        cwd=root,
        env=_environment(root) | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=[lock.fileno()],
    )
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGINT)
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        finally:  # also when Ctrl-C comes again
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise
