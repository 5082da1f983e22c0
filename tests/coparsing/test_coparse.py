"""A round's co-parsing: masks, labels and table from what HCNet leaves, worked by hand."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hcga import resources
from hcga.coparsing import coparse as module
from hcga.coparsing import sources
from hcga.coparsing.identity import Labelling, label_identity
from hcga.coparsing.inputs import Input, read_translated
from hcga.coparsing.kept import Kept
from hcga.coparsing.memory import hcnet_bytes, isp_bytes
from hcga.coparsing.sources import Material, Parsed
from hcga.errors import InputError
from hcga.masks.parts import UNLABELLED
from hcga.runs.environment import Environment
from hcga.store_writing import write_store
from hcga.stores import open_store

FEATURES, IMAGES, SEED, CPU = Path("features.zarr"), Path("images.zarr"), (1, 4), torch.device("cpu")
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
    "without_mask",
    "repaired",
    "warnings",
]
NOTHING = np.full((5, HEIGHT, WIDTH), UNLABELLED, np.uint8)


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

    def map_identities(*arguments):
        seen.append(arguments)
        yield from ((pid, FOUND[pid]) for pid in (12, 3, 7))

    monkeypatch.setattr(sources, "map_identities", map_identities)
    return seen


def coparse(samples, previous, params, part_classes=4, device=CPU, external=NOTHING, repairs=NOTHING, kept=None):
    material = Material(samples, FEATURES, IMAGES, external, params, part_classes, SEED, device)
    return module.coparse(material, previous, repairs, kept)


@pytest.fixture
def previous():
    """Masks of the round before: none of identity 3, identity 7 another label in 68 of 272 cells, 12 equal."""
    masks = EXPECTED.copy()
    masks[0] = UNLABELLED
    masks[2].flat[:68] = 2
    return masks


def test_masks_and_labels_stand_in_the_rows_of_the_table(calls, samples, previous, params):
    found = coparse(samples, previous, params)
    np.testing.assert_array_equal(found.masks, EXPECTED)
    np.testing.assert_array_equal(found.labels, np.concatenate([FOUND[pid].labels for pid in (3, 7, 12)]))
    assert found.masks.dtype == found.labels.dtype == np.uint8


def test_hcnet_gets_the_rows_of_every_training_identity(calls, samples, previous, params):
    coparse(samples, previous, params)
    ((work, source, rows_of, camids, workers, of_image, cluster),) = calls
    assert cluster is None
    assert (source, workers, of_image) == (Input(FEATURES, "features"), params.workers, hcnet_bytes)
    assert (work.func, work.keywords["params"], work.keywords["seed"]) == (label_identity, params, SEED)
    assert {pid: rows.tolist() for pid, rows in rows_of.items()} == {3: [0], 7: [1, 2], 12: [3, 4]}
    assert camids[:5].tolist() == [1, 1, 1, 1, 2]


def test_gpus_get_all_identities_at_once(calls, samples, previous, params, monkeypatch):
    gpus, seen = [torch.device("cuda", 0), torch.device("cuda", 1)], []

    def label_in_batches(*arguments):
        seen.append(arguments)
        yield from FOUND.items()

    monkeypatch.setattr(sources, "label_in_batches", label_in_batches)
    monkeypatch.setattr(sources, "cuda_devices", lambda: gpus)
    monkeypatch.setattr(sources, "memory_of_batches", lambda devices: 77)
    found = coparse(samples, previous, params, device=torch.device("cuda"))
    np.testing.assert_array_equal(found.masks, EXPECTED)
    assert not calls
    assert seen[0][3:] == (params, SEED, gpus, 77, frozenset())


@pytest.mark.parametrize(
    ("source", "device", "batches"), [("hcnet", "cuda", 77), ("isp", "cuda", None), ("hcnet", "cpu", None)]
)
def test_what_is_kept_is_of_batches_of_one_size(samples, params, monkeypatch, source, device, batches):
    """A smaller GPU beside the first has smaller batches, for which sums run in another order."""
    monkeypatch.setattr(sources, "memory_of_batches", lambda devices: 77)
    monkeypatch.setattr(sources, "environment", lambda device: Environment.model_construct(threads=2))
    chosen = params.model_copy(update={"source": source})
    material = Material(samples, FEATURES, IMAGES, NOTHING, chosen, 4, SEED, torch.device(device))
    assert material.settings[-1] == batches


def test_gpus_get_those_that_are_done_too_for_the_same_batches(calls, samples, previous, params, monkeypatch, tmp_path):
    seen = []

    def label_in_batches(*arguments):
        seen.append((list(arguments[1]), arguments[-1]))
        yield from ((pid, labelling) for pid, labelling in FOUND.items() if pid not in arguments[-1])

    monkeypatch.setattr(sources, "label_in_batches", label_in_batches)
    monkeypatch.setattr(sources, "memory_of_batches", lambda devices: 77)
    kept = Kept(tmp_path)
    kept.add(7, Parsed(EXPECTED[1:3], FOUND[7].labels, {}, ()))
    found = coparse(samples, previous, params, device=torch.device("cuda"), kept=kept)
    np.testing.assert_array_equal(found.masks, EXPECTED)
    assert seen == [([3, 7, 12], {7})]


def test_table_has_a_row_an_identity(calls, samples, previous, params):
    """Shares and agreement in per cent, three places: 4 of 136 cells are 2.941, 4 of 272 are 1.471."""
    table = coparse(samples, previous, params).table
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


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "3 identities, 14.0 iterations on average, 97.1 % background, 3 with warnings"),  # 20 of 680 cells
        ({"back_weight": 0.0, "source": "stripes"}, "3 identities, 0.0 % background, 3 with warnings"),
        ({"source": "none"}, "3 identities"),
    ],
    ids=["hcnet", "another source", "none"],
)
def test_a_log_has_a_line_a_round(calls, samples, previous, params, caplog, changes, line):
    with caplog.at_level(logging.INFO, "hcga"):
        coparse(samples, previous, params.model_copy(update=changes))
    (found,) = [record.message for record in caplog.records if record.levelno == logging.INFO]
    assert found == line


def test_degenerate_masks_are_warned_of(calls, samples, previous, params, caplog):
    coparse(samples, previous, params)
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "DEGENERATE MASKS: 3 of 5 (60 %) masks have no foreground"
    ]


@pytest.mark.parametrize(("cell", "warnings"), [(0, []), (UNLABELLED, ["no background"])])
def test_masks_without_background_are_warned_of(cell, warnings):
    masks = np.tile(np.array([[[1, 2], [3, 1]]], np.uint8), (2, 1, 1))
    masks[1, 1, 1] = cell
    assert module.warn(masks, 0, 4) == warnings


@pytest.mark.parametrize("changes", [{"pairs": "sequence"}, {"back_weight": 0.0}])
def test_pairs_are_missed_only_where_they_are_wanted(calls, samples, previous, params, changes):
    table = coparse(samples, previous, params.model_copy(update=changes)).table
    single = "; no pair of images for the background loss" if "pairs" in changes else ""
    assert table["warnings"][0] == f"one image{single}"
    assert table["warnings"][2] == "no foreground"


def test_settings_of_the_labels_translation_are_obeyed(calls, samples, previous, params):
    equal = coparse(samples, previous, params.model_copy(update={"split": "equal"}))
    # Two labels in three groups, the first of which is empty (see reassign_labels).
    assert np.unique(equal.masks[1]).tolist() == [0, 2, 3]
    low = coparse(samples, previous, params.model_copy(update={"borders": (2.0, 2.5)}))
    assert low.masks[0, [2, 8, 14], 2].tolist() == [1, 1, 3]
    two = coparse(samples, previous, params.model_copy(update={"borders": ()}), 2)
    np.testing.assert_array_equal(two.masks, EXPECTED > 0)
    assert "part1_share" in two.table
    assert "head_share" not in two.table


def test_background_rule_is_obeyed(calls, samples, previous, params, monkeypatch):
    """A label that fills row 3, which the authors' rule looks at, has 2 of the 46 cells of the perimeter."""
    labels = FOUND[3].labels.copy()
    labels[0, 3] = 9
    monkeypatch.setitem(FOUND, 3, Labelling(labels, 9, 5))
    for rule, foreground in (("authors", False), ("perimeter", True)):
        found = coparse(samples, previous, params.model_copy(update={"background": rule}))
        assert (found.masks[0, 3] > 0).tolist() == [foreground] * WIDTH


