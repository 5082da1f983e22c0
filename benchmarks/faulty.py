"""A small pipeline under faults: stopped, damaged, run again, and compared with an undisturbed run, byte by byte."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil
from ruamel.yaml import YAML
from runs import DVC, Checkout, environment

from hcga.files import read_note
from hcga.runs.runlog import FOLDER, RunLog
from hcga.training.resuming import STATE
from hcga.wording import counted

TINY = {
    "device": "cpu",
    "synthetic": {
        "seed": 3,
        "train_identities": 6,
        "test_identities": 4,
        "images_per_identity": 6,
        "cameras": 2,
        "height": 64,
        "width": 32,
        "distractors": 4,
        "query_occlusion": 0.9,
        "other_occlusion": 0.15,
    },
    "image": {"height": 64, "width": 32},
    "backbone.name": "mobilenetv3_small_050",
    "backbone.weights": "none",
    "backbone.channels": 16,
    "coparse.iterations": 12,
    "coparse.workers": 2,
    "train.identities": 2,
    "train.images": 2,
    "train.warmup_epochs": 1,
    "train.milestones": [3],
    "rounds": {"r1": {"prev": "init", "until_epoch": 2}, "r2": {"prev": "r1", "until_epoch": 4}},
}
# So that a run of seconds does all that one of hours does: several states of a training, several shards of a store.
SMALL_STEPS = {
    "hcga/training/resuming.py": ("SECONDS = 60.0", "SECONDS = 0.2"),
    "hcga/network/inference.py": ("BATCH = 64\nBATCHES = 64", "BATCH = 4\nBATCHES = 1"),
    "hcga/preparation.py": ("BLOCK = 256", "BLOCK = 8"),
    "hcga/store_writing.py": ("SHARD_BYTES = 64 * 2**20", "SHARD_BYTES = 64 * 2**10"),
}
CHANGING = ("data", ".dvc", ".hcga", "dvc.lock", "params.yaml")  # what a run, or `Pipeline.change`, changes in a clone
CUT_OFF = "'./dvc.lock' "  # is invalid, or validation failed: killed while it wrote that, DVC leaves a part of it
TOLD = ("Error: ", "ERROR: ", CUT_OFF)  # by stages, by DVC
PATIENCE = 3600.0  # seconds for a run, far more than it takes


class Done(NamedTuple):
    """A run that has ended."""

    code: int
    text: str

    @property
    def clear(self) -> bool:
        """Whether it said what is wrong, and did not spill its inside."""
        return any(told in self.text for told in TOLD) and "Traceback" not in self.text


class Running:
    """A command in the clone, in a group of processes of its own."""

    def __init__(self, root: Path, command: list[str]) -> None:
        self._root, self._log = root, root.parent / f"{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=root, env=variables(root), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def end(self) -> Done:
        """Wait for its end."""
        code = self._process.wait(PATIENCE)
        return Done(code, taken(self._log))

    def stage(self, name: str) -> psutil.Process | None:
        """Wait until a stage that it runs is at work; its process, None if it ends before."""
        note, script = self._root / FOLDER / f"{name}.json", f"pipeline/{name.partition('@')[0]}.py"
        while self.alive:
            if note.is_file():
                for process in psutil.Process(self.pid).children(recursive=True):
                    if script in process.cmdline()[1:2]:
                        return process
            time.sleep(0.002)
        return None


class Forked:
    """The script of a stage, without DVC; see forking.py."""

    def __init__(self, root: Path, server: subprocess.Popen[str], stage: str, command: str, fault: list[str]) -> None:
        self._note, self._log = root / FOLDER / f"{stage}.json", root.parent / f"{time.monotonic_ns()}.log"
        _, *arguments = shlex.split(command)
        job = {"root": str(root), "log": str(self._log), "stage": stage, "command": arguments, "fault": fault}
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        self._answers: IO[str] = server.stdout
        self.pid = int(self._answers.readline())

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return psutil.pid_exists(self.pid)

    def end(self) -> Done:
        """Wait for its end."""
        return Done(int(self._answers.readline()), taken(self._log))

    def stage(self, _: str) -> psutil.Process | None:
        """Wait until it is at work; its process, None if it ends before."""
        while self.alive:
            if self._note.is_file():
                return psutil.Process(self.pid)
            time.sleep(0.001)
        return None


Act = Callable[["Running | Forked", psutil.Process], object]


def variables(root: Path) -> dict[str, str]:
    """What holds for all that runs in a clone."""
    settings = {"OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root.parent / "site")}
    return {**environment(root), **settings}


def taken(log: Path) -> str:
    """Read a log, and remove it."""
    text = log.read_text("utf-8", errors="replace")
    log.unlink()
    return text


class Pipeline:
    """The pipeline in a clone, as an undisturbed run has left it.

    Parameters
    ----------
    work : Path
        Folder for the clone.
    again : bool
        Whether to go by the undisturbed run that is there; else what is there is removed.
    """

    def __init__(self, work: Path, again: bool) -> None:
        self.root, self._whole = work / "hcga", work / "whole"
        if not again:
            self._run(work)
        self._entries = read_lock(self._whole)
        self.restore()
        self.wanted = self.outputs()
        self.seconds = {name: run.seconds for name, run in RunLog(self.root).finished().items()}
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forking.py"))],
            env=variables(self.root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        self._server.stdout.readline()  # it has loaded all of the clone's modules

    def _run(self, work: Path) -> None:
        """Make the clone and the undisturbed run."""
        shutil.rmtree(self.root, ignore_errors=True)
        Checkout(work).set_params(TINY)
        for name, (text, smaller) in SMALL_STEPS.items():
            file = self.root / name
            code = file.read_text("utf-8")
            if text not in code:
                raise SystemExit(f"{name}: {text!r} is not there any more; mend SMALL_STEPS")
            file.write_text(code.replace(text, smaller), "utf-8")
        done = self.repro()
        if done.code:
            raise SystemExit(done.text)
        shutil.rmtree(self._whole, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.root), str(self._whole)], check=True)  # links into the cache stay links

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in the order in which they ran, those of the last round for all rounds."""
        last = {name.partition("@")[0]: name for name in self.seconds}
        return list(last.values())

    def outs(self, stage: str) -> list[Path]:
        """What a stage writes, below the root."""
        return [Path(out["path"]) for out in self._entries[stage]["outs"]]

    def read(self) -> list[Path]:
        """What stages write and others read."""
        return [out for stage in self.stages for out in self.outs(stage) if self.readers(out) and self.files(out)]

    def readers(self, out: Path) -> list[str]:
        """Stages that read an output, or the folder in which it lies."""
        return [
            name
            for name, entry in self._entries.items()
            if any(out.is_relative_to(dep["path"]) for dep in entry["deps"])
        ]

    def restore(self, *undone: str, forgotten: bool = True) -> None:
        """Have all as the undisturbed run has left it, but for some stages, which have yet to run.

        Unless they are forgotten DVC believes that they have run, which is right for `fork`.
        """
        for name in CHANGING:
            remove(self.root / name)
        kept = [str(self._whole / name) for name in CHANGING]
        subprocess.run(["cp", "-a", *kept, str(self.root)], check=True)  # together, as files of data/ may be links
        shutil.rmtree(self.root / ".dvc/cache/runs")
        for stage in undone:
            for out in self.outs(stage):
                remove(self.root / out)
        if undone and forgotten:  # else DVC takes them from its cache
            left = {name: entry for name, entry in self._entries.items() if name not in undone}
            YAML(typ="safe").dump({"schema": "2.0", "stages": left}, self.root / "dvc.lock")

    def files(self, out: Path) -> list[Path]:
        """Files of an output of the undisturbed run that hold something, below the root."""
        path = self._whole / out
        files = sorted(file for file in (path, *path.rglob("*")) if file.is_file() and file.stat().st_size)
        return [file.relative_to(self._whole) for file in files]

    def scratch(self) -> list[Path]:
        """Files that stages have kept for the next run."""
        return [file for file in sorted((self.root / "data").rglob("*")) if file.is_file() and ".part" in str(file)]

    def kept(self, stopped: Done) -> str:
        """What the next run of a stage must say if it goes on from all that one had kept when it was stopped."""
        if said := re.search("kept after (.*)", stopped.text):
            return f"going on after {said[1]}"
        files = self.scratch()
        identities = sum(re.fullmatch("[0-9]+-[0-9a-f]{32}", file.name) is not None for file in files)
        if identities:
            return f"going on after {counted(identities, 'identity')}"
        notes = [read_note(file) for file in files if file.suffix == ".note" and file.with_suffix("").exists()]
        rows = any(int(re.findall("[0-9]+", note)[0]) for note in notes if note)
        return "going on after" if rows or any(STATE.fullmatch(file.parent.name) for file in files) else ""

    def look(self) -> None:
        """Have DVC look at all files and note their times and sizes."""
        Running(self.root, [DVC, "status", "-q"]).end()

    def by_hand(self, stage: str) -> Running:
        """Start the script of a stage as somebody who types its command."""
        return Running(self.root, ["sh", "-c", self._entries[stage]["cmd"]])

    def change(self, key: str, value: int) -> None:
        """Change one of the params, until `restore`."""
        Checkout(self.root.parent).set_params({**TINY, key: value})

    def start(self, stage: str = "") -> Running:
        """Start `dvc repro`, or that of one stage alone, which is faster."""
        return Running(self.root, [DVC, "repro", *(["--single-item", stage] if stage else [])])

    def repro(self, stage: str = "") -> Done:
        """Run `dvc repro` to its end."""
        return self.start(stage).end()

    def fork(self, stage: str, *fault: str) -> Forked:
        """Start the script of a stage without DVC, with a fault of inject.py if told."""
        return Forked(self.root, self._server, stage, self._entries[stage]["cmd"], list(fault))

    def count(self, stage: str) -> int:
        """How often a stage writes, as inject.py counts."""
        self.restore(stage, forgotten=False)
        note = self.root.parent / "count"
        self.fork(stage, "count", str(note)).end()
        return int(note.read_text("utf-8"))

    def interrupt(self, start: Callable[[str], Running | Forked], stage: str, moment: float, act: Act) -> Done:
        """Start, do something to a stage at a moment, earlier if it ends before that, and wait for the end."""
        while True:
            (self.root / FOLDER / f"{stage}.json").unlink(missing_ok=True)  # of one that was killed before
            run = start(stage)
            process = run.stage(stage)
            time.sleep(moment)
            try:
                if process and run.alive:
                    act(run, process)
                    return run.end()
            except (psutil.NoSuchProcess, ProcessLookupError):
                pass
            run.end()
            moment /= 2
            self.restore(stage, forgotten=start == self.start)

    def kill_worker(self, stage: str, rng: random.Random) -> Done:
        """Run, and kill one of co-parsing's workers at a random moment."""

        def act(_: Running | Forked, process: psutil.Process) -> None:
            while not (workers := [one for one in process.children(recursive=True) if is_worker(one)]):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, self.seconds[stage] / 2))
            rng.choice(workers).kill()

        return self.interrupt(self.fork, stage, 0, act)

    def outputs(self) -> dict[str, str]:
        """Digests of all that stages have written, without the page, which shows run times."""
        data = self.root / "data"
        found = {str(file.relative_to(data)): file for file in sorted(data.rglob("*")) if file.is_file()}
        found.pop("report/index.html", None)
        return {name: hashlib.md5(file.read_bytes()).hexdigest() for name, file in found.items()}

    def differences(self) -> list[str]:
        """Files of data/, and stages of dvc.lock, that are not as in the undisturbed run, or too many."""
        return sorted(
            {*differing(self.wanted, self.outputs()), *differing(self._entries, read_lock(self.root))} - {"report"}
        )


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> set[str]:
    """Keys of which two mappings do not have the same."""
    return {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}


