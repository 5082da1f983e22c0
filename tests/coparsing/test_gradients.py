"""The gradient written out: the authors' numbers, automatic differentiation, several decoders."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hcga.coparsing.gradients import hcnet_gradient
from hcga.coparsing.losses import adjacent_pairs, hcnet_loss

GOLDEN = Path(__file__).parent.parent / "golden"
# The weights of the authors' script for Occluded-Duke, see test_losses.py.
AUTHORS = {"semantic_weight": 1.0, "local_weight": 2.0, "diagonal_weight": 0.5, "back_weight": 1.0, "window": 3}


def random_outputs(seed, decoders=1, images=4, size=(6, 7)):
    """(N, B, C', h, w); rounded, so that some differences are 0."""
    values = np.random.default_rng(seed).normal(size=(images, decoders, 5, *size))
    return torch.from_numpy(values.round(1).astype(np.float32))


def gradient_of(output, paired, params):
    """`hcnet_gradient` of (N, B, C', h, w)."""
    last = output.permute(0, 3, 4, 1, 2).contiguous()
    return hcnet_gradient(last, last.argmax(-1), paired, params).permute(0, 3, 4, 1, 2)


def by_autograd(output, paired, params):
    output = output.clone().requires_grad_()
    hcnet_loss(output, paired, params).total.backward()
    return output.grad


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("case", ["spec", "two", "c8"])
def test_gradient_equals_the_authors_code(case, norm, default_params):
    """Origin: l?_grad_OD (autograd of the authors' code) in tests/golden."""
    golden = np.load(GOLDEN / f"hcnet_loss_{case}.npz")
    output = torch.from_numpy(golden["output"])
    params = default_params.coparse.model_copy(update={**AUTHORS, "norm": norm})
    found = gradient_of(output[:, None], torch.ones(1, len(output) - 1, dtype=torch.bool), params)[:, 0]
    expected = golden[f"l{norm}_grad_OD"]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"window": 5},
        {"diagonal_weight": 0.0},
        {"semantic_weight": 0.0},
        {"local_weight": 0.0},
        {"back_weight": 0.0},
        {"semantic_weight": 0.0, "local_weight": 0.0, "back_weight": 0.0},
        {"semantic_weight": 3.0, "local_weight": 0.7, "diagonal_weight": 1.3, "back_weight": 1.9},
    ],
    ids=str,
)
@pytest.mark.parametrize("camids", [[1, 1, 1, 1], [1, 1, 2, 2], [1, 2, 3, 4]], ids=str)
def test_gradient_equals_automatic_differentiation(camids, changes, norm, default_params):
    output, paired = random_outputs(1), adjacent_pairs(torch.tensor([camids]), "camera")
    params = default_params.coparse.model_copy(update={**AUTHORS, **changes, "norm": norm})
    expected = by_autograd(output[:, 0], paired[0], params)
    torch.testing.assert_close(gradient_of(output, paired, params)[:, 0], expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 4), (3, 1), (1, 1)])
@pytest.mark.parametrize("images", [1, 2])
def test_small_maps_and_single_images(images, size, default_params):
    output, paired = random_outputs(2, images=images, size=size), torch.ones(1, images - 1, dtype=torch.bool)
    params = default_params.coparse.model_copy(update={**AUTHORS, "norm": 2, "window": 5})
    expected = by_autograd(output[:, 0], paired[0], params)
    torch.testing.assert_close(gradient_of(output, paired, params)[:, 0], expected, atol=1e-7, rtol=1e-5)


def test_decoders_side_by_side_have_the_gradients_they_have_alone(default_params):
    output = random_outputs(3, decoders=3)
    paired = adjacent_pairs(torch.tensor([[1, 1, 2, 2], [1, 2, 3, 4], [5, 5, 5, 5]]), "camera")
    params = default_params.coparse.model_copy(update={**AUTHORS, "norm": 1})
    together = gradient_of(output, paired, params)
    for number in range(3):
        alone = gradient_of(output[:, [number]], paired[[number]], params)
        torch.testing.assert_close(together[:, [number]], alone)
