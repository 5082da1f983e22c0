"""Faults injected into a small run of the pipeline: after each, `dvc repro` must come to the same bytes or say why not.

    python benchmarks/faults.py --work /somewhere --kills 4 --table faults.csv

Runs in a clone with a tiny params.yaml and smaller steps (see faulty.py), on Linux, without root or a GPU.

    survived   the next `dvc repro` ends with the bytes of an undisturbed run: all files of data/ save the page, and
               dvc.lock; no scratch is left
    refused    it ends with an error message and no traceback, and the `dvc repro` after that ends with those bytes
    wrong      all else, also a full disk that is not named, or a traceback on the way; WORK/wrong keeps what was said
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pandas as pd
from damage import DAMAGES, cached, damage
from faulty import GROUP, LOOKS, SIGNALS, Done, Pipeline, remove

from hcga.stage import PATH

VERDICTS = ["survived", "refused", "wrong"]
STORING = 1.0  # seconds after a stage in which DVC stores what it has written
FULL = "no space left"  # what a message on a full disk must say
WRITES = {
    "full": "disk full from the k-th write on",
    "size": "no file may grow beyond n bytes",
    "cut": "power cut before the k-th write",
    "torn": "power cut at the k-th write, half of the data lost",
}
RESUMING = ("prepare", "extract", "coparse", "train", "embed")


class Outcome(NamedTuple):
    """What came of a fault."""

    stage: str
    fault: str
    verdict: str
    text: str = ""


Faults = Iterator[Outcome]


def judge(pipeline: Pipeline, stage: str, fault: str, done: Done) -> Outcome:
    """Compare with the undisturbed run, after one more run if the last was refused."""
    refused, text = "", done.text
    if done.code:
        if not done.clear:
            return Outcome(stage, fault, "wrong", text)
        again = pipeline.repro()
        refused, text = "refused", f"{text}\n--- again\n{again.text}"
        if again.code:
            return Outcome(stage, fault, "wrong", text)
    if differences := pipeline.differences():
        return Outcome(stage, fault, "wrong", f"{differences}\n{text}")
    return Outcome(stage, fault, refused or "survived", text)


def kills(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Stop each stage by each signal, often once more while it goes on from there."""
    for stage in pipeline.stages:
        for fault, act in SIGNALS.items():
            for _ in range(count):
                pipeline.restore(stage)
                said = []
                for _ in range(rng.randint(1, 2)):
                    last = pipeline.seconds[stage] + STORING * (fault == GROUP)
                    said.append(pipeline.interrupt(stage, rng.uniform(0, last), act))
                yield judge(pipeline, stage, fault, pipeline.repro(stage))
                yield from (
                    Outcome(stage, f"{fault}: what is said", "wrong", done.text)
                    for done in said
                    if fault != GROUP and "Traceback" in done.text
                )


