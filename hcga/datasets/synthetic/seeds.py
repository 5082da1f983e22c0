"""Independent random generators, one for each thing that is drawn."""

from enum import IntEnum

import numpy as np


class Role(IntEnum):
    """What a generator is used for: a number that keeps the streams apart."""

    IDENTITY = 1
    CAMERA = 2
    SCENE = 3
    PLAN = 4
    SEQUENCE = 5
    IMAGE = 6
    OCCLUSION = 7


DISTRACTOR = 100_000
"""Person numbers from here on are distractors, who have no identity number of their own."""

STRANGER = 10_000_000
"""Person numbers from here on are passers-by, who are never the subject of an image."""


def generator(seed: int, role: Role, *keys: int) -> np.random.Generator:
    """Return the generator of one thing, the same whatever else is drawn before it.

    Parameters
    ----------
    seed : int
        Seed of the whole set, not negative.
    role : Role
        What is drawn.
    *keys : int
        Which one of these: person, camera, frame; not negative.
    """
    return np.random.default_rng([seed, int(role), *keys])
