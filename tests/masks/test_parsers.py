"""What the labels of other parsers become."""

from typing import get_args

import numpy as np
import pytest

from hcga.errors import InputError
from hcga.masks.parsers import PRESETS, UNKNOWN, translation
from hcga.masks.parts import UNLABELLED
from hcga.params import External

# Classes in the order of their numbers, as the data sets publish them.
LIP = (
    "background hat hair glove sunglasses upper-clothes dress coat socks pants jumpsuits scarf skirt face left-arm "
    "right-arm left-leg right-leg left-shoe right-shoe"
)
ATR = (
    "background hat hair sunglasses upper-clothes skirt pants dress belt left-shoe right-shoe face left-leg right-leg "
    "left-arm right-arm bag scarf"
)
PASCAL = "background head torso upper-arms lower-arms upper-legs lower-legs"
HEAD = {"hat", "hair", "sunglasses", "face", "head"}
LOWER = {"socks", "pants", "skirt", "belt", "upper-legs", "lower-legs"}


@pytest.mark.parametrize(("preset", "classes"), [("lip", LIP), ("atr", ATR), ("pascal", PASCAL)])
def test_presets_follow_the_published_lists(preset, classes):
    table = translation(preset, 4)
    names = classes.split()
    for number, name in enumerate(names):
        lower = name in LOWER or name.endswith(("-leg", "-shoe"))
        expected = 0 if name == "background" else 1 if name in HEAD else 3 if lower else 2
        assert table[number] == expected, name
    assert (table[len(names) :] == UNKNOWN).all()


def test_bodypix_counts_24_parts_from_the_face_to_the_feet():
    table = translation("bodypix", 4)
    assert table[:24].tolist() == [1] * 2 + [2] * 12 + [3] * 10
    assert table[255] == 0
    assert (table[24:255] == UNKNOWN).all()


def test_presets_are_those_of_params():
    known, _ = get_args(External.model_fields["labels"].annotation)
    assert set(get_args(known)) == {"parts", *PRESETS}


def test_parts_are_our_own_numbers():
    table = translation("parts", 6)
    assert table[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert table[255] == UNLABELLED
    assert (table[6:255] == UNKNOWN).all()


def test_own_mapping():
    meaning = {"background": [0, 9], "head": [7], "upper_body": [], "lower_body": [1, 2], "unlabelled": [200]}
    table = translation(meaning, 4)
    assert table[[0, 9, 7, 1, 2, 200]].tolist() == [0, 0, 1, 3, 3, UNLABELLED]
    assert np.count_nonzero(table != UNKNOWN) == 6


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ("lip", 5, r"lip tells head, upper and lower body, but part_classes is 5"),
        ({"background": [0], "hat": [1]}, 4, r"'hat' is no part class; known: background, head, .*, unlabelled"),
        ({"background": [0], "head": [1], "lower_body": []}, 4, r"no numbers are given for upper_body"),
        ({"background": [0], "part1": [1, 0]}, 2, r"number 0 stands there twice"),
    ],
)
def test_wrong_mapping_is_refused(labels, classes, message):
    with pytest.raises(InputError, match=rf"external\.labels: {message}"):
        translation(labels, classes)
