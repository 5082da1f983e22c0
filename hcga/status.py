"""What the pipeline is doing, in words: the stage that runs, how far it is, what is still to do and for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hcga.params import Params
from hcga.progress import counted, duration
from hcga.runlog import Finished, Run

LABEL = 11  # columns that a line's first words take
LISTED = 4  # stages named in a line
BETWEEN = 15  # seconds that DVC and the start of a stage may take between two stages


def describe_runs(
    runs: Sequence[Run], finished: Mapping[str, Finished], due: Sequence[str], params: Params, now: float
) -> list[str]:
    """Lines for a person: what runs, has failed or was cut short, and what is to do after that.

    Parameters
    ----------
    runs : sequence of Run
        One that failed or was cut short is left out if its stage has become up to date since.
    finished : mapping of str to Finished
        The last whole run of each stage, the latest last.
    due : sequence of str
        Stages that are not up to date, see `hcga.due.due_stages`.
    params : Params
        Its rounds say how many epochs a training has.
    now : float
        Seconds since the epoch.
    """
    lines = []
    for run in runs:
        if run.alive:
            lines += _running(run, finished, params, now)
        elif run.stage in due:
            lines.append(_ended(run, now))
    if not lines:
        lines.append(_idle(finished, due, now))
    return [*lines, _to_do(due, {run.stage for run in runs if run.alive}, finished, params)]


def _running(run: Run, finished: Mapping[str, Finished], params: Params, now: float) -> list[str]:
    where = f" on {run.host}, last heard of {duration(now - run.noted)} ago" if run.elsewhere else ""
    left = seconds_left(run, finished, params, now)
    about = "" if left is None else f", about {duration(left)} left"
    loops = [_line("", f"{level.what}: {level.done} of {counted(level.total, level.unit)}") for level in run.levels]
    return [_line("running", f"{run.stage}{where}, {duration(now - run.began)} so far{about}"), *loops]


def _ended(run: Run, now: float) -> str:
    ago = f"{duration(now - run.noted)} ago"
    if run.error:
        return _line("failed", f"{run.stage}, {ago}: {run.error}")
    return _line("cut short", f"{run.stage}, last heard of {ago}: its process {run.pid} is gone")


def _idle(finished: Mapping[str, Finished], due: Sequence[str], now: float) -> str:
    if not finished:
        return _line("idle", "no stage has run here yet")
    last = list(finished.values())[-1]
    ago, took = duration(now - last.ended), duration(last.seconds)
    soon = "; if `dvc repro` runs, the next one begins soon" if due and now - last.ended < BETWEEN else ""
    return _line("idle", f"no stage runs; the last, {last.stage}, ended {ago} ago and took {took}{soon}")


def _to_do(due: Sequence[str], running: set[str], finished: Mapping[str, Finished], params: Params) -> str:
    waiting = [stage for stage in due if stage not in running]
    if not waiting:
        return _line("to do", "nothing after that" if running else "nothing: all stages are up to date")
    expected = [expected_seconds(stage, finished, params) for stage in waiting]
    known = [seconds for seconds in expected if seconds is not None]
    about = "about" if len(known) == len(waiting) else "more than"
    time = f": {about} {duration(sum(known))}" if known else ""
    return _line("to do", f"{_listed(waiting)}{time}{'' if running else '; `dvc repro` does it'}")


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
    """What a stage should take by its last run or by the same stage of another round; None if neither is known.

    A training of another round goes by its number of epochs.
    """
    if stage in finished:
        return finished[stage].seconds
    verb = stage.partition("@")[0]
    alike = [other for other in finished if other.partition("@")[0] == verb]
    if not alike:
        return None
    return finished[alike[-1]].seconds * _epochs(stage, params) / max(1, _epochs(alike[-1], params))


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
