"""The last run of a checkout, scaled up: seconds, memory and disk of each stage for a data set of another size.

Seconds of a stage, less what it takes whatever its data, grow with one number of images; two terms of which a small run
shows nothing, pairs of images to rank and identities to classify, are added by `hcga.planning.rates`. Bytes on the disk
are those of what stages have written. Memory is that of the run and what grows with the data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import pandas as pd

from hcga.errors import InputError
from hcga.training_set import HELD_BYTES


class Size(NamedTuple):
    """How large a data set is."""

    train: int  # images
    identities: int  # of them
    query: int
    gallery: int

    @property
    def images(self) -> int:
        """All of them."""
        return self.train + self.query + self.gallery


class Shape(NamedTuple):
    """What decides how many bytes an image or an identity takes."""

    pixels: int  # of an image, height times width
    cells: int  # of a mask
    classified: int  # dimensions of all features that are classified, together
    batch: int  # images
    group: int  # of them of an identity, K
    epochs: int  # over all rounds


class Ran(NamedTuple):
    """What a stage took in the run that is scaled, its rounds together."""

    seconds: float
    peak: float  # bytes, of its process
    written: float  # bytes
    times: int  # how often it ran
    devices: int | None = None  # that shared its work; None for a stage that one alone does


class Rates(NamedTuple):
    """Of `hcga.planning.rates`."""

    pair: float  # seconds a query and gallery image
    identity: float  # seconds an identity and training step


def _drawn(size: Size, shape: Shape) -> int:
    """Images of an epoch of training: an identity with fewer than K draws K all the same, see `hcga.sampling`."""
    return max(size.train, size.identities * shape.group)


#: By which number of images a stage's seconds and bytes grow; those of others do not.
GROWS: dict[str, Callable[[Size, Shape], int]] = {
    "catalogue": lambda size, _: size.images,
    "prepare": lambda size, _: size.images,
    "translate": lambda size, _: size.train,
    "extract": lambda size, _: size.train,
    "coparse": lambda size, _: size.train,
    "train": _drawn,
    "embed": lambda size, _: size.images,
    "evaluate": lambda size, _: size.images,
}
#: Seconds that a stage takes whatever its data, once its modules are there; `python benchmarks/planning.py` fits them.
START = {"catalogue": 0.2, "prepare": 0.3, "extract": 0.8, "coparse": 2.5, "train": 1.0, "embed": 0.8, "evaluate": 0.2}
MASKS = {
    "translate": 3,
    "coparse": 6,
    "train": 1,
    "evaluate": 3,
}  # how many masks of each training image are in memory at once
QUERY = 2  # times its vectors, that a query has in memory: as they are, and scaled
TABLE = 1000  # bytes of memory an image, of the sample table and its copies
FLOAT, PIXEL = 4, 3  # bytes
WITH_ADAM, IN_TRAINING = 3, 4  # times the weights: with two moments on the disk, and gradients in memory
HEAVY = ("extract", "coparse", "train", "embed")
LEAST = 0.5  # of their seconds must be beyond the start, where they are to be scaled by more than
FREELY = 3.0


def scale(
    ran: Mapping[str, Ran], before: Size, wanted: Size, shape: Shape, rates: Rates, devices: int = 1
) -> pd.DataFrame:
    """Scale a run up.

    Parameters
    ----------
    ran : mapping
        Stage, such as `train`, to what it took.
    before, wanted : Size
        Of the data set that it took that for, and of another.
    shape : Shape
    rates : Rates
    devices : int
        That share the work of those stages that can, each as fast as that of the run.

    Returns
    -------
    DataFrame
        A row a stage, with `seconds`, and bytes of `memory` and `disk`.

    Raises
    ------
    InputError
        There are more identities than images, or a stage's seconds are of its start alone.
    """
    if wanted.identities > wanted.train:
        raise InputError(f"--identities: {wanted.identities:,} of {wanted.train:,} images; give fewer, or more images")
    identities = wanted.identities - before.identities
    weights = FLOAT * shape.classified * identities  # of more classifiers
    rows = {}
    for stage, took in ran.items():
        ratio = GROWS[stage](wanted, shape) / GROWS[stage](before, shape) if stage in GROWS else 1.0
        start = min(took.seconds, START.get(stage, 0.0) * took.times)
        if took.seconds - start < LEAST * took.seconds:
            if stage in HEAVY and ratio > FREELY:
                raise InputError(
                    f"{stage}: of the {took.seconds:.1f} s that it took in the last run {start:.1f} are its start, "
                    f"which says nothing of {ratio:,.0f} times the images; run `dvc repro` on more of the data first"
                )
            start = 0.0  # rather too much than too little
        share = devices if took.devices else 1
        seconds = start + (took.seconds - start) * ratio * (took.devices or 1) / share
        memory = took.peak + MASKS.get(stage, 0) * shape.cells * (wanted.train - before.train)
        memory += TABLE * (wanted.images - before.images) if stage in GROWS else 0
        disk = took.written * ratio
        if stage == "evaluate":
            pairs = wanted.query * wanted.gallery - before.query * before.gallery
            seconds += took.times * rates.pair * pairs
            memory += QUERY * FLOAT * shape.classified * (wanted.query - before.query)
        if stage == "train":
            steps = shape.epochs * _drawn(wanted, shape) / shape.batch
            seconds += steps * rates.identity * identities / share
            memory += IN_TRAINING * weights + _held(wanted, shape) - _held(before, shape)
            disk = took.written + took.times * WITH_ADAM * weights
        rows[stage] = {
            "seconds": seconds,
            "memory": max(memory, took.peak),
            "disk": max(disk, 0.0),
        }
    return pd.DataFrame(rows).T


def _held(size: Size, shape: Shape) -> int:
    """Bytes of the images that a training keeps in memory."""
    held = size.train * shape.pixels * PIXEL
    return held if held <= HELD_BYTES else 0


def together(runs: Collection[Ran]) -> Ran:
    """Add up the rounds of a stage."""
    seconds, peaks, written, times, devices = zip(*runs, strict=True)
    return Ran(sum(seconds), max(peaks), sum(written), sum(times), devices[0])
