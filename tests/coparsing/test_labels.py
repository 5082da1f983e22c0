"""CPLR: against the authors' masks, worked by hand at the thresholds, and what must not matter."""

from pathlib import Path

import numpy as np
import pytest

from hcga.coparsing.labels import background_labels, default_borders, reassign_labels

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = sorted(path.stem.removeprefix("cplr_") for path in GOLDEN.glob("cplr_*.npz"))
RAISES = {"all_one_label"}  # where the authors' code raises

# Images of 15 x 8 cells, two of them: the thresholds of the rule `authors` are whole numbers.
HEIGHT, WIDTH, COUNT = 15, 8, 2
ROWS_MOST = COUNT * WIDTH // 2  # 8 cells in rows 0, 3, 11 and 14
COLUMNS_MOST = COUNT * HEIGHT // 3  # 10 cells in columns 0 and 7
PERIMETER_MOST = COUNT * (2 * HEIGHT + 2 * WIDTH - 4) // 2  # 42 cells, one whole perimeter
FILLER, LABEL = 30, 5


def fill(cells, number):
    """Give images of FILLER with LABEL in the first of some (row, column), image by image."""
    labels = np.full((COUNT, HEIGHT, WIDTH), FILLER, np.uint8)
    places = [(image, row, column) for image in range(COUNT) for row, column in cells][:number]
    assert len(places) == number
    labels[tuple(np.transpose(places))] = LABEL
    return labels


def bands(rows, width=8, height=17):
    """Give one image of label 0 with label i + 1 in columns 2 to 5 of row rows[i]; its mean row is rows[i]."""
    labels = np.zeros((1, height, width), np.uint8)
    for number, row in enumerate(rows):
        labels[0, row, 2:6] = number + 1
    return labels


def parts_of(masks, rows):
    return [int(masks[0, row, 2]) for row in rows]


def blobs(seed=1, images=4):
    """Give labels with every part of the work in them: 9 noisy bands inside a background."""
    rng = np.random.default_rng(seed)
    labels = np.full((images, 32, 16), 11)
    for image in range(images):
        for row in range(4, 28):
            left, right = 4 + rng.integers(0, 2), 12 - rng.integers(0, 2)
            labels[image, row, left:right] = 1 + (row - 4 + rng.integers(0, 2)) // 3
    return labels


# -- the authors' masks


def test_golden_cases_are_there():
    assert len(CASES) == 13
    assert set(CASES) > RAISES


@pytest.mark.parametrize("part_classes", [4, 3, 6])
@pytest.mark.parametrize(("split", "name"), [("structure", "structure"), ("equal", "mean")])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_authors_code(case, split, name, part_classes):
    """Origin: {structure,mean}_P{4,3,6} in tests/golden, which count parts from 100.

    The authors' borders of `structure`, 0.5 and 2 units, are the same for every C. Where their code raises
    (`*_error` is not empty), no label is left for the foreground; ours makes all of it background.
    """
    golden = np.load(GOLDEN / f"cplr_{case}.npz")
    masks = reassign_labels(golden["labels"], part_classes, "authors", split, (0.5, 2.0))
    assert masks.dtype == np.uint8
    raised = str(golden[f"{name}_P{part_classes}_error"])
    assert bool(raised) == (case in RAISES)
    expected = np.zeros_like(masks) if raised else golden[f"{name}_P{part_classes}"] - 100
    np.testing.assert_array_equal(masks, expected)


def test_defaults_are_the_authors():
    labels = np.load(GOLDEN / "cplr_blob1.npz")["labels"]
    expected = reassign_labels(labels, 4, "authors", "structure", (0.5, 2.0))
    np.testing.assert_array_equal(reassign_labels(labels, 4), expected)


# -- background


@pytest.mark.parametrize("row", [0, 3, HEIGHT - 4, HEIGHT - 1])
def test_authors_rule_counts_four_rows(row):
    cells = [(row, column) for column in range(1, 7)]
    assert LABEL not in background_labels(fill(cells, ROWS_MOST), "authors")
    assert LABEL in background_labels(fill(cells, ROWS_MOST + 1), "authors")


def test_authors_rule_counts_the_four_rows_together():
    cells = [(row, column) for column in (2, 5) for row in (0, 3, 11, 14)]
    assert LABEL not in background_labels(fill(cells, ROWS_MOST), "authors")
    assert LABEL in background_labels(fill(cells, ROWS_MOST + 1), "authors")


