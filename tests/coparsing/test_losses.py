"""Eqs. (2) to (5): worked by hand, against loops, against the authors' numbers, and what must not matter."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from hcga.coparsing.losses import adjacent_pairs, background_loss, hcnet_loss, local_loss, semantic_loss

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = ("spec", "two", "c8")
# The weights of the authors' script for Occluded-Duke: 1 image, 2 height and width, 1 (half of 2) diagonals.
OCCLUDED_DUKE = {
    "semantic_weight": 1.0,
    "local_weight": 2.0,
    "diagonal_weight": 0.5,
    "back_weight": 1.0,
    "window": 3,
}


def random_output(seed, shape=(4, 5, 6, 7)):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def load(case):
    golden = np.load(GOLDEN / f"hcnet_loss_{case}.npz")
    output = torch.from_numpy(golden["output"])
    return golden, output, torch.ones(len(output) - 1, dtype=torch.bool)


def local_loss_by_loops(output, window, norm, diagonal_weight):
    """Eq. (2) cell by cell in float64: for each offset the mean over cells and channels, offsets weighted."""
    values = output.double().numpy()
    reach, (height, width) = window // 2, values.shape[2:]
    differences = {}
    for row in range(height):
        for column in range(width):
            for other_row in range(row, min(height, row + reach + 1)):
                for other_column in range(max(0, column - reach), min(width, column + reach + 1)):
                    offset = (other_row - row, other_column - column)
                    if offset > (0, 0):
                        difference = values[:, :, row, column] - values[:, :, other_row, other_column]
                        differences.setdefault(offset, []).append(np.abs(difference) ** norm)
    weights = {offset: 1 if 0 in offset else diagonal_weight for offset in differences}
    return sum(weights[offset] * np.mean(found) for offset, found in differences.items())


# -- the authors' numbers


@pytest.mark.parametrize("case", CASES)
def test_semantic_loss_equals_the_authors_code(case):
    """Origin: ce in tests/golden."""
    golden, output, _ = load(case)
    assert float(semantic_loss(output)) == pytest.approx(float(golden["ce"]), rel=1e-6)


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_local_loss_equals_the_authors_code_in_every_term(case, norm):
    """Origin: l?_h (along the height), l?_v (along the width), l?_diag? in tests/golden."""
    golden, output, _ = load(case)
    height, width, first, second = (float(golden[f"l{norm}_{name}"]) for name in ("h", "v", "diag1", "diag2"))
    straight = float(local_loss(output, 3, norm, 0.0))
    assert straight == pytest.approx(height + width, rel=1e-6)
    assert float(local_loss(output, 3, norm, 0.5)) == pytest.approx(straight + (first + second) / 2, rel=1e-6)
    # A single column has neighbours along the height only, a single row along the width only.
    columns = [float(local_loss(column, 3, norm, 1.0)) for column in output.split(1, 3)]
    rows = [float(local_loss(row, 3, norm, 1.0)) for row in output.split(1, 2)]
    assert np.mean(columns) == pytest.approx(height, rel=1e-6)
    assert np.mean(rows) == pytest.approx(width, rel=1e-6)


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_background_loss_equals_the_authors_code(case, norm):
    """Origin: l?_img in tests/golden; that code pairs all neighbours in file order."""
    golden, output, pairs = load(case)
    assert float(background_loss(output, pairs, norm)) == pytest.approx(float(golden[f"l{norm}_img"]), rel=1e-6)


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_total_and_gradient_equal_the_authors_code(case, norm, default_params):
    """Origin: l?_total_OD and l?_grad_OD (autograd of the authors' code) in tests/golden."""
    golden, output, pairs = load(case)
    params = default_params.coparse.model_copy(update={**OCCLUDED_DUKE, "norm": norm})
    output.requires_grad_()
    loss = hcnet_loss(output, pairs, params).total
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(golden[f"l{norm}_total_OD"]), rel=1e-6)
    expected = golden[f"l{norm}_grad_OD"]
    np.testing.assert_allclose(output.grad.numpy(), expected, atol=1e-5 * np.abs(expected).max())


# -- worked by hand


def test_hand_made_semantic_loss():
    """Two labels; the likelier has probability 3/4 in one cell and 1/2 in the other."""
    output = torch.tensor([[[[np.log(3.0), 2.0]], [[0.0, 2.0]]]])
    assert float(semantic_loss(output)) == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)


@pytest.mark.parametrize(
    ("norm", "diagonal_weight", "expected"),
    [
        # right: (1 + 4) / 2; down: (3 + 6) / 2; diagonals: 7 and 2
        (1, 0.0, 7.0),
        (1, 1.0, 16.0),
        (1, 0.5, 11.5),
        # right: (1 + 16) / 2; down: (9 + 36) / 2; diagonals: 49 and 4
        (2, 0.0, 31.0),
        (2, 0.5, 57.5),
    ],
)
def test_hand_made_local_loss(norm, diagonal_weight, expected):
    output = torch.tensor([[[[0.0, 1.0], [3.0, 7.0]]]])
    assert float(local_loss(output, 3, norm, diagonal_weight)) == pytest.approx(expected)


