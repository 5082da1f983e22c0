"""The shared map on its principal components, for co-parsing: an option of this project, not of the paper."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import zarr

from hcga.devices import precision
from hcga.prnet import PRNet
from hcga.stores import read_rows

SAMPLE = 256  # images
BATCH = 64


class Projection(NamedTuple):
    """Directions onto which cells are projected, and how much of them that keeps."""

    directions: torch.Tensor  # (k, q) float32, orthonormal, the largest first
    kept: float  # share of the sample's energy, per cent

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """Project every cell, (N, q, h, w) -> (N, k, h, w) float."""
        projected = self.directions.to(maps.dtype) @ maps.flatten(2)
        return projected.unflatten(2, maps.shape[2:])


def fit_components(network: PRNet, images: zarr.Array[Any], count: int, components: int) -> Projection:
    """Find the principal components of the shared map's cells on a sample of the first images.

    Cells are not centred: zero, which convolutions pad with, stays zero, and with all components kept the projection is
    a rotation, which a decoder with weights drawn at random does not notice.

    Parameters
    ----------
    network : PRNet
        In eval mode, on the device to use.
    images : zarr.Array (N, H, W, 3) uint8
    count : int
        The sample is taken evenly from the first so many.
    components : int
        k, at most the channels q of the map.

    Returns
    -------
    Projection
        On the network's device.
    """
    device = network.mean.device
    sample = np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).round().astype(int))
    moment: torch.Tensor | float = 0.0
    for rows in np.split(sample, range(BATCH, len(sample), BATCH)):
        batch = torch.from_numpy(read_rows(images, rows)).to(device)
        with torch.inference_mode(), precision(device):
            cells = network.maps(batch).float().movedim(1, 0).flatten(1)
            moment = moment + (cells @ cells.T).double().cpu()
    assert isinstance(moment, torch.Tensor)
    energy, vectors = torch.linalg.eigh(moment)  # the smallest first
    directions = vectors.T.flip(0)[:components]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    kept = 100 * float(energy[-components:].sum() / energy.sum())
    return Projection((directions * largest.sign()).float().to(device), kept)
