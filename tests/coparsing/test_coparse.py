"""A round's co-parsing: masks, labels and table from what HCNet leaves, worked by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hcga.coparsing import coparse as module
from hcga.coparsing.coparse import coparse
from hcga.coparsing.identity import Labelling
from hcga.masks import UNLABELLED

FEATURES, SEED, CPU = Path("features.zarr"), (1, 4), torch.device("cpu")
HEIGHT, WIDTH = 17, 8
CELLS = HEIGHT * WIDTH  # 136
COLUMNS = [
    "pid",
    "images",
    "cameras",
    "iterations",
    "labels_left",
    "foreground_labels",
    "foreground_share",
    "head_share",
    "upper_body_share",
    "lower_body_share",
    "agreement_previous",
    "warnings",
]


@pytest.fixture
def samples():
    """Five training images of identities 3, 7 and 12, and two test images."""
    rows = [
        ("train", 3, 1),
        ("train", 7, 1),
        ("train", 7, 1),
        ("train", 12, 1),
        ("train", 12, 2),
        ("query", 50, 1),
        ("gallery", 50, 2),
    ]
    return pd.DataFrame(rows, columns=["split", "pid", "camid"])


def image(**bands):
    """An image of label 0 with four cells of label 4 in row head, of 5 in row middle, of 6 in row low."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for name, label in (("head", 4), ("middle", 5), ("low", 6)):
        if name in bands:
            labels[bands[name], 2:6] = label
    return labels


# Identity 3: rows 2, 8, 14, so s = 4 and borders at 4 and 10: parts 1, 2, 3.
# Identity 7: rows 2 and 14: parts 1 and 3; its second image has no foreground.
# Identity 12: one label all over, so all background.
FOUND = {
    3: Labelling(image(head=2, middle=8, low=14)[None], 9, 4),
    7: Labelling(np.stack([image(head=2, low=14), image()]), 32, 3),
    12: Labelling(np.full((2, HEIGHT, WIDTH), 17, np.uint8), 1, 1),
}
EXPECTED = np.zeros((5, HEIGHT, WIDTH), np.uint8)
EXPECTED[0, 2, 2:6], EXPECTED[0, 8, 2:6], EXPECTED[0, 14, 2:6] = 1, 2, 3
EXPECTED[1, 2, 2:6], EXPECTED[1, 14, 2:6] = 1, 3


@pytest.fixture
def params(default_params):
    changes = {"source": "hcnet", "background": "authors", "split": "structure", "borders": (0.5, 2.0)}
    return default_params.coparse.model_copy(update=changes)


@pytest.fixture
def calls(monkeypatch):
    """Replace HCNet by FOUND, which comes in another order than that of the pids; gives the arguments it got."""
    seen = []

    def label_identities(*arguments):
        seen.append(arguments)
        yield from ((pid, FOUND[pid]) for pid in (12, 3, 7))

    monkeypatch.setattr(module, "label_identities", label_identities)
    return seen


@pytest.fixture
def previous():
    """Masks of the round before: none of identity 3, identity 7 another label in 68 of 272 cells, 12 equal."""
    masks = EXPECTED.copy()
    masks[0] = UNLABELLED
    masks[2].flat[:68] = 2
    return masks


def test_masks_and_labels_stand_in_the_rows_of_the_table(calls, samples, previous, params):
    found = coparse(FEATURES, samples, previous, params, 4, SEED, CPU)
    np.testing.assert_array_equal(found.masks, EXPECTED)
    np.testing.assert_array_equal(found.labels, np.concatenate([FOUND[pid].labels for pid in (3, 7, 12)]))
    assert found.masks.dtype == found.labels.dtype == np.uint8


def test_hcnet_gets_the_rows_of_every_training_identity(calls, samples, previous, params):
    coparse(FEATURES, samples, previous, params, 4, SEED, CPU)
    ((features, rows_of, camids, settings, seed),) = calls
    assert (features, settings, seed) == (FEATURES, params, SEED)
    assert {pid: rows.tolist() for pid, rows in rows_of.items()} == {3: [0], 7: [1, 2], 12: [3, 4]}
    assert camids[:5].tolist() == [1, 1, 1, 1, 2]