def workers(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Kill one of co-parsing's workers."""
    for stage in ("coparse@r1", "coparse@r2") * count:
        pipeline.restore(stage)
        done = pipeline.kill_worker(stage, rng)
        yield judge(pipeline, stage, "SIGKILL of a worker", pipeline.repro(stage) if done.clear else done)


def writes(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Have the disk full, or the power go, at one of a stage's writes."""
    for stage in pipeline.stages:
        pipeline.restore(stage)
        note = pipeline.root.parent / "count"
        pipeline.repro(stage, f"{stage} count {note}")
        total = int(note.read_text("utf-8"))
        largest = max(file.stat().st_size for out in pipeline.outs(stage) for file in pipeline.files(out))
        for kind, fault in WRITES.items():
            for _ in range(count):
                setting = rng.randrange(largest) if kind == "size" else rng.randint(1, total)
                pipeline.restore(stage)
                failed = pipeline.repro(stage, f"{stage} {kind} {setting}")
                yield judge(pipeline, stage, fault, pipeline.repro(stage))
                if kind in ("full", "size") and failed.code and not (failed.clear and FULL in failed.text):
                    yield Outcome(stage, f"{fault}: what is said", "wrong", failed.text)


def damages(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Damage what a stage is about to read: a file of the checkout, which is the same as that of DVC's cache."""
    for out in pipeline.read():
        for number in range(count):
            reader, kind = rng.choice(pipeline.readers(out)), rng.choice(list(DAMAGES))
            pipeline.restore(reader)
            pipeline.look()  # DVC knows the time and size of all files
            file = pipeline.root / rng.choice(pipeline.files(out))
            damage(file, kind, number % 2 == 0, rng)
            told = "" if number % 2 == 0 else ", size or time as before"
            yield judge(pipeline, reader, f"{kind} in {out.parts[1]}{told}", pipeline.repro())


def caches(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Damage DVC's copy of an output that is to be taken from the cache."""
    for out in pipeline.read():
        for _ in range(count):
            reader, kind = rng.choice(pipeline.readers(out)), rng.choice(list(DAMAGES))
            pipeline.restore(reader)
            file = pipeline.root / rng.choice(pipeline.files(out))
            copy = cached(pipeline.root, file)
            if not copy.is_file():
                continue  # figures are for Git
            remove(pipeline.root / out)
            damage(copy, kind, False, rng)
            yield judge(pipeline, reader, f"{kind} in DVC's copy of {out.parts[1]}", pipeline.repro())


def scratches(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Damage what a killed stage has kept."""
    for verb in RESUMING:
        stage = next(name for name in pipeline.stages if name.partition("@")[0] == verb)
        for _ in range(3 * count):
            pipeline.restore(stage)
            pipeline.interrupt(stage, rng.uniform(0.3, 1) * pipeline.seconds[stage], SIGNALS["SIGKILL of the stage"])
            kept = [file for file in pipeline.scratch() if file.stat().st_size]
            if not kept:
                continue
            kind = rng.choice(list(DAMAGES))
            damage(rng.choice(kept), kind, True, rng)
            yield judge(pipeline, stage, f"{kind} in scratch", pipeline.repro(stage))


def meetings(pipeline: Pipeline, rng: random.Random, count: int) -> Faults:
    """Run the same twice at once, and look at what is written meanwhile."""
    for stage in pipeline.stages * count:
        pipeline.restore(stage)
        both = [pipeline.start(), pipeline.start()]
        said = [run.end() for run in both]
        unclear = [done for done in said if done.code and not done.clear]
        yield judge(pipeline, stage, "two dvc repro at once", unclear[0] if unclear else pipeline.repro())
        pipeline.restore(stage)
        said = [run.end() for run in pipeline.by_hand(stage, 2)]
        unclear = [done for done in said if done.code and not done.clear]
        yield judge(pipeline, stage, "its script by hand twice at once", unclear[0] if unclear else pipeline.repro())
    pipeline.restore()
    right = {name: pipeline.tool(name) for name in LOOKS}
    for _ in range(count):
        pipeline.restore("extract@r2", "coparse@r2", "train@r2", "embed@r2", "evaluate@r2")
        run = pipeline.start()
        while run.process.poll() is None:
            name = rng.choice(list(LOOKS))
            looked = pipeline.tool(name)
            good = looked.clear if looked.code else looked.text == right[name].text or not LOOKS[name].same
            yield Outcome("(all)", f"hcga {name} meanwhile", "survived" if good else "wrong", looked.text)
        yield judge(pipeline, "(all)", "hcga looks meanwhile: the run", run.end())


FAMILIES: dict[str, Callable[[Pipeline, random.Random, int], Faults]] = {
    family.__name__: family for family in (kills, workers, writes, damages, caches, scratches, meetings)
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
@click.option("--kills", "count", default=2, show_default=True, help="Times that each fault meets each stage or file.")
@click.option("--seed", default=1, show_default=True)
@click.option("--only", type=click.Choice(list(FAMILIES)), multiple=True, help="Some families of faults; default all.")
@click.option("--table", type=PATH, help="CSV to write.")
def main(work: Path, count: int, seed: int, only: tuple[str, ...], table: Path | None) -> None:
    """Inject faults and print how each stage came out; exit with 1 if anything was wrong."""
    pipeline = Pipeline(work)
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
