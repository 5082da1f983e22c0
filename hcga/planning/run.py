"""The last run of a checkout, as `hcga.planning.scaling` wants it: from its log, dvc.lock, figures and sample table."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd
import torch

from hcga.coparsing.memory import WORKER, hcnet_bytes, isp_bytes
from hcga.coparsing.sources import POOLED
from hcga.cores import available_cores
from hcga.errors import InputError
from hcga.figures import read_metrics
from hcga.masks.parts import STRIDE
from hcga.params import Params
from hcga.planning.rates import identity_seconds, pair_seconds
from hcga.planning.scaling import FREELY, Ran, Rates, Shape, Size, scale, together
from hcga.runs.environment import environment
from hcga.runs.runlog import RunLog
from hcga.runs.workspace import Workspace
from hcga.samples import count_splits, identities, read_samples

MB = 2**20
LEAST_IMAGES = 300  # of training, to scale up by more than FREELY
LEFT_OUT = {"synthesise"}  # of data sets of one's own there is nothing to draw
ON_DEVICES = ("extract", "coparse", "train", "embed")
UNFORESEEN = {
    "rerank": "compares queries and gallery with each other, all with all",
    "multi_query": "has all images at the queries' cameras in memory",
}
REMEDY = "run `dvc repro` here first, on a part of the data or on the synthetic people, with the network to be used"


class Measured(NamedTuple):
    """A run."""

    size: Size
    largest: int  # images of a training identity
    ran: dict[str, Ran]
    devices: dict[str, str]  # on which stages computed that may use a GPU: cpu, cuda or mps, and the processor's name
    threads: int  # with which it trained
    processes: int  # likewise

    def on_gpus(self, stage: str) -> bool:
        """Whether a stage computed on GPUs, of which there may have been several."""
        return self.devices.get(stage, "").startswith("cuda")


def measured_run(workspace: Workspace) -> Measured:
    """Read what the last run of a checkout took.

    Raises
    ------
    InputError
        A stage has not run here, so that its time is not known, or nobody knows by how many workers or on what device.
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
    metrics = workspace.path("evaluate", "metrics", list(workspace.params.rounds)[-1])
    trained = read_metrics(metrics).get("run", {})
    if "device" not in trained:
        raise InputError(f"{metrics}: does not say on what the training ran; {REMEDY}")
    devices = {stage: trained.get(stage, {}).get("device", trained["device"]) for stage in ON_DEVICES}
    if workspace.params.coparse.source != "hcnet":
        del devices["coparse"]
    processes = int(trained.get("processes", 1))
    shared = {"train": processes if devices["train"].startswith("cuda") else None}
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
    samples = read_samples(workspace.path("prepare", "samples"))
    return Measured(
        measured_size(samples),
        max(map(len, identities(samples).values())),
        {stage: together(runs) for stage, runs in rounds.items()},
        devices,
        int(trained.get("threads", 0)),
        processes,
    )


def _verb(stage: str) -> str:
    return stage.partition("@")[0]


def _is_present(workspace: Workspace, stage: str) -> bool:
    """Whether params.yaml still has the round or data set of a stage."""
    key = stage.partition("@")[2]
    return not key or key in workspace.params.rounds or key in workspace.params.datasets


def measured_size(samples: pd.DataFrame) -> Size:
    """Count images and identities of a sample table."""
    of = {counts.split: counts for counts in count_splits(samples)}
    return Size(of["train"].images, of["train"].identities, of["query"].images, of["gallery"].images)


def shape_of(workspace: Workspace) -> Shape:
    """What params.yaml says of the size of images and network."""
    params = workspace.params
    pixels = params.image.height * params.image.width
    classified = params.backbone.channels * (params.part_classes + 1)  # image, foreground and each part
    epochs = list(params.rounds.values())[-1].until_epoch
    group = params.train.images
    return Shape(
        pixels, params.part_classes, pixels // STRIDE**2, classified, params.train.identities * group, group, epochs
    )


def plan(workspace: Workspace, measured: Measured, wanted: Size, devices: int | None = None) -> pd.DataFrame:
    """Scale the last run of a checkout up; see `hcga.planning.scaling.scale`.

    Returns
    -------
    DataFrame
        As of that, and with `workers`, bytes of memory of all workers of a stage.

    Raises
    ------
    InputError
        As of that, the run was of too few images or on another machine, or something of `UNFORESEEN` is asked
        for.
    """
    params, shape, size = workspace.params, shape_of(workspace), measured.size
    for name, why in UNFORESEEN.items():
        if getattr(params.evaluate, name):
            raise InputError(f"evaluate.{name}: {why}, which is not foreseen; for a plan set it to false")
    if size.train < LEAST_IMAGES and wanted.train > FREELY * size.train:
        raise InputError(
            f"{workspace.root}: the last run was of {size.train} training images, which says little of "
            f"{wanted.train:,}; {REMEDY}, {LEAST_IMAGES} images at least"
        )
    device = _same_device(measured.devices["train"])
    rates = Rates(
        pair_seconds(params.backbone.channels, params.part_classes - 1, params.evaluate),
        identity_seconds(shape.classified, shape.batch, device, measured.threads or torch.get_num_threads()),
    )
    table = scale(measured.ran, size, wanted, shape, rates, devices)
    table.insert(2, "workers", 0.0)
    if "coparse" in table.index and not measured.on_gpus("coparse"):
        larger = (wanted.train / wanted.identities) / (size.train / size.identities)
        table.loc["coparse", "workers"] = worker_bytes(params, math.ceil(larger * measured.largest), wanted.identities)
    return table


def _same_device(trained: str) -> torch.device:
    """Find the device of a run here, as what is timed on another says nothing of it."""
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = {environment(device).device: device for device in map(torch.device, kinds) if kinds[device.type]}
    if trained not in here:
        raise InputError(
            f"the last run trained on {trained}, and here there is {' and '.join(here)}, which says nothing of what "
            "more identities cost there; plan on the machine of the run"
        )
    return here[trained]


def worker_bytes(params: Params, images: int, count: int) -> float:
    """Bytes of memory that co-parsing's workers take at most, each with an identity of some images, of `count`."""
    coparse = params.coparse
    if coparse.source not in POOLED:
        return 0.0
    height, width = params.image.height, params.image.width
    features = (params.backbone.channels, height // STRIDE, width // STRIDE)
    if coparse.source == "isp":
        of_image = isp_bytes(features)
    else:
        of_image = hcnet_bytes((3, height, width) if coparse.input == "rgb" else features)
    return min(coparse.workers or available_cores(), count) * (WORKER + images * of_image)
