"""The gradient of HCNet's loss with respect to the decoder's output, written out.

The loss itself is not needed to train, and its gradient is a softmax and a few signs: a third of the passes over memory
that automatic differentiation of `hcga.coparsing.losses` makes, which is the tested reference.
"""

from __future__ import annotations

import torch

from hcga.coparsing.losses import Norm, neighbours
from hcga.params import Coparse


def hcnet_gradient(output: torch.Tensor, labels: torch.Tensor, paired: torch.Tensor, params: Coparse) -> torch.Tensor:
    """Gradient of Eq. (5), of each of B decoders by itself.

    Parameters
    ----------
    output : (N, h, w, B, C') float32
    labels : (N, h, w, B) int64
        Its argmax.
    paired : (B, N - 1) bool
        From `adjacent_pairs`.
    params : Coparse

    Returns
    -------
    (N, h, w, B, C') float32
    """
    images, height, width, _, channels = output.shape
    cells = images * height * width
    if params.semantic_weight:
        gradient = output.softmax(-1)
        chosen = labels.unsqueeze(-1)
        gradient.scatter_(-1, chosen, gradient.gather(-1, chosen) - 1)
        gradient *= params.semantic_weight / cells
    else:
        gradient = torch.zeros_like(output)
    if params.local_weight:
        for weight, first, second in neighbours(height, width, params.window, params.diagonal_weight):
            slope = _slope(output[:, *first], output[:, *second], params.norm)
            share = params.local_weight * weight / (slope[:, :, :, 0].numel())
            gradient[:, *first].add_(slope, alpha=share)
            gradient[:, *second].sub_(slope, alpha=share)
    if params.back_weight and paired.any():
        values = paired.sum(1) * height * width * channels
        shares = params.back_weight * paired / values.clamp(min=1)[:, None]
        slope = _slope(output[:-1], output[1:], params.norm)
        slope *= shares.T[:, None, None, :, None]
        gradient[:-1] += slope
        gradient[1:] -= slope
    return gradient


def _slope(first: torch.Tensor, second: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Derivative of |first - second| ** norm with respect to `first`; minus that of `second`."""
    difference = first - second
    return torch.sign(difference, out=difference) if norm == 1 else difference.mul_(2)
