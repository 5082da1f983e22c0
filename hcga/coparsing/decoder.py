"""The decoder of HCNet (III-B, Network Architecture)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hcga.coparsing.winograd import convolve_tiles, to_map


def build_decoder(channels: int, width: int, labels: int, generators: Sequence[torch.Generator]) -> nn.Sequential:
    """Build fresh decoders: conv3x3 q->W, 1x1 W->W/2, 3x3 W/2->W, 1x1 W->C', each with batch norm.

    Several decoders stand side by side as groups of the channels: no weight and no statistic is shared, so each is
    trained as if it were alone.

    The authors' convolutions carry a bias, which the batch norm behind each takes away again: it is left out.
    Weights are Kaiming-uniform as PyTorch's convolutions draw them (a = sqrt(5)), which is what the authors'
    code does; batch norm makes the output independent of their scale, but the step size of SGD is not.

    Parameters
    ----------
    channels : int
        q of the features; 3 for RGB.
    width : int
        W, even; 64 in the paper.
    labels : int
        C', number of outputs.
    generators : sequence of torch.Generator
        One a decoder, B of them; each decides its decoder's weights.

    Returns
    -------
    nn.Sequential
        (N, B * q, h, w) float32 -> (N, B * C', h, w) float32, in training mode: the batch is all there is, so batch
        statistics are used throughout. This is the plain formulation; `decode` computes the same faster.
    """
    count = len(generators)
    widths = [(channels, width, 3), (width, width // 2, 1), (width // 2, width, 3), (width, labels, 1)]
    layers: list[nn.Module] = []
    for inputs, outputs, kernel in widths:
        convolution = nn.Conv2d(count * inputs, count * outputs, kernel, padding=kernel // 2, groups=count, bias=False)
        for weight, generator in zip(convolution.weight.chunk(count), generators, strict=True):
            nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
        layers += [convolution, nn.BatchNorm2d(count * outputs, track_running_stats=False), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1]).to(memory_format=torch.channels_last)


def decode(decoder: nn.Sequential, tiles: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Compute what `decoder` computes, the first convolution by Winograd's algorithm.

    Parameters
    ----------
    decoder : nn.Sequential
        From `build_decoder`.
    tiles : (N, B, 36, T, q) float32
        The features, from `to_tiles`.
    height, width : int
        h and w of the features.

    Returns
    -------
    (N, B * C', h, w) float32
        In memory with channels last.
    """
    convolution1, norm1, relu, convolution2, norm2, _, convolution3, norm3, _, convolution4, norm4 = decoder
    decoders = tiles.shape[1]
    cells = relu(norm1(convolve_tiles(tiles, _weight(convolution1))))  # in an order that 1x1 kernels do not see
    cells = relu(norm2(_convolve_cells(cells, _weight(convolution2), decoders)))
    maps = relu(norm3(convolution3(to_map(cells, height, width))))
    result: torch.Tensor = norm4(_convolve_cells(maps, _weight(convolution4), decoders))
    return result


def _convolve_cells(maps: torch.Tensor, weight: torch.Tensor, decoders: int) -> torch.Tensor:
    """1x1 convolution as a product of matrices, which is twice as fast forward and back."""
    images, _, height, width = maps.shape
    cells = maps.permute(0, 2, 3, 1).reshape(images * height * width, decoders, -1).transpose(0, 1)
    products = cells @ weight.view(decoders, -1, cells.shape[2]).transpose(1, 2)
    return products.transpose(0, 1).reshape(images, height, width, -1).permute(0, 3, 1, 2)


def _weight(layer: nn.Module) -> torch.Tensor:
    assert isinstance(layer, nn.Conv2d)
    return layer.weight
