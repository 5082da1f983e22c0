"""Cascaded k-means on features whose parts are known."""

import numpy as np
import pytest

from hcga.coparsing.isp import cluster_identity

SEED = (1, 0, 7)


def person(images=3, height=12, width=8, noise=0.05):
    """Features (N, 5, h, w): weak background, and three strong directions for rows 1-3, 4-7 and 8-10, columns 2-5."""
    rng = np.random.default_rng(0)
    truth = np.zeros((images, height, width), np.uint8)
    for part, rows in ((1, slice(1, 4)), (2, slice(4, 8)), (3, slice(8, 11))):
        truth[:, rows, 2:6] = part
    directions = np.array([[0.1, 0.1, 0.1, 0.1, 0.1], [0, 0, 2, 0, 0], [2, 0, 0, 0, 0], [0, 2, 0, 0, 0]])
    features = directions[truth].transpose(0, 3, 1, 2) + noise * rng.normal(size=(images, 5, height, width))
    scale = np.array([1.0, 5.0, 0.2])[
        :images, None, None, None
    ]  # of whole images: activation is by the image's largest
    return (features * scale).astype(np.float32), truth


def test_parts_are_found_and_ordered_from_top_to_bottom():
    features, truth = person()
    found = cluster_identity(features, 4, SEED)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, truth)


def test_images_of_an_identity_are_clustered_together():
    """Turned upside down the last image keeps its parts: they are the directions of all images."""
    features, truth = person()
    features[2], truth[2] = features[2, :, ::-1], truth[2, ::-1]
    np.testing.assert_array_equal(cluster_identity(features, 4, SEED), truth)


def test_half_precision_and_order_of_channels_play_no_part():
    features, truth = person()
    np.testing.assert_array_equal(cluster_identity(features.astype(np.float16)[:, ::-1], 4, SEED), truth)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_features_without_contrast_are_background(value):
    assert not cluster_identity(np.full((2, 5, 4, 4), value, np.float32), 4, SEED).any()


def test_rows_count_from_the_top_of_each_image():
    """The part seen in the first image only is the lowest, though its cells come first."""
    features = np.full((2, 2, 6, 4), 0.01, np.float32)
    features[0, 0, 4:], features[1, 1, :2] = 1, 1
    found = cluster_identity(features, 3, SEED)
    assert found[:, :, 0].tolist() == [[0, 0, 0, 0, 2, 2], [1, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("number", range(4))
def test_any_number_of_parts_is_in_order_whatever_k_means_calls_them(number):
    features = np.full((1, 6, 7, 4), 0.01, np.float32)
    features[0, range(6), range(1, 7)] = 1
    assert cluster_identity(features, 7, (number,))[0, :, 0].tolist() == list(range(7))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("columns", [1, 4])
def test_fewer_directions_than_parts_give_fewer_parts(columns):
    """Be there fewer cells than parts, or as many cells of fewer directions."""
    features = np.full((1, 2, 4, columns), 0.01, np.float32)
    features[0, 0, 1], features[0, 1, 2] = 1, 1
    found = cluster_identity(features, 6, SEED)
    assert found[0, :, 0].tolist() == [0, 1, 2, 0]


def test_the_seed_decides_the_parts():
    features = np.random.default_rng(3).normal(size=(2, 6, 16, 8)).astype(np.float32)
    found = cluster_identity(features, 4, SEED)
    np.testing.assert_array_equal(cluster_identity(features, 4, SEED), found)
    assert (cluster_identity(features, 4, (1, 0, 8)) != found).any()
