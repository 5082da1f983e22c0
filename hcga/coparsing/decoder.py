"""The decoder of HCNet (III-B, Network Architecture)."""

from __future__ import annotations

import torch
from torch import nn


def build_decoder(channels: int, labels: int, generator: torch.Generator) -> nn.Sequential:
    """Build a fresh decoder: conv3x3 q->64, 1x1 64->32, 3x3 32->64, 1x1 64->C', each with batch norm.

    The authors' convolutions carry a bias, which the batch norm behind each takes away again: it is left out.
    Weights are Kaiming-uniform as PyTorch's convolutions draw them (a = sqrt(5)), which is what the authors'
    code does; batch norm makes the output independent of their scale, but the step size of SGD is not.

    Parameters
    ----------
    channels : int
        q of the features; 3 for RGB.
    labels : int
        C', number of outputs.
    generator : torch.Generator
        Decides the weights.

    Returns
    -------
    nn.Sequential
        (N, q, h, w) float32 -> (N, C', h, w) float32, in training mode: the batch is all there is, so batch
        statistics are used throughout.
    """
    widths = [(channels, 64, 3), (64, 32, 1), (32, 64, 3), (64, labels, 1)]
    layers: list[nn.Module] = []
    for inputs, outputs, kernel in widths:
        convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        nn.init.kaiming_uniform_(convolution.weight, a=5**0.5, generator=generator)
        layers += [convolution, nn.BatchNorm2d(outputs, track_running_stats=False), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(memory_format=torch.channels_last)
