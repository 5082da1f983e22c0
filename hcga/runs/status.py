"""What the pipeline is doing, in words: the stage that runs, how far it is, what is still to do and for how long."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hcga.params import Params
from hcga.runs.busy import Busy
from hcga.runs.runlog import FOLDER, Finished, Reading, Run, RunLog
from hcga.runs.staleness import changed_since
from hcga.runs.workspace import Workspace
from hcga.wording import counted, duration

LABEL = 11  # columns that a line's first words take
LISTED = 4  # stages named in a line
EXPERIMENTS = [f".dvc/tmp/exps/{depth}/{FOLDER}" for depth in ("*", "*/*")]  # logs of checkouts that DVC makes


def still_stands(run: Run, due: Collection[str], workspace: Workspace) -> bool:
    """Whether what ended a run is still to be mended: its stage is due, and what it reads is as it was then.

    DVC may have taken what the stage writes from its cache in the meantime, of which the log knows nothing.
    """
    return run.stage in due and not changed_since(workspace, run.stage, run.noted)


def describe_runs(log: Reading, due: Sequence[str], params: Params, dvc: Busy | None = None) -> list[str]:
    """Lines for a person: what runs, has failed or was cut short, and what is to do after that.

    Parameters
    ----------
    log : Reading
        Without ends of runs that are no news any more, see `still_stands`.
    due : sequence of str
        Stages that are not up to date, see `hcga.runs.due.due_stages`.
    params : Params
        Its rounds say how many epochs a training has.
    dvc : Busy, optional
        A process of DVC that is at work.
    """
    lines = [line for run in log.running for line in _running(run, log, params)]
    lines += [_ended(run, log.at) for run in log.ended]
    if dvc and not log.running:
        lines.append(_busy(dvc))
    if not lines:
        lines.append(_idle(log))
    return [*lines, _to_do(due, log, params, bool(dvc))]


def describe_experiments(root: Path) -> list[str]:
    """A line for each stage that runs in a checkout that DVC has made below this one, as of `dvc exp run --temp`."""
    lines = []
    for folder in sorted(log for pattern in EXPERIMENTS for log in root.glob(pattern)):
        for run in RunLog(folder.parent).read().running:
            lines.append(_line("elsewhere", f"{run.stage} in {folder.parent.relative_to(root)}: `hcga status` there"))
    return lines


def describe_leftovers(workspace: Workspace) -> list[str]:
    """A line for what a stage that died has kept of a round or data set that params.yaml does not have any more.

    Nobody comes back to it unless the round does.
    """
    known: set[str] = {"init", *workspace.params.rounds, *workspace.params.datasets}
    lines = []
    for output in sorted(workspace.outputs()):
        before, _, after = Path(output).name.partition("${key}")
        for kept in sorted((workspace.root / output).parent.glob(f".{before}*{after}.*part")) if after else []:
            key = kept.name.removeprefix(f".{before}").rpartition(f"{after}.")[0]
            if key not in known and not kept.match("*.lock.part"):
                name, size = kept.relative_to(workspace.root), _megabytes(kept)
                lines.append(_line("left over", f"{name}, {size:.0f} MB, of {key}: `rm -r {name}` if that is no more"))
    return lines


def _megabytes(path: Path) -> float:
    """What a file, or a folder with all below it, takes."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file()) / 1e6


def _running(run: Run, log: Reading, params: Params) -> list[str]:
    where = f" on {run.host}, last heard of {duration(log.at - run.noted)} ago" if run.elsewhere else ""
    left = seconds_left(run, log.finished, params, log.at)
    about = "" if left is None else f", about {duration(left)} left"
    loops = [_line("", f"{level.what}: {level.done} of {counted(level.total, level.unit)}") for level in run.levels]
    return [_line("running", f"{run.stage}{where}, {duration(log.at - run.began)} so far{about}"), *loops]


def _ended(run: Run, now: float) -> str:
    ago = f"{duration(now - run.noted)} ago"
    if run.error:
        return _line("failed", f"{run.stage}, {ago}: {run.error}")
    return _line("cut short", f"{run.stage}, last heard of {ago}: its process {run.pid} is gone")


def _busy(dvc: Busy) -> str:
    what = "it compares or stores files, or a stage is starting"
    return _line("busy", f"{dvc.command} (process {dvc.pid}) is at {dvc.path}: {what}")


def _idle(log: Reading) -> str:
    if not log.finished:
        return _line("idle", "no stage has run here yet")
    last = list(log.finished.values())[-1]
    ago, took = duration(log.at - last.ended), duration(last.seconds)
    return _line("idle", f"no stage runs; the last, {last.stage}, ended {ago} ago and took {took}")


def _to_do(due: Sequence[str], log: Reading, params: Params, busy: bool) -> str:
    running = {run.stage for run in log.running}
    waiting = [stage for stage in due if stage not in running]
    if not waiting:
        return _line("to do", "nothing after that" if running else "nothing: all stages are up to date")
    expected = [expected_seconds(stage, log.finished, params) for stage in waiting]
    known = [seconds for seconds in expected if seconds is not None]
    about = "about" if len(known) == len(waiting) else "more than"
    time = f": {about} {duration(sum(known))}" if known else ""
    return _line("to do", f"{_listed(waiting)}{time}{'' if running or busy else '; `dvc repro` does it'}")


def seconds_left(run: Run, finished: Mapping[str, Finished], params: Params, now: float) -> float | None:
    """Seconds that a stage still takes: as `expected_seconds` tells, or by its own speed once a tenth of it is done.

    None if nothing is known, or it takes longer than expected.
    """
    passed = now - run.began
    if run.share > 0.1:
        return passed / run.share - passed
    expected = expected_seconds(run.stage, finished, params)
    return None if expected is None or expected < passed else expected - passed


def expected_seconds(stage: str, finished: Mapping[str, Finished], params: Params) -> float | None:
    """What a stage should take by its last run, or by that of another round; None if neither is known.

    A training goes by its number of epochs, then and now.
    """
    verb = stage.partition("@")[0]
    alike = [run for run in finished.values() if run.stage.partition("@")[0] == verb]
    if not alike:
        return None
    last = finished.get(stage, alike[-1])
    then = _epochs(last.stage, params) if last.epochs is None else last.epochs
    return last.seconds * _epochs(stage, params) / max(1, then)


def _epochs(stage: str, params: Params) -> int:
    """Epochs of a training; 1 of anything else."""
    verb, _, name = stage.partition("@")
    if verb != "train" or name not in params.rounds:
        return 1
    this = params.rounds[name]
    return this.until_epoch - (params.rounds[this.prev].until_epoch if this.prev in params.rounds else 0)


def _listed(stages: Sequence[str]) -> str:
    if len(stages) <= LISTED:
        return ", ".join(stages)
    return f"{', '.join(stages[: LISTED - 1])}, ..., {stages[-1]} ({len(stages)} stages)"


def _line(label: str, text: str) -> str:
    """A line whose label stands in a column of its own, as do further lines of the text."""
    return f"{label:{LABEL}}{text}".replace("\n", f"\n{'':{LABEL}}")
