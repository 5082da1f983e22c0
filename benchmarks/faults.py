"""Faults injected into a small run of the pipeline: after each, `dvc repro` must come to the same bytes or say why not.

    python benchmarks/faults.py --work /somewhere --kills 4 --table faults.csv

Runs in a clone with a tiny params.yaml and smaller steps (see faulty.py), on Linux, without root or a GPU. Stages run
without DVC where that does not matter.

    survived   the next `dvc repro` ends with the bytes of an undisturbed run: all files of data/ save the page, and
               dvc.lock; no scratch is left
    refused    it ends with an error message and no traceback, and the `dvc repro` after that ends with those bytes;
               a dvc.lock that DVC calls invalid is deleted before
    wrong      all else, also a full disk that is not named, a traceback on the way, or a stage that does not go on from
               all that it had kept when it was stopped; WORK/wrong keeps what was said
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import NamedTuple

import click
import pandas as pd
from damage import DAMAGES, cached, damage
from faulty import CUT_OFF, OF_DVC, OF_STAGES, Done, Pipeline, remove
from looking import LOOKS, ROUND, STATUS, Onlooker

from hcga.runs.stage import PATH

VERDICTS = ["survived", "refused", "wrong"]
STORING = 1.0  # seconds after a stage for which DVC stores what it has written
FULL = "no space left"  # what a message on a full disk must say
WRITES = {
    "full": "disk full from the k-th write on",
    "filling": "disk full in the middle of the k-th write",
    "size": "no file may grow beyond n bytes",
    "cut": "power cut before the k-th write",
    "torn": "power cut at the k-th write, half of the data lost",
}
SAID = 4096  # bytes that what a stage says may take: its log too may not grow then
SEED = 1  # of params.yaml
LOOKED_AT = f"coparse@{ROUND}"
RESUMING = ("prepare", "extract", "coparse", "train", "embed")


class Outcome(NamedTuple):
    """What came of a fault."""

    stage: str
    fault: str
    verdict: str
    text: str = ""


Faults = Iterator[Outcome]


def judge(pipeline: Pipeline, stage: str, fault: str, done: Done) -> Outcome:
    """Compare with the undisturbed run, after one more `dvc repro` if the last run was refused."""
    refused, text = "", done.text
    if done.code:
        if not done.clear:
            return Outcome(stage, fault, "wrong", text)
        if CUT_OFF in done.text:
            remove(pipeline.root / "dvc.lock")
        again = pipeline.repro()
        refused, text = "refused", f"{text}\n--- again\n{again.text}"
        if again.code:
            return Outcome(stage, fault, "wrong", text)
    if differences := pipeline.differences():
        return Outcome(stage, fault, "wrong", f"{differences}\n{text}")
    return Outcome(stage, fault, refused or "survived", text)


def heard(stage: str, fault: str, done: Done, wanted: str = "") -> Faults:
    """What is said when a fault meets a stage: wrong if it is a traceback, or lacks what is wanted."""
    if "Traceback" in done.text or wanted not in done.text:
        yield Outcome(stage, f"{fault}: what is said", "wrong", done.text)


def kills(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Stop each stage's script at any moment, often once more while it goes on from there."""
    for stage in pipeline.stages:
        for fault, act in OF_STAGES.items():
            for _ in range(count):
                pipeline.restore(stage, forgotten=False)
                for _ in range(rng.randint(1, 2)):
                    moment = rng.uniform(0, pipeline.seconds[stage])
                    stopped = pipeline.interrupt(pipeline.fork, stage, moment, act)
                    yield from heard(stage, fault, stopped)
                kept = pipeline.kept(stopped)
                done = pipeline.fork(stage).end()
                yield from heard(stage, f"{fault}, work lost", done, kept)
                yield judge(pipeline, stage, fault, done)


