"""What the label numbers of well-known human parsers mean, in our part classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hcga.errors import InputError
from hcga.masks.parts import UNLABELLED, part_names

UNKNOWN = 254  # in a translation: a number of which the mapping says nothing
Meaning = Mapping[str, list[int]]  # of label numbers, by name of the part class, or `unlabelled`
#: Arms belong to the upper body, and so do dresses, jumpsuits, scarves and bags; skirts and shoes to the lower.
PRESETS: dict[str, Meaning] = {
    # Look into Person (Gong et al., CVPR 2017), 20 classes; SCHP's model `lip`.
    "lip": {
        "background": [0],
        "head": [1, 2, 4, 13],  # hat, hair, sunglasses, face
        "upper_body": [3, 5, 6, 7, 10, 11, 14, 15],  # glove, upper clothes, dress, coat, jumpsuit, scarf, arms
        "lower_body": [8, 9, 12, 16, 17, 18, 19],  # socks, trousers, skirt, legs, shoes
    },
    # ATR (Liang et al., T-PAMI 2015), 18 classes; SCHP's model `atr`.
    "atr": {
        "background": [0],
        "head": [1, 2, 3, 11],  # hat, hair, sunglasses, face
        "upper_body": [4, 7, 14, 15, 16, 17],  # upper clothes, dress, arms, bag, scarf
        "lower_body": [5, 6, 8, 9, 10, 12, 13],  # skirt, trousers, belt, shoes, legs
    },
    # PASCAL-Person-Part (Chen et al., CVPR 2014), 7 classes; SCHP's model `pascal`.
    "pascal": {"background": [0], "head": [1], "upper_body": [2, 3, 4], "lower_body": [5, 6]},
    # BodyPix 2.0, 24 parts; its -1, no person, is 255 in an 8-bit image.
    "bodypix": {
        "background": [255],
        "head": [0, 1],  # halves of the face
        "upper_body": list(range(2, 14)),  # arms, hands, torso, front and back
        "lower_body": list(range(14, 24)),  # legs, feet
    },
}


def translation(labels: str | Meaning, part_classes: int) -> np.ndarray:
    """Table from label numbers to part classes.

    Parameters
    ----------
    labels : str or mapping of str to list of int
        `parts` for our own numbers, a key of `PRESETS`, or for each part class its numbers.
    part_classes : int
        C.

    Returns
    -------
    (256,) uint8
        Part class of each number; UNLABELLED, or UNKNOWN where the mapping does not say.

    Raises
    ------
    InputError
        A preset with other part classes than its own, or a mapping with a name that is no part class, without one of
        them, or with a number twice.
    """
    names = part_names(part_classes)
    if isinstance(labels, str) and labels in PRESETS and part_classes != 4:
        raise InputError(
            f"external.labels: {labels} tells head, upper and lower body, but part_classes is {part_classes}; list the "
            "numbers of each part instead, or set it to parts"
        )
    if labels == "parts":
        meaning: Meaning = {name: [part] for part, name in enumerate(names)} | {"unlabelled": [UNLABELLED]}
    else:
        meaning = PRESETS[labels] if isinstance(labels, str) else labels
    known = [*names, "unlabelled"]
    for name in meaning:
        if name not in known:
            raise InputError(f"external.labels: {name!r} is no part class; known: {', '.join(known)}")
    if lacking := [name for name in names if name not in meaning]:
        raise InputError(f"external.labels: no numbers are given for {lacking[0]}; it may be an empty list")
    table = np.full(256, UNKNOWN, np.uint8)
    for name, numbers in meaning.items():
        for number in numbers:
            if table[number] != UNKNOWN:
                raise InputError(f"external.labels: number {number} stands there twice; a number has one meaning")
            table[number] = UNLABELLED if name == "unlabelled" else names.index(name)
    return table
