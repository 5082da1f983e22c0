"""Where an ablation runs: a clone of the user's repository beside it, which shares DVC's cache.

The user's own files stay as they are, whatever runs, and may be edited meanwhile. The clone is kept from run to run:
stages whose outputs DVC does not take from its run cache (`persist: true`) need not run again, and a stage that was
interrupted goes on from its own scratch. `dvc exp run --temp` would make a new folder for each run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from hcga.ablation.experiments import reference
from hcga.ablation.variants import Variant
from hcga.errors import InputError
from hcga.files import fresh
from hcga.params_file import write_values
from hcga.runs.commands import environment_of, run_logged
from hcga.runs.git import git


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
        A locked file, see `hcga.runs.commands.alone_in`; runs hold it too, should they outlive this process.
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


def _dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, env=environment_of(root), capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{root}: dvc {arguments[0]} says: {done.stderr.strip()}")
    return done.stdout