@pytest.mark.parametrize("before_death", [0, 1, 2, 3])
def test_a_run_that_died_goes_on_with_the_identities_that_are_left(
    before_death, samples, previous, params, monkeypatch, tmp_path
):
    parsed = []

    def map_identities(_, __, rows_of, *___):
        assert rows_of, "a pool of no workers is an error"
        for pid in [pid for pid in (12, 3, 7) if pid in rows_of]:
            if len(parsed) == before_death and not again:
                raise KeyboardInterrupt
            parsed.append(pid)
            yield pid, FOUND[pid]

    monkeypatch.setattr(sources, "map_identities", map_identities)
    again = before_death == 3
    if not again:
        with pytest.raises(KeyboardInterrupt):
            coparse(samples, previous, params, kept=Kept(tmp_path))
    again = True
    found = coparse(samples, previous, params, kept=Kept(tmp_path))
    assert sorted(parsed) == [3, 7, 12], "none twice"
    whole = coparse(samples, previous, params)
    np.testing.assert_array_equal(found.masks, whole.masks)
    np.testing.assert_array_equal(found.labels, whole.labels)
    pd.testing.assert_frame_equal(found.table, whole.table)
    parsed.clear()
    assert coparse(samples, previous, params, kept=Kept(tmp_path)).masks.tobytes() == whole.masks.tobytes()
    assert parsed == [], "all of them were done"


