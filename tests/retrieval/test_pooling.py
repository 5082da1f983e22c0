"""Several images of a person as one."""

import numpy as np
import pytest
from test_similarity import random_embeddings

from hcga.retrieval.pooling import pool
from hcga.retrieval.similarity import FEATURES, VARIANTS, Embeddings, similarity


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_one_image_each_compares_as_before(features, variant):
    people, gallery = random_embeddings(0, 6), random_embeddings(1, 5)
    people.visible[3] = 0.25
    owner = np.array([3, 0, 5, 1, 2, 4])
    pooled = similarity(pool(people, owner), gallery, features, variant)
    np.testing.assert_allclose(pooled[owner], similarity(people, gallery, features, variant), atol=1e-6)


def test_pooled_by_hand():
    """Two images of owner 1, the second with twice the length, and one of owner 0."""
    vectors = np.array([[1, 0], [0, 9], [0, 2]], np.float32)
    parts = np.stack([vectors, vectors * np.float32(3), vectors], 1)
    parts[0, 2] = np.nan  # is not visible
    visible = np.array([[1, 0.5, 0], [1, 1, 0], [0.5, 0, 0]], np.float32)
    pooled = pool(Embeddings(vectors, vectors[::-1].copy(), parts, visible), np.array([1, 0, 1]))
    np.testing.assert_allclose(pooled.image, [[0, 1], [1, 1]])
    np.testing.assert_allclose(pooled.foreground, [[0, 1], [1, 1]])
    np.testing.assert_allclose(pooled.parts[1], [[1, 0.5], [0.5, 0], [0, 0]])
    np.testing.assert_array_equal(pooled.visible, [[1, 1, 0], [1, 0.5, 0]])
