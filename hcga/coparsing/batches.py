"""HCNet on many identities on a GPU: those with the same number of images side by side."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import groupby

import numpy as np
import torch

from hcga.coparsing.identity import Labelling, label_together
from hcga.coparsing.inputs import Input, as_input
from hcga.coparsing.memory import hcnet_bytes
from hcga.params import Coparse
from hcga.progress import Progress
from hcga.stores import array, open_store, read_rows

log = logging.getLogger(__name__)


def label_in_batches(
    source: Input,
    identities: Mapping[int, np.ndarray],
    camids: np.ndarray,
    params: Coparse,
    seed: tuple[int, ...],
    device: torch.device,
    memory: int,
) -> Iterator[tuple[int, Labelling]]:
    """Label the images of each identity with HCNet, several identities at once.

    Each has a decoder of its own, started from the same weights as on processor cores; sums run in another order, so
    labels may differ in the cells where two are nearly alike.

    Parameters
    ----------
    source : Input
    identities : mapping of int to (n,) int64
        pid to rows.
    camids : (N,) int64
    params : Coparse
    seed : tuple of int
        (seed, epoch).
    device : torch.device
    memory : int
        Bytes that a batch may take there.

    Yields
    ------
    (int, Labelling)
        pid and its labels.

    Raises
    ------
    InputError
        The store is missing or lacks the array.
    FloatingPointError
        See `label_together`.
    """
    store = array(open_store(source.store), source.name)
    shape = as_input(np.asarray(store[:1])).shape[1:]
    by_size = sorted(identities, key=lambda pid: (len(identities[pid]), pid))
    batches: list[list[int]] = []
    for images, group in groupby(by_size, key=lambda pid: len(identities[pid])):
        alike, most = list(group), identities_at_once(images, shape, memory)
        batches += [alike[start : start + most] for start in range(0, len(alike), most)]
    log.info("%d identities in %d batches", len(identities), len(batches))
    with Progress("co-parsing", len(identities), "identity") as progress:
        for pids in batches:
            rows = np.stack([identities[pid] for pid in pids])
            values = np.stack([as_input(read_rows(store, of_identity)) for of_identity in rows])
            found = label_together(values, camids[rows], params, [(*seed, pid) for pid in pids], device)
            yield from zip(pids, found, strict=True)
            progress.update(len(pids))


def identities_at_once(images: int, shape: tuple[int, ...], memory: int) -> int:
    """How many identities of `images` images with feature maps of `shape` (q, h, w) fit into `memory` bytes."""
    return max(1, int(memory // (images * hcnet_bytes(shape))))


def free_cuda_memory(device: torch.device) -> int:
    """Half of the free bytes of a cuda device: the rest is for what the allocator cannot use."""
    return torch.cuda.mem_get_info(device)[0] // 2