def test_source_none_leaves_all_unlabelled(calls, samples, previous, params):
    found = coparse(samples, previous, params.model_copy(update={"source": "none"}))
    assert found.masks.shape == found.labels.shape == previous.shape
    assert (found.masks == UNLABELLED).all()
    assert (found.labels == UNLABELLED).all()
    assert found.table[["pid", "images", "without_mask"]].to_numpy().tolist() == [[3, 1, 1], [7, 2, 2], [12, 2, 2]]
    assert not calls


def test_masks_of_the_round_before_are_not_changed(calls, samples, previous, params):
    copy = previous.copy()
    coparse(samples, previous, params)
    np.testing.assert_array_equal(previous, copy)


def test_images_have_weights_of_their_own_and_their_labels_come_to_cells(calls, samples, params, monkeypatch):
    """V-B: labels of 4 x 4 pixels become that of most of them."""
    settings = params.model_copy(update={"input": "rgb", "rgb_local_weight": 7.0, "rgb_back_weight": 0.0})
    fine = {pid: found._replace(labels=found.labels.repeat(4, 1).repeat(4, 2)) for pid, found in FOUND.items()}
    for found in fine.values():
        found.labels[:, ::4] = 31  # 4 of 16 pixels
    monkeypatch.setattr("test_coparse.FOUND", fine)
    found = coparse(samples, EXPECTED, settings)
    np.testing.assert_array_equal(found.masks, EXPECTED)
    ((work, source, *_),) = calls
    assert source == Input(IMAGES, "images")
    assert (work.keywords["params"].local_weight, work.keywords["params"].back_weight) == (7.0, 0.0)
    assert "pair" not in "".join(found.table["warnings"])  # no background loss, so no pair is missed


EXTERNAL = EXPECTED.copy()
EXTERNAL[2], EXTERNAL[3, 0] = UNLABELLED, 1  # identity 7 lacks a mask, identity 12 has a head


def test_external_masks_are_taken_as_they_are(samples, previous, params):
    found = coparse(samples, previous, params.model_copy(update={"source": "external"}), external=EXTERNAL)
    np.testing.assert_array_equal(found.masks, EXTERNAL)
    np.testing.assert_array_equal(found.labels, EXTERNAL)
    table = found.table
    assert list(table) == [name for name in COLUMNS if name not in ("iterations", "labels_left")]
    assert table["without_mask"].tolist() == [0, 1, 0]
    assert table["foreground_share"].tolist() == [round(1200 / CELLS, 3), round(800 / CELLS, 3), round(800 / 272, 3)]
    assert table["warnings"].tolist() == [
        "one image",
        "no upper_body; 1 image(s) without a mask",
        "no upper_body; no lower_body; 1 image(s) all background",
    ]


def test_masks_with_foreground_at_the_sides_are_counted_and_left_as_they_are(samples, previous, params):
    swapped = EXPECTED.copy()
    swapped[1:3] = [[1] * 2 + [0] * (WIDTH - 4) + [1] * 2] * HEIGHT
    found = coparse(samples, previous, params.model_copy(update={"source": "external"}), external=swapped)
    np.testing.assert_array_equal(found.masks, swapped)
    assert "; 2 image(s) with more foreground at the sides" in found.table["warnings"][1]
    assert not found.table["warnings"].drop(1).str.contains("sides").any()