def dvc_kills(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Stop `dvc repro`, alone or with the stage that it runs, also while it stores what the stage has written."""
    for stage in pipeline.stages * ceil(count / 4):
        for fault, act in OF_DVC.items():
            pipeline.restore(stage)
            moment = rng.uniform(0, pipeline.seconds[stage] + STORING)
            yield from heard(stage, fault, pipeline.interrupt(pipeline.start, stage, moment, act))
            yield judge(pipeline, stage, fault, pipeline.repro(stage))


def workers(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Kill one of co-parsing's workers."""
    for _ in range(count):
        pipeline.restore("coparse@r2", forgotten=False)
        done = pipeline.kill_worker("coparse@r2", rng)
        again = pipeline.fork("coparse@r2").end() if done.code and done.clear else done
        yield judge(pipeline, "coparse", "SIGKILL of a worker", again)


def writes(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Have the disk full, or the power go, at one of a stage's writes."""
    for stage in pipeline.stages:
        total = pipeline.count(stage)
        largest = max(
            (pipeline.root / file).stat().st_size for out in pipeline.outs(stage) for file in pipeline.files(out)
        )
        for kind, fault in WRITES.items():
            for _ in range(count if kind != "size" or largest > SAID else 0):
                setting = rng.randrange(SAID, largest) if kind == "size" else rng.randint(1, total)
                pipeline.restore(stage, forgotten=False)
                failed = pipeline.fork(stage, kind, str(setting)).end()
                full = kind in ("full", "filling", "size") and failed.code != 0
                yield from heard(stage, fault, failed, FULL if full else "")
                yield judge(pipeline, stage, fault, pipeline.fork(stage).end())


def scratches(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Damage what a killed stage has kept."""
    for stage in (name for name in pipeline.stages if name.partition("@")[0] in RESUMING):
        total = pipeline.count(stage)
        for _ in range(3 * count):
            pipeline.restore(stage, forgotten=False)
            pipeline.fork(stage, "cut", str(rng.randint(total // 3, total))).end()
            if kept := [file for file in pipeline.scratch() if file.stat().st_size]:
                kind = rng.choice(list(DAMAGES))
                damage(rng.choice(kept), kind, True, rng)
                yield judge(pipeline, stage, f"{kind} in scratch", pipeline.fork(stage).end())


def damages(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Damage what a stage is about to read: a file of the checkout, which is the same as that of DVC's cache."""
    for out in pipeline.read() * ceil(count / 4):
        reader, kind, seen = rng.choice(pipeline.readers(out)), rng.choice(list(DAMAGES)), rng.random() < 0.3
        pipeline.restore(reader)
        pipeline.look()
        damage(pipeline.root / rng.choice(pipeline.files(out)), kind, seen, rng)
        fault = f"{kind} in {out.parts[1]}{'' if seen else ', its time as before'}"
        yield judge(pipeline, reader, fault, pipeline.repro())


def caches(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Damage DVC's copy of an output that is to be taken from the cache."""
    for out in pipeline.read() * ceil(count / 4):
        reader, kind = rng.choice(pipeline.readers(out)), rng.choice(list(DAMAGES))
        pipeline.restore(reader)
        copy = cached(pipeline.root, pipeline.root / rng.choice(pipeline.files(out)))
        if copy.is_file():  # figures are for Git
            remove(pipeline.root / out)
            damage(copy, kind, False, rng)
            yield judge(pipeline, reader, f"{kind} in DVC's copy of {out.parts[1]}", pipeline.repro())


def meetings(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Run the same twice at once."""
    for stage in rng.sample(pipeline.stages, min(count, len(pipeline.stages))):
        for fault, start in {"two dvc repro": pipeline.start, "its script by hand twice": pipeline.by_hand}.items():
            pipeline.restore(stage)
            both = [start(stage), start(stage)]
            for done in [run.end() for run in both]:
                yield from heard(stage, f"{fault} at once", done)
            yield judge(pipeline, stage, f"{fault} at once", pipeline.repro())


def looks(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Look at masks while others take their place: what is shown was there, or is there then, or is refused."""
    pipeline.restore()
    with Onlooker(pipeline) as onlooker:
        for number in range(1, count + 1):
            before, meanwhile = onlooker.look_at_all(), []
            pipeline.change("seed", SEED + number)
            run = pipeline.start(LOOKED_AT)
            while run.alive:
                name = rng.choice(LOOKS)
                meanwhile.append((name, onlooker.look(name)))
            yield from heard(LOOKED_AT, "a run that is looked at", run.end())
            with Onlooker(pipeline) as newcomer:
                after = newcomer.look_at_all()
            if same := [name for name in LOOKS if name != STATUS and before[name] == after[name]]:
                raise SystemExit(f"{', '.join(same)}: other params show the same, so that looking says nothing")
            for name, looked in [*meanwhile, *onlooker.look_at_all().items()]:
                good = looked.clear if looked.code else name == STATUS or looked in (before[name], after[name])
                yield Outcome(LOOKED_AT, f"hcga {name} meanwhile", "survived" if good else "wrong", looked.text)
    pipeline.restore(LOOKED_AT)
    yield judge(pipeline, LOOKED_AT, "a run after those that were looked at", pipeline.repro())


FAMILIES: dict[str, Callable[[Pipeline, random.Random, int], Faults]] = {
    family.__name__: family
    for family in (kills, writes, scratches, workers, dvc_kills, damages, caches, meetings, looks)
}


def summary(outcomes: list[Outcome]) -> pd.DataFrame:
    """Count outcomes: a row a stage and fault, rounds taken together."""
    table = pd.DataFrame(outcomes)
    table["stage"] = table["stage"].str.partition("@")[0]
    counts = table.groupby(["fault", "stage"], sort=False)["verdict"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=VERDICTS, fill_value=0)
    counts.insert(0, "injected", counts.sum(axis=1))
    return counts.reset_index()


@click.command()
@click.option("--work", type=PATH, required=True, help="Folder for the clone and what went wrong.")
@click.option(
    "--kills", "count", default=2, show_default=True, help="Times that a fault meets a stage; a quarter with DVC."
)
@click.option("--seed", default=1, show_default=True)
@click.option("--only", type=click.Choice(list(FAMILIES)), multiple=True, help="Some families of faults; default all.")
@click.option("--again", is_flag=True, help="Go by the undisturbed run that is in WORK already.")
@click.option("--table", type=PATH, help="CSV to write.")
def main(work: Path, count: int, seed: int, only: tuple[str, ...], again: bool, table: Path | None) -> None:
    """Inject faults and print how each stage came out; exit with 1 if anything was wrong."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell has in the background ignore is inherited
    pipeline = Pipeline(work, again)
    outcomes: list[Outcome] = []
    for family in only or FAMILIES:
        for outcome in FAMILIES[family](pipeline, random.Random(f"{seed} {family}"), count):
            outcomes.append(outcome)
            click.echo(f"{outcome.stage}, {outcome.fault}: {outcome.verdict}", err=True)
            if outcome.verdict == "wrong":
                kept = work / "wrong" / f"{family}-{len(outcomes)}.txt"
                kept.parent.mkdir(exist_ok=True)
                kept.write_text(f"{outcome.stage}, {outcome.fault}\n{outcome.text}", "utf-8")
            if table:
                summary(outcomes).to_csv(table, index=False)
    counts = summary(outcomes)
    rows = [list(counts.columns), ["---"] * counts.shape[1], *counts.to_numpy().tolist()]
    click.echo("\n".join(f"| {' | '.join(map(str, row))} |" for row in rows))
    raise SystemExit(int(counts["wrong"].any()))


if __name__ == "__main__":
    main()