def test_a_gpu_gets_all_identities_at_once(calls, samples, previous, params, monkeypatch):
    gpu, seen = torch.device("cuda"), []

    def label_in_batches(*arguments):
        seen.append(arguments)
        yield from FOUND.items()

    monkeypatch.setattr(module, "label_in_batches", label_in_batches)
    monkeypatch.setattr(module, "free_memory", lambda device: 77)
    found = coparse(FEATURES, samples, previous, params, 4, SEED, gpu)
    np.testing.assert_array_equal(found.masks, EXPECTED)
    assert not calls
    assert seen[0][3:] == (params, SEED, gpu, 77)


def test_table_has_a_row_an_identity(calls, samples, previous, params):
    """Shares and agreement in per cent, three places: 4 of 136 cells are 2.941, 4 of 272 are 1.471."""
    table = coparse(FEATURES, samples, previous, params, 4, SEED, CPU).table
    assert list(table) == COLUMNS
    assert table["pid"].tolist() == [3, 7, 12]
    assert table["images"].tolist() == [1, 2, 2]
    assert table["cameras"].tolist() == [1, 1, 2]
    assert table["iterations"].tolist() == [9, 32, 1]
    assert table["labels_left"].tolist() == [4, 3, 1]
    assert table["foreground_labels"].tolist() == [3, 2, 0]
    assert table["foreground_share"].tolist() == [round(1200 / CELLS, 3), round(800 / 2 / CELLS, 3), 0]
    assert table["head_share"].tolist() == [2.941, 1.471, 0]
    assert table["upper_body_share"].tolist() == [2.941, 0, 0]
    assert table["lower_body_share"].tolist() == [2.941, 1.471, 0]
    assert np.isnan(table["agreement_previous"][0])
    assert table["agreement_previous"].tolist()[1:] == [75, 100]
    assert table["warnings"].tolist() == [
        "one image; no pair of images for the background loss",
        "no upper_body; 1 image(s) all background",
        "no foreground; no pair of images for the background loss",
    ]


@pytest.mark.parametrize("changes", [{"pairs": "sequence"}, {"back_weight": 0.0}])
def test_pairs_are_missed_only_where_they_are_wanted(calls, samples, previous, params, changes):
    table = coparse(FEATURES, samples, previous, params.model_copy(update=changes), 4, SEED, CPU).table
    single = "; no pair of images for the background loss" if "pairs" in changes else ""
    assert table["warnings"][0] == f"one image{single}"
    assert table["warnings"][2] == "no foreground"


def test_settings_of_the_labels_translation_are_obeyed(calls, samples, previous, params):
    equal = coparse(FEATURES, samples, previous, params.model_copy(update={"split": "equal"}), 4, SEED, CPU)
    # Two labels in three groups, the first of which is empty (see reassign_labels).
    assert np.unique(equal.masks[1]).tolist() == [0, 2, 3]
    low = coparse(FEATURES, samples, previous, params.model_copy(update={"borders": (2.0, 2.5)}), 4, SEED, CPU)
    assert low.masks[0, [2, 8, 14], 2].tolist() == [1, 1, 3]
    two = coparse(FEATURES, samples, previous, params.model_copy(update={"borders": ()}), 2, SEED, CPU)
    np.testing.assert_array_equal(two.masks, EXPECTED > 0)
    assert "part1_share" in two.table
    assert "head_share" not in two.table


def test_background_rule_is_obeyed(calls, samples, previous, params, monkeypatch):
    """A label that fills row 3, which the authors' rule looks at, has 2 of the 46 cells of the perimeter."""
    labels = FOUND[3].labels.copy()
    labels[0, 3] = 9
    monkeypatch.setitem(FOUND, 3, Labelling(labels, 9, 5))
    for rule, foreground in (("authors", False), ("perimeter", True)):
        found = coparse(FEATURES, samples, previous, params.model_copy(update={"background": rule}), 4, SEED, CPU)
        assert (found.masks[0, 3] > 0).tolist() == [foreground] * WIDTH


def test_source_none_leaves_all_unlabelled(calls, samples, previous, params):
    found = coparse(FEATURES, samples, previous, params.model_copy(update={"source": "none"}), 4, SEED, CPU)
    assert found.masks.shape == found.labels.shape == previous.shape
    assert (found.masks == UNLABELLED).all()
    assert (found.labels == UNLABELLED).all()
    assert found.table.to_dict("list") == {"pid": [3, 7, 12]}
    assert not calls


def test_masks_of_the_round_before_are_not_changed(calls, samples, previous, params):
    copy = previous.copy()
    coparse(FEATURES, samples, previous, params, 4, SEED, CPU)
    np.testing.assert_array_equal(previous, copy)