def test_identity_without_any_external_mask_says_so(samples, previous, params):
    only = NOTHING.copy()
    only[0] = EXPECTED[0]
    table = coparse(samples, previous, params.model_copy(update={"source": "external"}), external=only).table
    assert table["without_mask"].tolist() == [0, 2, 2]
    assert np.isnan(table["foreground_share"][1])
    assert table["warnings"][1] == "no foreground; 2 image(s) without a mask"


def test_external_source_without_masks_is_refused(samples, previous, params):
    with pytest.raises(InputError, match=r"no mask made elsewhere .* set external\.root"):
        coparse(samples, previous, params.model_copy(update={"source": "external"}))


@pytest.mark.parametrize(("part_classes", "counts"), [(4, [5, 6, 6]), (3, [8, 9]), (2, [17])])
def test_stripes_are_equal_bands_over_the_whole_image(samples, previous, params, part_classes, counts):
    settings = params.model_copy(update={"source": "stripes"})
    found = coparse(samples, previous, settings, part_classes)
    assert (found.masks == found.masks[:1, :, :1]).all()
    assert (np.diff(found.masks[0, :, 0]) >= 0).all()
    assert [int((found.masks[0, :, 0] == part).sum()) for part in range(part_classes)] == [0, *counts]
    assert (found.table["foreground_share"] == 100).all()


def test_isp_gets_the_features_and_a_seed_of_its_own_for_each_identity(samples, previous, params, monkeypatch):
    seen = []
    monkeypatch.setattr(sources, "cluster_identity", lambda *arguments: seen.append(arguments) or EXPECTED[:2])

    def map_identities(work, source, rows_of, camids, workers, of_image, cluster):
        assert (source, workers, of_image, cluster) == (Input(FEATURES, "features"), 5, isp_bytes, None)
        yield from ((pid, work(pid, camids[rows], np.ones(1))[: len(rows)]) for pid, rows in rows_of.items())

    monkeypatch.setattr(sources, "map_identities", map_identities)
    found = coparse(samples, previous, params.model_copy(update={"source": "isp", "workers": 5}))
    assert [seed for _, _, seed in seen] == [(1, 4, 3), (1, 4, 7), (1, 4, 12)]
    for stored in (found.masks, found.labels):
        np.testing.assert_array_equal(stored, EXPECTED[[0, 0, 1, 0, 1]])


def test_repairs_replace_whole_masks_where_there_are_any(calls, samples, previous, params):
    repairs = NOTHING.copy()
    repairs[2] = 0
    repairs[2, 5] = 2
    repairs[3] = 0  # nobody to be seen there: that is a mask too
    found = coparse(samples, previous, params, repairs=repairs)
    expected = EXPECTED.copy()
    expected[2:4] = repairs[2:4]
    np.testing.assert_array_equal(found.masks, expected)
    np.testing.assert_array_equal(found.labels, coparse(samples, previous, params).labels)
    assert found.table["repaired"].tolist() == [0, 1, 1]
    assert found.table["warnings"][1] == "1 image(s) repaired by hand"
    baseline = params.model_copy(update={"source": "none"})
    np.testing.assert_array_equal(coparse(samples, previous, baseline, repairs=repairs).masks, NOTHING)


def test_memory_is_looked_at_before_the_first_masks_are_there(tmp_path, monkeypatch):
    masks = np.zeros((5, 4, 2), np.uint8)
    write_store(tmp_path / "images.zarr", {"images": masks}, image_set="these")
    write_store(tmp_path / "translated.zarr", {"external": masks, "repairs": masks}, image_set="these", part_classes=4)
    images, need = open_store(tmp_path / "images.zarr"), (7 + 4) * masks.nbytes
    monkeypatch.setattr(resources, "free_memory", lambda: need)
    assert len(read_translated(tmp_path / "translated.zarr", images, 4)) == 2
    monkeypatch.setattr(resources, "free_memory", lambda: need - 1)
    with pytest.raises(InputError, match=r"translated\.zarr/external: is read as a whole"):
        read_translated(tmp_path / "translated.zarr", images, 4)
