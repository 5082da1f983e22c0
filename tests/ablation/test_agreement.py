import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from hcga.ablation.agreement import adjusted_rand, compare
from hcga.masks.parts import UNLABELLED


@pytest.mark.parametrize("groups", [1, 2, 18])
def test_adjusted_rand_is_scikit_learn_s(groups: int) -> None:
    rng = np.random.default_rng(groups)
    first, second = rng.integers(0, groups, (2, 3, 8, 4), np.uint8)
    mixed = np.where(rng.random(first.shape) < 0.7, first + 9, second).astype(np.uint8)
    for other in (first, second, mixed):
        assert adjusted_rand(first, other) == pytest.approx(
            adjusted_rand_score(first.ravel(), other.ravel()), abs=1e-12
        )


def test_names_of_labels_do_not_count_and_unlabelled_cells_neither() -> None:
    first = np.array([[[0, 0, 1, 1, 2, 2]]], np.uint8)
    renamed = np.array([[[7, 7, 0, 0, 254, 254]]], np.uint8)
    assert adjusted_rand(first, renamed) == 1
    renamed[0, 0, 5] = UNLABELLED
    assert adjusted_rand(first, renamed) == 1
    assert np.isnan(adjusted_rand(first, np.full_like(first, UNLABELLED)))


def test_agreement_is_the_mean_over_pairs_of_seeds() -> None:
    """Identity 4 has two images, 9 one; of the third seed nothing is like the first two."""
    masks = np.zeros((3, 3, 1, 4), np.uint8)
    masks[2] = 1
    masks[1, 2] = [[0, 0, 0, 3]]
    labels = masks.copy()
    labels[1, 2] = [[0, 1, 1, 1]]
    labels[0, 2] = [[5, 5, 6, 6]]
    found = compare(list(masks), list(labels), {4: np.array([0, 1]), 9: np.array([2])})
    parts, groups = (adjusted_rand(of[0, 2], of[1, 2]) for of in (masks, labels))
    expected = pd.DataFrame(
        {
            "pid": [4, 9],
            "images": [2, 1],
            "same_part": [100 / 3, 75 / 3],
            "rand_parts": [1.0, (parts + 1 + 0) / 3],  # one group each is the same, against one all else is by chance
            "rand_labels": [1.0, (groups + 0 + 0) / 3],
        }
    )
    pd.testing.assert_frame_equal(found.identities, expected)
    assert found.same_part == pytest.approx((100 * 11 / 12 + 0 + 0) / 3)
    assert found.rand_parts == pytest.approx(expected["rand_parts"].mean())
    assert found.rand_labels == pytest.approx(expected["rand_labels"].mean())


def test_the_order_of_seeds_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    masks = list(rng.integers(0, 4, (3, 5, 4, 2), np.uint8))
    rows_of = {1: np.arange(3), 2: np.arange(3, 5)}
    first, second = compare(masks, masks, rows_of), compare(masks[::-1], masks[::-1], rows_of)
    assert first.same_part == pytest.approx(second.same_part)
    assert first.rand_labels == pytest.approx(second.rand_labels)


def test_without_masks_nothing_is_known() -> None:
    nothing = np.full((2, 4, 2), UNLABELLED, np.uint8)
    found = compare([nothing, nothing], [nothing, nothing], {1: np.arange(2)})
    assert np.isnan(found.same_part)
    assert np.isnan([found.rand_parts, found.rand_labels]).all()
    assert found.identities["same_part"].isna().all()
