"""What the pipeline is doing: the stage that runs, how far it is, what is still to come and for how long."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hcga.params import Params
from hcga.runlog import Finished, Run


class Outlook(NamedTuple):
    """Seconds that are left, as far as earlier runs tell."""

    of_stage: float | None  # of the stage that runs
    of_rest: float | None  # of the stages after it, those whose time is known
    unknown: int  # how many of them have none


def estimate(run: Run, stages: Sequence[str], finished: Mapping[str, Finished], params: Params, now: float) -> Outlook:
    """Estimate what is left of a run of the pipeline.

    Parameters
    ----------
    run : Run
        The stage that runs.
    stages : sequence of str
        All stages in the order of the pipeline.
    finished : mapping of str to Finished
        The last whole run of each.
    params : Params
        Its rounds say how many epochs a training has.
    now : float
        Seconds since the epoch.

    Returns
    -------
    Outlook
        A stage takes what it took last, or what it took in another round; training by its epochs. Once a tenth of it
        is done its own speed counts. Stages after it that have nothing to do are counted all the same. None where
        nothing is known.
    """
    passed = now - run.began
    if run.share > 0.1:
        left: float | None = passed / run.share - passed
    else:
        expected = expected_seconds(run.stage, finished, params)
        left = None if expected is None else max(0.0, expected - passed)
    following = stages[stages.index(run.stage) + 1 :] if run.stage in stages else []
    known = [expected_seconds(stage, finished, params) for stage in following]
    rest = [seconds for seconds in known if seconds is not None]
    return Outlook(left, sum(rest) if rest else None, len(known) - len(rest))


def expected_seconds(stage: str, finished: Mapping[str, Finished], params: Params) -> float | None:
    """What a stage should take by its last run or by the same stage of another round; None if neither is known."""
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


def describe_runs(
    runs: Sequence[Run], finished: Mapping[str, Finished], stages: Sequence[str], params: Params
) -> list[str]:
    """Lines for a person: what runs or was cut short, how far it is, and what comes then."""
    lines = []
    for run in runs:
        passed = duration(time.time() - run.began)
        if run.error:
            lines.append(f"failed     {run.stage}: {run.error}")
            continue
        if not run.alive:
            lines.append(f"cut short  {run.stage}: its process {run.pid} is gone; `dvc repro` begins it again")
            continue
        outlook = estimate(run, stages, finished, params, time.time())
        left = "" if outlook.of_stage is None else f", about {duration(outlook.of_stage)} left"
        lines.append(f"running    {run.stage}, {passed} so far{left}")
        lines += [
            f"           {level.what}: {level.done} of {level.total} {_plural(level.unit)}" for level in run.levels
        ]
        following = stages[stages.index(run.stage) + 1 :] if run.stage in stages else []
        if following:
            lines.append(f"then       {_listed(following)}{_rest(outlook)}")
    if not lines and finished:
        last = list(finished.values())[-1]
        ago, took = duration(time.time() - last.ended), duration(last.seconds)
        lines.append(f"idle       {last.stage} was the last stage to run, {ago} ago; it took {took}")
    return lines or ["idle       no stage has run here yet; `dvc repro` runs them"]


def _rest(outlook: Outlook) -> str:
    if outlook.of_rest is None:
        return ""
    about = "more than" if outlook.unknown else "about"
    return f": {about} {duration(outlook.of_rest)} if none is up to date"


def _listed(stages: Sequence[str]) -> str:
    if len(stages) <= 4:
        return ", ".join(stages)
    return f"{', '.join(stages[:3])}, ..., {stages[-1]} ({len(stages)} stages)"


def _plural(unit: str) -> str:
    return {"identity": "identities", "batch": "batches"}.get(unit, f"{unit}s")


def duration(seconds: float) -> str:
    """Seconds in words, to two units: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = round(seconds)
    for size, name, smaller, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {small_name}"
    return f"{whole} s"