def test_authors_rule_counts_no_other_row():
    cells = [(row, column) for row in (1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 13) for column in range(1, 7)]
    assert background_labels(fill(cells, 2 * len(cells)), "authors").tolist() == [FILLER]


@pytest.mark.parametrize("columns", [(0,), (7,), (0, 7)])
def test_authors_rule_counts_both_side_columns_together(columns):
    cells = [(row, column) for row in (1, 2, 4, 5, 6, 7, 8) for column in columns]
    assert LABEL not in background_labels(fill(cells, COLUMNS_MOST), "authors")
    assert LABEL in background_labels(fill(cells, COLUMNS_MOST + 1), "authors")


def perimeter():
    edge = [(row, column) for row in range(HEIGHT) for column in range(WIDTH) if row in (0, 14) or column in (0, 7)]
    assert len(edge) == 42
    return edge


def test_perimeter_rule_asks_for_more_than_half_of_the_perimeter():
    """One image's whole perimeter, corners counted once, is exactly half of that of two images."""
    assert background_labels(fill(perimeter(), PERIMETER_MOST), "perimeter").tolist() == []
    assert background_labels(fill(perimeter(), PERIMETER_MOST + 1), "perimeter").tolist() == [LABEL]


@pytest.mark.parametrize("start", [0, 8, 16, 24, 34])
def test_perimeter_rule_counts_every_edge(start):
    """FILLER begins with one image's perimeter and must lose or win by single cells, wherever they are."""
    labels = fill(perimeter(), PERIMETER_MOST)
    row, column = perimeter()[start]
    labels[1, row, column] = LABEL
    assert background_labels(labels, "perimeter").tolist() == [LABEL]


def test_perimeter_rule_looks_at_nothing_else():
    inside = [(row, column) for row in range(1, HEIGHT - 1) for column in range(1, WIDTH - 1)]
    assert background_labels(fill(inside, 2 * len(inside)), "perimeter").tolist() == [FILLER]


def test_rules_differ_in_reassigned_masks():
    """Label 5 fills row 3 of both images, 16 cells > 8, but only 4 cells of the perimeter."""
    labels = fill([(3, column) for column in range(WIDTH)], COUNT * WIDTH)
    assert not reassign_labels(labels, 4, "authors").any()
    masks = reassign_labels(labels, 4, "perimeter")
    np.testing.assert_array_equal(masks == 3, labels == LABEL)
    np.testing.assert_array_equal(masks == 0, labels == FILLER)


# -- parts


@pytest.mark.parametrize(
    ("part_classes", "borders"),
    [(2, ()), (3, (0.5,)), (4, (0.5, 2.0)), (5, (0.5, 2.0, 3.0)), (8, (0.5, 2, 3, 4, 5, 6))],
)
def test_default_borders_are_the_authors_and_go_on_in_equal_steps(part_classes, borders):
    assert default_borders(part_classes) == borders
    rows = list(range(2, 15))
    expected = reassign_labels(bands(rows), part_classes, borders=borders)
    np.testing.assert_array_equal(reassign_labels(bands(rows), part_classes), expected)


def test_structure_cuts_at_the_borders():
    """Rows 2 to 14, C = 4: s = 12 / 3 = 4, borders 2 + 2 = 4 and 2 + 8 = 10; a label on a border is below it."""
    rows = [2, 4, 9, 10, 14]
    assert parts_of(reassign_labels(bands(rows), 4), rows) == [1, 2, 2, 3, 3]
    # C = 3: s = 6, one border at 2 + 6 = 8.
    assert parts_of(reassign_labels(bands(rows), 3, borders=(1.0,)), rows) == [1, 1, 2, 2, 2]
    # C = 5: s = 3, borders at 5, 8 and 11.
    assert parts_of(reassign_labels(bands(rows), 5, borders=(1.0, 2.0, 3.0)), rows) == [1, 1, 3, 3, 4]
    # C = 2: no border.
    assert parts_of(reassign_labels(bands(rows), 2, borders=()), rows) == [1] * 5