def test_hand_made_background_loss():
    """Images 0, 1, 5, 7 everywhere; the pairs (0, 1) and (5, 7), then all three."""
    output = torch.tensor([0.0, 1.0, 5.0, 7.0])[:, None, None, None].expand(4, 2, 3, 2)
    pairs, every = torch.tensor([True, False, True]), torch.ones(3, dtype=torch.bool)
    assert float(background_loss(output, pairs, 1)) == pytest.approx((1 + 2) / 2)
    assert float(background_loss(output, pairs, 2)) == pytest.approx((1 + 4) / 2)
    assert float(background_loss(output, every, 1)) == pytest.approx((1 + 4 + 2) / 3)
    assert float(background_loss(output, every, 2)) == pytest.approx((1 + 16 + 4) / 3)


def test_pairs_are_neighbours_of_one_camera_or_of_the_sequence():
    camids = torch.tensor([1, 1, 2, 3, 3, 3, 1])
    assert adjacent_pairs(camids, "camera").tolist() == [True, False, False, True, True, False]
    assert adjacent_pairs(camids, "sequence").tolist() == [True] * 6
    several = torch.tensor([[1, 1, 2], [1, 2, 2]])
    assert adjacent_pairs(several, "camera").tolist() == [[True, False], [False, True]]
    for pairs in ("camera", "sequence"):
        assert adjacent_pairs(torch.tensor([4]), pairs).tolist() == []
    assert adjacent_pairs(torch.tensor([1, 2, 3]), "camera").tolist() == [False, False]


# -- loops


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("diagonal_weight", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("size", [(6, 7), (2, 3), (1, 4), (3, 1), (1, 1)])
def test_local_loss_equals_loops(size, window, diagonal_weight, norm):
    output = random_output(1, (2, 3, *size))
    expected = local_loss_by_loops(output, window, norm, diagonal_weight)
    assert float(local_loss(output, window, norm, diagonal_weight)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("camids", [[1, 1, 1, 1], [1, 1, 2, 2], [1, 2, 2, 2], [1, 2, 3, 3]])
def test_background_loss_equals_loops(camids, norm):
    output = random_output(2)
    values = output.double().numpy()
    same = [(i, j) for i, j in pairwise(range(4)) if camids[i] == camids[j]]
    expected = np.mean([np.abs(values[i] - values[j]) ** norm for i, j in same])
    pairs = adjacent_pairs(torch.tensor(camids), "camera")
    assert float(background_loss(output, pairs, norm)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm", [1, 2])
def test_without_a_pair_the_background_term_and_its_gradient_are_0(norm, default_params):
    pairs = adjacent_pairs(torch.tensor([1, 2, 3, 4]), "camera")
    assert float(background_loss(random_output(3), pairs, norm)) == 0
    gradients = []
    for weight in (0.0, 7.0):
        output = random_output(3).requires_grad_()
        params = default_params.coparse.model_copy(update={**OCCLUDED_DUKE, "norm": norm, "back_weight": weight})
        hcnet_loss(output, pairs, params).total.backward()
        gradients.append(output.grad)
    assert gradients[0].isfinite().all()
    assert torch.equal(*gradients)


# -- what must not matter


def test_order_of_labels_and_of_images_does_not_matter():
    output, rng = random_output(4), np.random.default_rng(5)
    relabelled, shuffled = output[:, rng.permutation(5)], output[rng.permutation(4)]
    for other in (relabelled, shuffled):
        torch.testing.assert_close(semantic_loss(other), semantic_loss(output))
        torch.testing.assert_close(local_loss(other, 5, 1, 0.5), local_loss(output, 5, 1, 0.5))
    pairs = torch.ones(3, dtype=torch.bool)
    for other in (relabelled, output.flip(0)):
        torch.testing.assert_close(background_loss(other, pairs, 1), background_loss(output, pairs, 1))


@pytest.mark.parametrize("window", [3, 5])
def test_mirrored_images_have_the_same_local_loss(window):
    output = random_output(6)
    before = local_loss(output, window, 1, 0.5)
    for dims in ([2], [3], [2, 3]):
        torch.testing.assert_close(local_loss(output.flip(dims), window, 1, 0.5), before)
    torch.testing.assert_close(local_loss(output.transpose(2, 3), window, 1, 0.5), before)


@pytest.mark.parametrize("norm", [1, 2])
def test_differences_see_no_offset_and_grow_with_the_norm(norm):
    output, offset, pairs = random_output(7), random_output(8, (1, 5, 1, 1)), torch.ones(3, dtype=torch.bool)
    for loss in (lambda y: local_loss(y, 5, norm, 1.0), lambda y: background_loss(y, pairs, norm)):
        torch.testing.assert_close(loss(output + offset), loss(output))
        torch.testing.assert_close(loss(3 * output), 3**norm * loss(output))


def test_semantic_loss_sees_no_offset_of_a_cell_and_falls_with_contrast():
    output, offset = random_output(9), random_output(10, (4, 1, 6, 7))
    torch.testing.assert_close(semantic_loss(output + offset), semantic_loss(output))
    assert semantic_loss(3 * output) < semantic_loss(output)


def test_constant_output_costs_only_the_semantic_term():
    output = torch.full((3, 8, 5, 4), 2.0)
    assert float(local_loss(output, 5, 1, 1.0)) == 0
    assert float(background_loss(output, torch.ones(2, dtype=torch.bool), 2)) == 0
    assert float(semantic_loss(output)) == pytest.approx(np.log(8))
