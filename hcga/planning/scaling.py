"""The last run of a checkout, scaled up: seconds, memory and disk of each stage for a data set of another size.

Seconds of a stage, less what it takes whatever its data, grow with one number of images; two terms of which a small run
shows nothing, pairs of images to rank and identities to classify, are added by `hcga.planning.rates`. Bytes on the disk
are those of what stages have written. Memory is that of the run and what grows with the data; co-parsing's workers are
in `hcga.planning.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import pandas as pd

from hcga.errors import InputError
from hcga.resources import mask_copies
from hcga.training.batches import HELD_BYTES


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
    part_classes: int  # C
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
    devices: int | None = None  # GPUs that shared its work; None where it is not known what another number would take


class Rates(NamedTuple):
    """Of `hcga.planning.rates`."""

    pair: float  # seconds a query and gallery image
    identity: float  # seconds an identity and training step


def _drawn(size: Size, shape: Shape) -> int:
    """Images of an epoch: an identity with fewer than K draws K all the same, see `hcga.training.sampling`."""
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
#: Seconds that a stage takes whatever its data, once its modules are there: what `python benchmarks/planning.py --work
#: FOLDER` prints as start, by the default's runs on two cores.
START = {"catalogue": 0.2, "prepare": 0.3, "extract": 0.8, "coparse": 2.5, "train": 1.0, "embed": 0.8, "evaluate": 0.2}
#: How often the weights are: with moments of Adam, gradients, and the bytes of a file that is being read or written.
WEIGHTS = {"initialise": 2, "extract": 2, "train": 6, "embed": 2}
WRITTEN = {"initialise": 1, "train": 3}  # likewise on the disk
BLANK = 1.5  # bytes on the disk an image, of masks and labels that say nothing
QUERY = 2  # times its vectors, that a query has in memory: as they are, and scaled
TABLE = 1000  # bytes of memory an image, of the sample table and its copies
FLOAT, PIXEL = 4, 3  # bytes
HEAVY = ("extract", "coparse", "train", "embed")
LEAST = 0.5  # of their seconds must be beyond the start, where they are to be scaled by more than
FREELY = 3.0
CHECKED = 10.0  # times the images: as far as benchmarks/planning.py compares plans with runs


def scale(
    ran: Mapping[str, Ran], before: Size, wanted: Size, shape: Shape, rates: Rates, devices: int | None = None
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
    devices : int, optional
        GPUs that share the work of a stage that GPUs have shared, each as fast as one of the run; if not given, as many
        as then.

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
    rows = {}
    for stage, took in ran.items():
        ratio = GROWS[stage](wanted, shape) / GROWS[stage](before, shape) if stage in GROWS else 1.0
        share = devices / took.devices if devices and took.devices else 1.0
        rows[stage] = {
            "seconds": _work(stage, took, ratio, share) + _added(stage, took, before, wanted, shape, rates),
            "memory": max(took.peak, took.peak + _memory(stage, before, wanted, shape)),
            "disk": max(0.0, _disk(stage, took, ratio, before, wanted, shape)),
        }
    return pd.DataFrame(rows).T


def _work(stage: str, took: Ran, ratio: float, share: float) -> float:
    """Seconds for `ratio` times the images by `share` times the devices."""
    start = min(took.seconds, START.get(stage, 0.0) * took.times)
    if took.seconds - start < LEAST * took.seconds:
        if stage in HEAVY and ratio > FREELY:
            raise InputError(
                f"{stage}: of the {took.seconds:.1f} s that it took in the last run {start:.1f} are its start, "
                f"which says nothing of {ratio:,.0f} times the images; run `dvc repro` on more of the data first"
            )
        start = 0.0  # rather too much than too little
    return start + (took.seconds - start) * ratio / share


def _added(stage: str, took: Ran, before: Size, wanted: Size, shape: Shape, rates: Rates) -> float:
    """Further seconds for pairs of images, and for more identities, whose classifiers each device has whole."""
    if stage == "evaluate":
        return took.times * rates.pair * (wanted.query * wanted.gallery - before.query * before.gallery)
    if stage == "train":
        steps = shape.epochs * _drawn(wanted, shape) / shape.batch
        return steps * rates.identity * (wanted.identities - before.identities)
    return 0.0


def _memory(stage: str, before: Size, wanted: Size, shape: Shape) -> int:
    """Bytes of memory beyond those of the run."""
    more = mask_copies(stage, shape.part_classes) * shape.cells * (wanted.train - before.train)
    more += WEIGHTS.get(stage, 0) * _weights(before, wanted, shape)
    if stage != "check":
        more += TABLE * (wanted.images - before.images)
    if stage == "train":
        more += _held(wanted, shape) - _held(before, shape)
    if stage == "evaluate":
        more += QUERY * FLOAT * shape.classified * (wanted.query - before.query)
    return more


def _disk(stage: str, took: Ran, ratio: float, before: Size, wanted: Size, shape: Shape) -> float:
    """Bytes on the disk."""
    if stage == "evaluate":  # nearly all of it are lists of what each query finds
        return took.written * wanted.query / before.query
    weights = took.times * WRITTEN.get(stage, 0) * _weights(before, wanted, shape)
    blank = BLANK * (wanted.train - before.train) if stage == "initialise" else 0.0
    return took.written * (1 if stage == "train" else ratio) + weights + blank


def _weights(before: Size, wanted: Size, shape: Shape) -> int:
    """Bytes of the classifiers of more identities."""
    return FLOAT * shape.classified * (wanted.identities - before.identities)


def _held(size: Size, shape: Shape) -> int:
    """Bytes of the images that a training keeps in memory."""
    held = size.train * shape.pixels * PIXEL
    return held if held <= HELD_BYTES else 0


def together(runs: Collection[Ran]) -> Ran:
    """Add up the rounds of a stage."""
    seconds, peaks, written, times, devices = zip(*runs, strict=True)
    return Ran(sum(seconds), max(peaks), sum(written), sum(times), devices[0])
