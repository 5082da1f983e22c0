"""The three consistency losses of HCNet (III-B), each a mean, as in the authors' code.

The paper writes sums; a mean makes the weights of Eq. (5) independent of image size and number of images, and
the published weights belong to means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch.nn import functional

from hcga.params import Coparse

Norm = Literal[1, 2]


class HCNetLoss(NamedTuple):
    """The loss of HCNet and its terms without their weights, each () float32."""

    semantic: torch.Tensor
    local: torch.Tensor
    back: torch.Tensor
    total: torch.Tensor


def hcnet_loss(output: torch.Tensor, paired: torch.Tensor, params: Coparse) -> HCNetLoss:
    """Eq. (5): the weighted sum of the three losses, whose gradient `hcnet_gradient` is.

    Parameters
    ----------
    output : (N, C', h, w) float32
    paired : (N - 1,) bool
        From `adjacent_pairs`.
    params : Coparse
    """
    semantic = semantic_loss(output)
    local = local_loss(output, params.window, params.norm, params.diagonal_weight)
    back = background_loss(output, paired, params.norm)
    total = params.semantic_weight * semantic + params.local_weight * local + params.back_weight * back
    return HCNetLoss(semantic, local, back, total)


def semantic_loss(output: torch.Tensor) -> torch.Tensor:
    """Eq. (3): cross-entropy of each cell against its own most likely label.

    Parameters
    ----------
    output : (N, C', h, w) float32

    Returns
    -------
    () float32
        Mean over cells.
    """
    return functional.cross_entropy(output, output.argmax(1))


def local_loss(output: torch.Tensor, window: int, norm: Norm, diagonal_weight: float) -> torch.Tensor:
    """Eq. (2): difference of each cell from its neighbours in a window, each unordered pair once.

    Parameters
    ----------
    output : (N, C', h, w) float32
    window : int
        R, odd. 3 has four offsets (right, down, two diagonals), 5 has twelve.
    norm : {1, 2}
        p: absolute or squared differences.
    diagonal_weight : float
        Weight of the offsets that are neither horizontal nor vertical, relative to those that are. The paper
        has no such weight (1); the authors' scripts have 1 beside lambda_L = 2, so 0.5, or 0.

    Returns
    -------
    () float32
        Weighted sum over offsets of the mean over cells and channels; offsets that do not fit count nothing.
    """
    total = output.new_zeros(())
    height, width = output.shape[2:]
    for weight, first, second in neighbours(height, width, window, diagonal_weight):
        total = total + weight * _difference(output[:, :, *first], output[:, :, *second], norm)
    return total


def neighbours(
    height: int, width: int, window: int, diagonal_weight: float
) -> Iterator[tuple[float, tuple[slice, slice], tuple[slice, slice]]]:
    """Offsets of Eq. (2), each unordered pair of cells once; those that do not fit or weigh nothing are left out.

    Parameters
    ----------
    height, width : int
        h and w.
    window, diagonal_weight
        As in `local_loss`.

    Yields
    ------
    (float, (slice, slice), (slice, slice))
        Weight of the offset; rows and columns of the cells, and those of their neighbours.
    """
    reach = window // 2
    for down in range(min(reach, height - 1) + 1):
        for right in range(-min(reach, width - 1), min(reach, width - 1) + 1):
            weight = 1.0 if down == 0 or right == 0 else diagonal_weight
            if (down, right) > (0, 0) and weight:
                first = slice(None, height - down), slice(max(0, -right), width - max(0, right))
                second = slice(down, None), slice(max(0, right), width - max(0, -right))
                yield weight, first, second


def background_loss(output: torch.Tensor, paired: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Eq. (4): difference of adjacent images.

    Parameters
    ----------
    output : (N, C', h, w) float32
    paired : (N - 1,) bool
        From `adjacent_pairs`.
    norm : {1, 2}
        p.

    Returns
    -------
    () float32
        Mean over pairs, cells and channels; 0 where there is no pair.
    """
    if not paired.any():
        return output.new_zeros(())
    return _difference(output[:-1][paired], output[1:][paired], norm)


def adjacent_pairs(camids: torch.Tensor, pairs: Literal["camera", "sequence"]) -> torch.Tensor:
    """Which images make a pair of Eq. (4) with the one after them.

    Parameters
    ----------
    camids : (..., N) int64
        In the order of the images: camera, then frame.
    pairs : {'camera', 'sequence'}
        `camera`: both of one camera, as the paper says. `sequence`: all neighbours in the order, whatever the
        camera, as the authors' code does.

    Returns
    -------
    (..., N - 1) bool
    """
    same = camids[..., 1:] == camids[..., :-1]
    return torch.ones_like(same) if pairs == "sequence" else same


def _difference(first: torch.Tensor, second: torch.Tensor, norm: Norm) -> torch.Tensor:
    return functional.l1_loss(first, second) if norm == 1 else functional.mse_loss(first, second)
