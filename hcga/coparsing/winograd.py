"""The decoder's first convolution, whose input is the same in every iteration, by Winograd's F(4x4, 3x3).

A 3x3 convolution of a 4x4 tile costs 144 multiplications a channel pair directly and 36 after a linear change of basis
of the input, of the kernel and of the result (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR
2016). Here the input's change is paid once an identity, and its gradient is never asked for. Rounding is some ten times
that of the direct sum, a few millionths of the largest value.

Letters: N images, B decoders side by side, T tiles of an image (h/4 * w/4, row after row), q channels, o outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

TILE = 4  # cells along a side of what is computed at once
WINDOW = TILE + 2  # cells along a side of what that needs
_INPUT: list[list[float]] = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_KERNEL: list[list[float]] = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_RESULT: list[list[float]] = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]


def _in_both_directions(matrix: list[list[float]]) -> torch.Tensor:
    along = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(along, along).float()


INPUT = _in_both_directions(_INPUT)  # (36, 36), from a window's cells
KERNEL = _in_both_directions(_KERNEL)  # (36, 9), from a kernel's cells
RESULT = _in_both_directions(_RESULT)  # (16, 36), to a tile's cells


def to_tiles(features: torch.Tensor) -> torch.Tensor:
    """Bring the input of `convolve_tiles` into its basis.

    Parameters
    ----------
    features : (B, N, q, h, w) floating-point
        h and w multiples of 4.

    Returns
    -------
    (N, B, 36, T, q) float32
        2.25 times as large.

    Raises
    ------
    ValueError
        h or w is no multiple of 4.
    """
    decoders, images, channels, height, width = features.shape
    if height % TILE or width % TILE:
        raise ValueError(f"feature maps of {height} x {width} cells; both must be multiples of {TILE}")
    tiles = features.new_empty((images, decoders, WINDOW**2, height * width // TILE**2, channels), dtype=torch.float32)
    basis = INPUT.to(features.device)
    for of_image, result in zip(features.transpose(0, 1), tiles, strict=True):
        padded = functional.pad(of_image.float(), (1, 1, 1, 1)).permute(0, 2, 3, 1).contiguous()
        windows = padded.unfold(1, WINDOW, TILE).unfold(2, WINDOW, TILE).permute(0, 4, 5, 1, 2, 3)
        torch.matmul(basis, windows.reshape(decoders, WINDOW**2, -1), out=result.view(decoders, WINDOW**2, -1))
    return tiles


def convolve_tiles(tiles: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Convolve with 3x3 kernels, padded by 0; equals `conv2d` with B groups up to rounding and the order of cells.

    Parameters
    ----------
    tiles : (N, B, 36, T, q) float32
        From `to_tiles`; has no gradient.
    weight : (B * o, q, 3, 3) float32

    Returns
    -------
    (N, B * o, 16 * T, 1) float32
        A map of one column, in memory with channels last; cells by their place within the tile, then by tile. `to_map`
        orders them by row and column.
    """
    result: torch.Tensor = _ConvolveTiles.apply(tiles, weight)
    return result


class _ConvolveTiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tiles: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(tiles)
        images, decoders, basis, count, channels = tiles.shape
        kernels = KERNEL.to(weight) @ weight.reshape(-1, 9).T  # (36, B * o * q)
        kernels = kernels.view(basis, decoders, -1, channels).permute(1, 0, 3, 2).contiguous()
        outputs = kernels.shape[-1]
        result = tiles.new_empty((images, TILE**2, count, decoders, outputs))
        to_result = RESULT.to(weight)
        for of_image, into in zip(tiles, result, strict=True):
            products = torch.matmul(of_image, kernels).view(decoders, basis, -1)
            into.copy_((to_result @ products).view(decoders, TILE**2, count, outputs).permute(1, 2, 0, 3))
        return result.view(images, TILE**2 * count, 1, decoders * outputs).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor]:
        (tiles,) = ctx.saved_tensors
        images, decoders, basis, count, channels = tiles.shape
        gradient = gradients[0].permute(0, 2, 3, 1).reshape(images, TILE**2, count, decoders, -1)
        outputs = gradient.shape[-1]
        total = tiles.new_zeros((decoders * basis, outputs, channels))
        from_result = RESULT.T.to(tiles).contiguous()
        for of_image, given in zip(tiles, gradient, strict=True):
            products = from_result @ given.permute(2, 0, 1, 3).reshape(decoders, TILE**2, -1)
            total.baddbmm_(products.view(-1, count, outputs).transpose(1, 2), of_image.flatten(0, 1))
        kernels = total.view(decoders, basis, -1).transpose(0, 1).reshape(basis, -1)
        weight = (KERNEL.T.to(tiles) @ kernels).view(3, 3, decoders * outputs, channels)
        return None, weight.permute(2, 3, 0, 1)


def to_map(cells: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Order cells by row and column.

    Parameters
    ----------
    cells : (N, C, 16 * T, 1) float
        As `convolve_tiles` orders them.
    height, width : int
        h and w.

    Returns
    -------
    (N, C, h, w) float
        In memory with channels last.
    """
    images, channels = cells.shape[:2]
    split = cells.permute(0, 2, 3, 1).reshape(images, TILE, TILE, height // TILE, width // TILE, channels)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(images, height, width, channels).permute(0, 3, 1, 2)