def test_structure_weighs_cells_not_images():
    """Label 2 has 4 cells in row 4 of one image and 2 in row 7 of the other: mean row 5, not 5.5.

    Labels 1 and 3 have the mean rows 2 and 11.6, so s = 3.2; a border of 3.1 / 3.2 units is at row 5.1.
    """
    labels = np.zeros((2, 17, 8), np.uint8)
    labels[0, 2, 2:6], labels[0, 4, 2:6], labels[1, 7, 2:4] = 1, 2, 2
    labels[0, 11, 2:4], labels[1, 12, 2:5] = 3, 3
    masks = reassign_labels(labels, 4, borders=(3.1 / 3.2, 2.0))
    assert [np.unique(masks[labels == label]).tolist() for label in (1, 2, 3)] == [[1], [1], [3]]


def test_equal_cuts_the_ordered_labels_into_equal_groups():
    """Where it does not come out even the first groups are one shorter (the authors' code)."""
    rows = [2, 10, 11, 12, 14]
    assert parts_of(reassign_labels(bands(rows), 4, split="structure"), rows) == [1, 3, 3, 3, 3]
    assert parts_of(reassign_labels(bands(rows), 4, split="equal"), rows) == [1, 2, 2, 3, 3]
    assert parts_of(reassign_labels(bands(rows), 3, split="equal"), rows) == [1, 1, 2, 2, 2]
    assert parts_of(reassign_labels(bands(rows), 6, split="equal"), rows) == [1, 2, 3, 4, 5]
    # The order is that of the mean rows, not of the label numbers.
    rows = [14, 2, 12, 5, 10, 9]
    assert parts_of(reassign_labels(bands(rows), 4, split="equal"), rows) == [3, 1, 3, 1, 2, 2]


def test_ties_keep_the_order_of_label_numbers():
    labels = np.zeros((1, 17, 8), np.uint8)
    labels[0, 6, 2], labels[0, 6, 4] = 7, 3
    masks = reassign_labels(labels, 3, split="equal")
    assert masks[0, 6].tolist() == [0, 0, 2, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("split", ["structure", "equal"])
def test_a_single_foreground_label_is_the_last_part(split):
    labels = bands([6])
    np.testing.assert_array_equal(reassign_labels(labels, 4, split=split), 3 * labels)


@pytest.mark.parametrize("rule", ["authors", "perimeter"])
@pytest.mark.parametrize("split", ["structure", "equal"])
def test_without_foreground_all_is_background(split, rule):
    masks = reassign_labels(np.full((2, 16, 8), 31, np.uint8), 4, rule, split)
    assert masks.shape == (2, 16, 8)
    assert not masks.any()


def test_largest_label_and_integer_types_are_taken():
    labels = bands([2, 9, 14])
    expected = reassign_labels(labels, 4)
    assert parts_of(expected, [2, 9, 14]) == [1, 2, 3]
    for dtype in (np.uint8, np.int16, np.int64):
        np.testing.assert_array_equal(reassign_labels(np.where(labels == 3, 254, labels).astype(dtype), 4), expected)


# -- what must not matter


@pytest.mark.parametrize("rule", ["authors", "perimeter"])
@pytest.mark.parametrize("split", ["structure", "equal"])
def test_numbers_of_labels_do_not_matter(split, rule):
    labels = blobs()
    before = reassign_labels(labels, 4, rule, split)
    assert np.unique(before).tolist() == [0, 1, 2, 3]
    for seed in range(5):
        numbers = np.random.default_rng(seed).permutation(255)
        np.testing.assert_array_equal(reassign_labels(numbers[labels], 4, rule, split), before)


@pytest.mark.parametrize("split", ["structure", "equal"])
def test_order_and_mirroring_of_images_do_not_matter(split):
    labels = blobs()
    before = reassign_labels(labels, 4, split=split)
    order = np.array([2, 0, 3, 1])
    np.testing.assert_array_equal(reassign_labels(labels[order], 4, split=split), before[order])
    np.testing.assert_array_equal(reassign_labels(labels[:, :, ::-1], 4, split=split), before[:, :, ::-1])
    thrice = reassign_labels(np.tile(labels, (3, 1, 1)), 4, split=split)
    np.testing.assert_array_equal(thrice, np.tile(before, (3, 1, 1)))


def test_labels_are_not_modified_and_each_becomes_one_part():
    labels = blobs()
    copy = labels.copy()
    masks = reassign_labels(labels, 4)
    np.testing.assert_array_equal(labels, copy)
    assert all(len(np.unique(masks[labels == label])) == 1 for label in np.unique(labels))
