"""The last run of a checkout, as `hcga.planning.scaling` wants it: from its log, dvc.lock, figures and sample table."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd
import torch

from hcga.errors import InputError
from hcga.figures import read_metrics
from hcga.masks import STRIDE
from hcga.planning.rates import identity_seconds, pair_seconds
from hcga.planning.scaling import FREELY, Ran, Rates, Shape, Size, scale, together
from hcga.runlog import RunLog
from hcga.samples import DISTRACTOR, read_samples
from hcga.workspace import Workspace

MB = 2**20
LEAST_IMAGES = 300  # of training, to scale up by more than FREELY
LEFT_OUT = {"synthesise", "report"}  # of data sets of one's own there is nothing to draw; the page is of the whole run
REMEDY = "run `dvc repro` here first, on a part of the data or on the synthetic people, with the network to be used"


class Measured(NamedTuple):
    """A run."""

    size: Size
    ran: dict[str, Ran]
    device: str  # on which it trained
    threads: int
    processes: int  # likewise


def measured_run(workspace: Workspace) -> Measured:
    """Read what the last run of a checkout took.

    Raises
    ------
    InputError
        A stage has not run here, so that its time is not known, or nobody knows by how many workers.
    """
    if workspace.params.dask:
        raise InputError(
            "dask: how many workers shared the work of the last run is not known; for a plan run with dask: null"
        )
    finished, locked = RunLog(workspace.root).finished(), workspace.locked()
    names = [name for name in locked if _verb(name) not in LEFT_OUT and _is_present(workspace, name)]
    missing = [name for name in names if name not in finished]
    if missing or not names:
        lacking = f"no time is known of {missing[0]}" if missing else "nothing has run here"
        raise InputError(f"{workspace.root}: {lacking}; {REMEDY}")
    last = list(workspace.params.rounds)[-1]
    trained = read_metrics(workspace.path("evaluate", "metrics", last)).get("run", {})
    device, processes = str(trained.get("device", "unknown")), int(trained.get("processes", 1))
    shared = _shared(workspace.params.coparse.source, device, processes)
    rounds: dict[str, list[Ran]] = {}
    for name in names:
        if finished[name].continued:
            raise InputError(
                f"{name}: was stopped before its last run, which then did the rest alone, so that its time says too "
                f"little; `dvc repro -f -s {name}` measures all of it"
            )
        run, written = finished[name], sum(out.get("size", 0) for out in locked[name]["outs"])
        stage = _verb(name)
        rounds.setdefault(stage, []).append(Ran(run.seconds, run.peak_mb * MB, written, 1, shared.get(stage)))
    return Measured(
        measured_size(read_samples(workspace.path("prepare", "samples"))),
        {stage: together(runs) for stage, runs in rounds.items()},
        device,
        int(trained.get("threads", 0)),
        processes,
    )


def _shared(source: str, device: str, processes: int) -> dict[str, int]:
    """Stages whose work devices can share, and how many did: co-parsing by HCNet takes all GPUs that there are."""
    coparsed = max(1, torch.cuda.device_count()) if device.startswith("cuda") else 1
    return {"train": processes} | ({"coparse": coparsed} if source == "hcnet" else {})


def _verb(stage: str) -> str:
    return stage.partition("@")[0]


def _is_present(workspace: Workspace, stage: str) -> bool:
    """Whether params.yaml still has the round or data set of a stage."""
    key = stage.partition("@")[2]
    return not key or key in workspace.params.rounds or key in workspace.params.datasets


def measured_size(samples: pd.DataFrame) -> Size:
    """Count images and identities of a sample table."""
    count = samples["split"].value_counts()
    people = samples.loc[(samples["split"] == "train") & (samples["pid"] > DISTRACTOR), "pid"].nunique()
    return Size(int(count["train"]), int(people), int(count["query"]), int(count["gallery"]))


def shape_of(workspace: Workspace) -> Shape:
    """What params.yaml says of the size of images and network."""
    params = workspace.params
    pixels = params.image.height * params.image.width
    classified = params.backbone.channels * (params.part_classes + 1)  # image, foreground and each part
    epochs = list(params.rounds.values())[-1].until_epoch
    group = params.train.images
    return Shape(pixels, pixels // STRIDE**2, classified, params.train.identities * group, group, epochs)


def plan(workspace: Workspace, measured: Measured, wanted: Size, devices: int) -> pd.DataFrame:
    """Scale the last run of a checkout up; see `hcga.planning.scaling.scale`.

    Raises
    ------
    InputError
        As of that, the run was of too few images, or re-ranking is asked for, whose cost is not foreseen.
    """
    if workspace.params.evaluate.rerank:
        raise InputError(
            "evaluate.rerank: compares queries and gallery with each other, all with all, which is not foreseen; for a "
            "plan set it to false"
        )
    if measured.size.train < LEAST_IMAGES and wanted.train > FREELY * measured.size.train:
        raise InputError(
            f"{workspace.root}: the last run was of {measured.size.train} training images, which says little of "
            f"{wanted.train:,}; {REMEDY}, {LEAST_IMAGES} images at least"
        )
    params, shape = workspace.params, shape_of(workspace)
    device = torch.device("cuda" if measured.device.startswith("cuda") and torch.cuda.is_available() else "cpu")
    rates = Rates(
        pair_seconds(params.backbone.channels, params.part_classes - 1, params.evaluate),
        identity_seconds(shape.classified, shape.batch, device),
    )
    return scale(measured.ran, measured.size, wanted, shape, rates, devices)


def in_proportion(before: Size, train: int, identities: int, query: int | None, gallery: int | None) -> Size:
    """A size whose queries and gallery grow as its training images do, if they are not given."""
    ratio = train / before.train
    return Size(
        train, identities, query or math.ceil(before.query * ratio), gallery or math.ceil(before.gallery * ratio)
    )
