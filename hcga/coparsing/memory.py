"""How much memory co-parsing takes, and how many workers fit into it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from hcga.cores import available_cores
from hcga.errors import InputError
from hcga.resources import GB
from hcga.wording import counted

log = logging.getLogger(__name__)
WORKER = 2e8  # bytes of its own before it has work


def hcnet_bytes(shape: tuple[int, ...]) -> float:
    """Bytes that HCNet takes for an image whose features, or pixels, are of `shape` (q, h, w).

    Float32 values a cell: 36/16 of the features in `to_tiles`, the features themselves, also as they are stored, and
    what the layers keep.
    """
    channels, height, width = shape
    return 4.0 * ((2.25 + 1 + 0.5) * channels + 1000) * height * width


def isp_bytes(shape: tuple[int, ...]) -> float:
    """Bytes that k-means takes for an image, as it was measured: four float32 values for each of the features."""
    return 4.0 * 4 * float(np.prod(shape))


def choose_workers(images: Sequence[int], of_image: float, wanted: int | None, free: float) -> int:
    """How many workers to start.

    Parameters
    ----------
    images : sequence of int
        Of each identity, the most first.
    of_image : float
        Bytes for an image of an identity that is being worked on.
    wanted : int or None
        Not more than this; None for one a core, or as many as there is memory for.
    free : float
        Bytes of memory.

    Raises
    ------
    InputError
        There is not enough memory for so many, or for one.
    """
    most = min(wanted or available_cores(), len(images))
    need = np.cumsum([WORKER + count * of_image for count in images[:most]])
    fit = int((need <= free).sum())
    if fit == most:
        return most
    if not fit:
        raise InputError(
            f"co-parsing the largest identity ({counted(images[0], 'image')}) needs about {need[0] / GB:.1f} GB of "
            f"memory, and {free / GB:.1f} are free; make image or backbone.channels smaller, or use a larger machine"
        )
    told = f"{most} workers need about {need[-1] / GB:.1f} GB of memory at most, and {free / GB:.1f} are free"
    if wanted:
        raise InputError(f"coparse.workers: {told}; set it to {fit}, or to null")
    log.info("%s: %s", told, counted(fit, "worker"))
    return fit
