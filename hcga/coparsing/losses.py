"""The three consistency losses of HCNet (III-B), each a mean, as in the authors' code.

The paper writes sums; a mean makes the weights of Eq. (5) independent of image size and number of images, and
the published weights belong to means.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

Norm = Literal[1, 2]


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
    reach = window // 2
    height, width = output.shape[2:]
    total = output.new_zeros(())
    for down in range(min(reach, height - 1) + 1):
        for right in range(-min(reach, width - 1), min(reach, width - 1) + 1):
            if (down, right) <= (0, 0):
                continue
            weight = 1.0 if down == 0 or right == 0 else diagonal_weight
            if weight:
                first = output[:, :, : height - down, max(0, -right) : width - max(0, right)]
                second = output[:, :, down:, max(0, right) : width - max(0, -right)]
                total = total + weight * _difference(first, second, norm)
    return total


def background_loss(output: torch.Tensor, pairs: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Eq. (4): difference of adjacent images.

    Parameters
    ----------
    output : (N, C', h, w) float32
    pairs : (M,) int64
        The first of each pair; the second is the image after it. See `adjacent_pairs`.
    norm : {1, 2}
        p.

    Returns
    -------
    () float32
        Mean over pairs, cells and channels; 0 where there is no pair.
    """
    if not len(pairs):
        return output.new_zeros(())
    if len(pairs) == len(output) - 1:  # every image: slices spare a copy
        return _difference(output[:-1], output[1:], norm)
    return _difference(output[pairs], output[pairs + 1], norm)


def adjacent_pairs(camids: torch.Tensor, pairs: Literal["camera", "sequence"]) -> torch.Tensor:
    """Which images and their successors make the pairs of Eq. (4).

    Parameters
    ----------
    camids : (N,) int64
        In the order of the images: camera, then frame.
    pairs : {'camera', 'sequence'}
        `camera`: both of one camera, as the paper says. `sequence`: all neighbours in the order, whatever the
        camera, as the authors' code does.

    Returns
    -------
    (M,) int64
        First of each pair, ascending.
    """
    if pairs == "sequence":
        return torch.arange(len(camids) - 1)
    return (camids[1:] == camids[:-1]).nonzero().flatten()


def _difference(first: torch.Tensor, second: torch.Tensor, norm: Norm) -> torch.Tensor:
    return functional.l1_loss(first, second) if norm == 1 else functional.mse_loss(first, second)
