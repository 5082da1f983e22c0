"""Which images the set consists of: who, where, when; nothing is drawn here."""

from dataclasses import dataclass

import numpy as np

from hcga.datasets.synthetic.seeds import DISTRACTOR, Role, generator

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
SCENES = 2
"""Scenes, and so sequences, of each camera."""

STEP = 25
"""Frames between two images of a sequence."""


@dataclass(frozen=True)
class Shot:
    """One image to be made.

    Parameters
    ----------
    folder : str
        `TRAIN`, `QUERY` or `GALLERY`.
    pid : int
        Identity number in the file name; 0 for distractors.
    person : int
        Number that the person's looks are drawn from: the pid, or a number of its own for a distractor.
    camera, sequence : int
        Counted from 1.
    frame : int
        Frame number in the file name.
    index : int
        Place of the image in its sequence, from 0.
    box : int
        Detection number in the file name.
    """

    folder: str
    pid: int
    person: int
    camera: int
    sequence: int
    frame: int
    index: int
    box: int

    @property
    def stem(self) -> str:
        """File name without its ending, as Market-1501 writes it."""
        return f"{self.pid:04d}_c{self.camera}s{self.sequence}_{self.frame:06d}_{self.box:02d}"


def plan_set(
    *,
    seed: int,
    train_identities: int,
    test_identities: int,
    images_per_identity: int,
    cameras: int,
    distractors: int,
) -> list[Shot]:
    """List all images of a set.

    Training identities have even numbers and test identities odd ones, so that the number of one kind does
    not change the other. See `hcga.datasets.synthetic.synthesise` for the parameters.
    """
    shots: list[Shot] = []
    for i in range(train_identities):
        shots += _identity(seed, 2 * i + 2, images_per_identity, cameras, train=True)
    for i in range(test_identities):
        shots += _identity(seed, 2 * i + 1, images_per_identity, cameras, train=False)
    return shots + [_distractor(seed, i, cameras) for i in range(distractors)]


def _identity(seed: int, pid: int, images: int, cameras: int, train: bool) -> list[Shot]:
    """List the images of one identity: one sequence at each camera that sees it."""
    rng = generator(seed, Role.PLAN, pid)
    most = min(cameras, images // 2)
    views = min(int(rng.choice([2, 3, 4], p=(0.15, 0.45, 0.40))), most)
    seen = sorted(int(c) + 1 for c in rng.permutation(cameras)[:views])
    shots: list[Shot] = []
    for rank, camera in enumerate(seen):
        frames = images // views + (rank < images % views)
        shots += _sequence(generator(seed, Role.PLAN, pid, camera), pid, camera, frames, train)
    return shots


def _sequence(rng: np.random.Generator, pid: int, camera: int, frames: int, train: bool) -> list[Shot]:
    sequence, start = int(rng.integers(SCENES)) + 1, int(rng.integers(90_000))
    asked = int(rng.integers(2**16)) % frames
    boxes = rng.integers(1, 5, frames)
    folders = [TRAIN if train else QUERY if i == asked else GALLERY for i in range(frames)]
    return [Shot(folders[i], pid, pid, camera, sequence, start + STEP * i, i, int(boxes[i])) for i in range(frames)]


def _distractor(seed: int, number: int, cameras: int) -> Shot:
    rng = generator(seed, Role.PLAN, DISTRACTOR + number)
    camera, sequence = int(rng.integers(cameras)) + 1, int(rng.integers(SCENES)) + 1
    return Shot(GALLERY, 0, DISTRACTOR + number, camera, sequence, STEP * number, 0, int(rng.integers(1, 5)))
