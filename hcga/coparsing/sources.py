"""Where part masks come from (Table VI): HCNet, or what it is compared with, all behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from hcga.coparsing.batches import cuda_devices, label_in_batches, memory_of_batches
from hcga.coparsing.identity import Labelling, label_identity, require_finite
from hcga.coparsing.inputs import Input, settings_of
from hcga.coparsing.isp import cluster_identity
from hcga.coparsing.labels import reassign_labels
from hcga.coparsing.losses import adjacent_pairs
from hcga.coparsing.memory import hcnet_bytes, isp_bytes
from hcga.coparsing.pool import map_identities
from hcga.errors import InputError
from hcga.masks.parts import UNLABELLED, downsample
from hcga.params import Coparse
from hcga.runs.environment import Environment, environment
from hcga.samples import identities

if TYPE_CHECKING:
    from hcga.cluster.workers import Workers


@dataclass(frozen=True)
class Material:
    """What a source may look at."""

    samples: pd.DataFrame  # the arranged sample table
    features: Path  # store of the training images' features
    images: Path  # store of all images
    external: np.ndarray  # (N, h, w) uint8, masks of the training images made elsewhere, UNLABELLED
    params: Coparse
    part_classes: int  # C
    seed: tuple[int, ...]  # (seed, epoch of the features' model)
    device: torch.device
    cluster: Workers | None = None  # whose processor cores take the place of the device
    done: frozenset[int] = frozenset()  # training identities to leave out

    @cached_property
    def environment(self) -> Environment:
        """Of the process that works on an identity, on one thread."""
        if self.cluster:
            return self.cluster.environment
        return environment(self.device).model_copy(update={"threads": 1})

    @property
    def settings(self) -> tuple[object, ...]:
        """What decides the masks, beside the files."""
        params = self.params.model_copy(update={"workers": None})
        return params, self.part_classes, self.seed, self.environment, self.batch_memory

    @cached_property
    def batch_memory(self) -> int | None:
        """Bytes that a batch of identities may take on each GPU; None where HCNet has them one by one, on cores."""
        on_gpus = self.params.source == "hcnet" and self.device.type == "cuda" and self.cluster is None
        return memory_of_batches(cuda_devices()) if on_gpus else None

    @cached_property
    def rows_of(self) -> dict[int, np.ndarray]:
        """Rows of each training identity that is not done."""
        return {pid: rows for pid, rows in identities(self.samples).items() if pid not in self.done}

    @cached_property
    def camids(self) -> np.ndarray:
        """Camera of each image, (N,) int64."""
        return self.samples["camid"].to_numpy()


class Parsed(NamedTuple):
    """What a source says of one identity's n images."""

    masks: np.ndarray  # (n, h, w) uint8, 0 background, 1..C-1 parts, UNLABELLED
    labels: np.ndarray  # (n, h, w) uint8, what the source had before parts were assigned; else the masks
    account: dict[str, Any]  # how it came to them: further columns of the per-identity table
    warnings: tuple[str, ...]


Source = Callable[[Material], Iterator[tuple[int, Parsed]]]


def hcnet(material: Material) -> Iterator[tuple[int, Parsed]]:
    """HCNet and CPLR (III-B). On cuda devices many identities are trained at once, else one on each processor core."""
    params, cluster = settings_of(material.params), material.cluster
    rgb = params.input == "rgb"
    source = Input(material.images, "images") if rgb else Input(material.features, "features")
    if material.batch_memory is not None:
        every = identities(material.samples), material.camids
        found = label_in_batches(
            source, *every, params, material.seed, cuda_devices(), material.batch_memory, material.done
        )
    else:
        work = partial(label_identity, params=params, seed=material.seed)
        found = map_identities(work, source, material.rows_of, material.camids, params.workers, hcnet_bytes, cluster)
    for pid, labelling in found:
        labels = downsample(labelling.labels) if rgb else labelling.labels
        masks = reassign_labels(labels, material.part_classes, params.background, params.split, params.borders)
        yield pid, Parsed(masks, labels, *_account(labelling, material.camids[material.rows_of[pid]], params))


def _account(labelling: Labelling, camids: np.ndarray, params: Coparse) -> tuple[dict[str, Any], tuple[str, ...]]:
    account = {"iterations": labelling.iterations, "labels_left": labelling.labels_left}
    unpaired = params.back_weight > 0 and not adjacent_pairs(torch.from_numpy(camids), params.pairs).any()
    return account, ("no pair of images for the background loss",) if unpaired else ()


def isp(material: Material) -> Iterator[tuple[int, Parsed]]:
    """Cascaded k-means, on processor cores."""
    work = partial(_cluster, part_classes=material.part_classes, seed=material.seed)
    source = Input(material.features, "features")
    workers, cluster = material.params.workers, material.cluster
    for pid, masks in map_identities(work, source, material.rows_of, material.camids, workers, isp_bytes, cluster):
        yield pid, Parsed(masks, masks, {}, ())


def _cluster(pid: int, _: np.ndarray, values: np.ndarray, part_classes: int, seed: tuple[int, ...]) -> np.ndarray:
    require_finite(values, pid)
    return cluster_identity(values, part_classes, (*seed, pid))


def external(material: Material) -> Iterator[tuple[int, Parsed]]:
    """Masks made by another parser; images of which it has none stay unlabelled."""
    if (material.external == UNLABELLED).all():
        raise InputError(
            "coparse.source is external, but there is no mask made elsewhere of any training image; set external.root "
            "to where they are"
        )
    for pid, rows in material.rows_of.items():
        yield pid, Parsed(material.external[rows], material.external[rows], {}, ())


def stripes(material: Material) -> Iterator[tuple[int, Parsed]]:
    """C - 1 horizontal bands of equal height, some of them a row shorter where it does not come out even."""
    height, width = material.external.shape[1:]
    bands = 1 + (np.arange(height) + 1) * (material.part_classes - 1) // (height + 1)
    mask = np.broadcast_to(bands.astype(np.uint8)[:, None], (height, width))
    for pid, rows in material.rows_of.items():
        masks = np.broadcast_to(mask, (len(rows), height, width))
        yield pid, Parsed(masks, masks, {}, ())


def none(material: Material) -> Iterator[tuple[int, Parsed]]:
    """No masks at all: the baseline without parsing."""
    for pid, rows in material.rows_of.items():
        unlabelled = np.full_like(material.external[rows], UNLABELLED)
        yield pid, Parsed(unlabelled, unlabelled, {}, ())


POOLED = ("hcnet", "isp")  # those that map_identities
SOURCES: dict[str, Source] = {"hcnet": hcnet, "isp": isp, "external": external, "stripes": stripes, "none": none}
