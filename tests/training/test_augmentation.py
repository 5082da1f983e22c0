"""Augmentation: the mask goes where the image goes.

The first channel of the test image holds the label of each pixel, so after any augmentation a cell of the mask
must hold what the image has at the cell's centre.
"""

import numpy as np
import pytest

from hcga.masks.parts import STRIDE
from hcga.training.augmentation import change_image, change_mask, draw_change

HEIGHT, WIDTH = 64, 32
# Its first channel is background, as erased pixels are; its second is found nowhere else.
FILL = np.array([0, 255, 9], np.uint8)


@pytest.fixture
def params(default_params):
    return default_params.train.model_copy(update={"flip": 0.0, "padding": 0, "erasing": 0.0})


@pytest.fixture
def pair():
    """Image (64, 32, 3) and mask (16, 8) with a label of its own, 1 to 128, in every cell."""
    mask = np.arange(1, 129, dtype=np.uint8).reshape(16, 8)
    image = np.random.default_rng(0).integers(1, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[:, :, 0] = np.kron(mask, np.ones((STRIDE, STRIDE), np.uint8))
    return image, mask


def augment(image, mask, params, fill, rng):
    change = draw_change(image.shape[:2], params, rng)
    return change_image(image, change, fill), change_mask(mask, change)


def centres(image):
    return image[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE, 0]


def erased(image):
    return image[:, :, 1] == FILL[1]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(
    "changes",
    [{"flip": 0.5}, {"padding": 10}, {"padding": 3}, {"erasing": 1.0}, {"flip": 0.5, "padding": 10, "erasing": 0.5}],
)
def test_mask_moves_with_the_image(seed, changes, pair, params):
    image, mask = augment(*pair, params.model_copy(update=changes), FILL, np.random.default_rng(seed))
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert mask.shape == (16, 8)
    assert image.dtype == mask.dtype == np.uint8
    assert image.flags.c_contiguous
    assert mask.flags.c_contiguous
    np.testing.assert_array_equal(mask, centres(image))


def test_nothing_happens_at_probability_0(pair, params):
    for seed in range(20):
        image, mask = augment(*pair, params, FILL, np.random.default_rng(seed))
        np.testing.assert_array_equal(image, pair[0])
        np.testing.assert_array_equal(mask, pair[1])


def test_flip_mirrors_columns(pair, params):
    """At probability 1 always, at 1/2 in about half of 200 draws (less than 70 or more than 130: 4 sigma)."""
    for seed in range(20):
        image, mask = augment(*pair, params.model_copy(update={"flip": 1.0}), FILL, np.random.default_rng(seed))
        np.testing.assert_array_equal(image, pair[0][:, ::-1])
        np.testing.assert_array_equal(mask, pair[1][:, ::-1])
    rng, half = np.random.default_rng(1), params.model_copy(update={"flip": 0.5})
    flipped = sum(augment(*pair, half, FILL, rng)[1][0, 0] != pair[1][0, 0] for _ in range(200))
    assert 70 < flipped < 130


def test_crop_equals_padding_and_cropping(pair, params):
    """Every offset from 0 to 2 * padding in both directions, black and background outside."""
    padding, found = 2, set()
    around = [(padding, padding), (padding, padding)]
    padded = np.pad(pair[0], [*around, (0, 0)])
    labels = np.pad(np.kron(pair[1], np.ones((STRIDE, STRIDE), np.uint8)), around)
    settings = params.model_copy(update={"padding": padding})
    crops = {
        padded[top : top + HEIGHT, left : left + WIDTH].tobytes(): (top, left)
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    }
    assert len(crops) == 25
    for seed in range(250):
        image, mask = augment(*pair, settings, FILL, np.random.default_rng(seed))
        top, left = crops[image.tobytes()]
        expected = labels[top : top + HEIGHT, left : left + WIDTH][2::STRIDE, 2::STRIDE]
        np.testing.assert_array_equal(mask, expected)
        found.add((top, left))
    assert len(found) == 25


def test_a_crop_of_whole_cells_moves_whole_cells(pair, params):
    """Padding of 4 pixels, one cell: where both offsets are 0 or 8 the mask is shifted by a cell."""
    settings, seen = params.model_copy(update={"padding": 4}), set()
    padded, labels = np.pad(pair[0], [(4, 4), (4, 4), (0, 0)]), np.pad(pair[1], 1)
    for seed in range(600):
        image, mask = augment(*pair, settings, FILL, np.random.default_rng(seed))
        for top, left in ((0, 0), (0, 8), (8, 0), (8, 8)):
            if np.array_equal(image, padded[top : top + HEIGHT, left : left + WIDTH]):
                np.testing.assert_array_equal(mask, labels[top // 4 :, left // 4 :][:16, :8])
                seen.add((top, left))
    assert len(seen) == 4


def test_erased_pixels_get_the_colour_and_cells_become_background(pair, params):
    """A rectangle of 2 to 40 % of the image, 0.3 to 1 / 0.3 times as high as wide (sides are rounded)."""
    settings, areas, aspects = params.model_copy(update={"erasing": 1.0}), [], []
    for seed in range(200):
        image, mask = augment(*pair, settings, FILL, np.random.default_rng(seed))
        gone = erased(image)
        rows, columns = np.flatnonzero(gone.any(1)), np.flatnonzero(gone.any(0))
        height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        assert gone.sum() == height * width, "one rectangle"
        assert (image[gone] == FILL).all()
        np.testing.assert_array_equal(image[~gone], pair[0][~gone])
        hit = gone[2::STRIDE, 2::STRIDE]
        np.testing.assert_array_equal(mask, np.where(hit, 0, pair[1]))
        areas.append(height * width / (HEIGHT * WIDTH))
        assert 0.25 < height / width < 4
        assert (height - 0.5) / (width + 0.5) < 1 / 0.3
        assert (height + 0.5) / (width - 0.5) > 0.3
        aspects.append(height / width)
    assert 0.015 < min(areas) < 0.06
    assert 0.3 < max(areas) < 0.41
    assert min(aspects) < 0.6
    assert max(aspects) > 2.5


def test_erasing_reaches_every_edge_and_has_its_probability(pair, params):
    """At 1/2 in about half of 400 draws (4 sigma)."""
    settings, rng = params.model_copy(update={"erasing": 0.5}), np.random.default_rng(2)
    hit, times = np.zeros((HEIGHT, WIDTH), int), 0
    for _ in range(400):
        gone = erased(augment(*pair, settings, FILL, rng)[0])
        hit, times = hit + gone, times + gone.any()
    assert 160 < times < 240
    assert all(edge.any() for edge in (hit[0], hit[-1], hit[:, 0], hit[:, -1]))


def test_flip_comes_before_erasing_and_cells_without_a_label_stay_so(pair, params):
    image, mask = pair
    unlabelled = np.where(mask % 3 == 0, 255, mask).astype(np.uint8)
    settings = params.model_copy(update={"flip": 1.0, "padding": 4, "erasing": 1.0})
    for seed in range(20):
        _, plain = augment(image, mask, settings, FILL, np.random.default_rng(seed))
        _, result = augment(image, unlabelled, settings, FILL, np.random.default_rng(seed))
        np.testing.assert_array_equal(result, np.where((plain % 3 == 0) & (plain > 0), 255, plain))


def test_an_image_without_a_mask_gets_none(pair, params):
    settings = params.model_copy(update={"flip": 0.5, "padding": 10, "erasing": 1.0})
    mask = np.full_like(pair[1], 255)
    for seed in range(20):
        image, result = augment(pair[0], mask, settings, FILL, np.random.default_rng(seed))
        assert (result == 255).all()
        np.testing.assert_array_equal(image, augment(*pair, settings, FILL, np.random.default_rng(seed))[0])


def test_generator_alone_decides(pair, params):
    settings = params.model_copy(update={"flip": 0.5, "padding": 10, "erasing": 0.5})
    first, same, other = (augment(*pair, settings, FILL, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_equal(first, same)
    assert (first[0] != other[0]).any()


def test_given_arrays_are_not_modified_and_not_returned(pair, params):
    copies = [values.copy() for values in pair]
    for changes in ({}, {"flip": 1.0}, {"erasing": 1.0}, {"flip": 1.0, "padding": 5, "erasing": 1.0}):
        result = augment(*pair, params.model_copy(update=changes), FILL, np.random.default_rng(5))
        for given, made, copy in zip(pair, result, copies, strict=True):
            np.testing.assert_array_equal(given, copy)
            assert not np.shares_memory(given, made)