def read_lock(root: Path) -> dict[str, Any]:
    """Stages of dvc.lock."""
    stages: dict[str, Any] = YAML(typ="safe").load(root / "dvc.lock")["stages"]
    return stages


def is_worker(process: psutil.Process) -> bool:
    """Whether a process is one that co-parsing's process server has forked."""
    parent = process.parent()
    return parent is not None and "forkserver" in " ".join(parent.cmdline())


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def end_alone(run: Running | Forked, stage: psutil.Process, number: signal.Signals) -> None:
    """End DVC, and wait for its stage, which sees that it has."""
    os.kill(run.pid, number)
    stage.wait(PATIENCE)


OF_STAGES: dict[str, Act] = {
    "SIGKILL of the stage": lambda _, process: process.kill(),
    "SIGTERM of the stage": lambda _, process: process.terminate(),
}
OF_DVC: dict[str, Act] = {
    "SIGKILL of DVC and the stage": lambda run, _: os.killpg(run.pid, signal.SIGKILL),
    "Ctrl-C": lambda run, _: os.killpg(run.pid, signal.SIGINT),
    "SIGKILL of DVC alone": lambda run, process: end_alone(run, process, signal.SIGKILL),
    "SIGTERM of DVC alone": lambda run, process: end_alone(run, process, signal.SIGTERM),
}
