"""The convolution of tiles equals PyTorch's, forward and back."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from hcga.coparsing.decoder import build_decoder, decode
from hcga.coparsing.winograd import convolve_tiles, to_map, to_tiles


def random(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def flatten(features):
    """(B, N, q, h, w) -> (N, B * q, h, w), the input of the plain formulation."""
    return features.transpose(0, 1).flatten(1, 2)


@pytest.mark.parametrize("decoders", [1, 3])
@pytest.mark.parametrize("size", [(4, 4), (8, 12), (16, 4)])
def test_equals_the_direct_convolution(size, decoders):
    features, weight = random(0, decoders, 2, 6, *size), random(1, decoders * 5, 6, 3, 3).requires_grad_()
    direct = functional.conv2d(flatten(features), weight, padding=1, groups=decoders)
    found = to_map(convolve_tiles(to_tiles(features), weight), *size)
    scale = direct.detach().abs().max()
    torch.testing.assert_close(found / scale, direct / scale, atol=5e-6, rtol=0)
    given = random(2, *direct.shape)
    (expected,) = torch.autograd.grad(direct, weight, given)
    (gradient,) = torch.autograd.grad(found, weight, given)
    scale = expected.abs().max()
    torch.testing.assert_close(gradient / scale, expected / scale, atol=5e-6, rtol=0)


def test_half_precision_is_widened_first():
    features = random(3, 1, 2, 3, 8, 4).half()
    assert torch.equal(to_tiles(features), to_tiles(features.float()))


@pytest.mark.parametrize("size", [(6, 8), (8, 6)])
def test_maps_of_another_size_are_refused(size):
    with pytest.raises(ValueError, match=f"{size[0]} x {size[1]} cells; both must be multiples of 4"):
        to_tiles(random(4, 1, 1, 2, *size))


@pytest.mark.parametrize("decoders", [1, 2])
def test_decode_equals_the_plain_decoder_and_its_gradients(decoders):
    decoder = build_decoder(6, 64, 8, [torch.Generator().manual_seed(seed) for seed in range(decoders)])
    features = random(5, decoders, 3, 6, 8, 12)
    plain = decoder(flatten(features))
    given = random(6, *plain.shape)
    expected = torch.autograd.grad(plain, list(decoder.parameters()), given)
    found = decode(decoder, to_tiles(features), 8, 12)
    torch.testing.assert_close(found, plain, atol=2e-5, rtol=0)
    for one, other in zip(torch.autograd.grad(found, list(decoder.parameters()), given), expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5 * float(other.abs().max()), rtol=0)
    assert found.is_contiguous(memory_format=torch.channels_last)
