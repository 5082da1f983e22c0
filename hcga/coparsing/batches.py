"""HCNet on many identities on GPUs: those with the same number of images side by side."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import groupby
from queue import SimpleQueue
from threading import Event

import numpy as np
import torch

from hcga.coparsing.identity import Labelling, label_together
from hcga.coparsing.inputs import Input, as_input
from hcga.coparsing.memory import hcnet_bytes
from hcga.errors import InputError
from hcga.params import Coparse
from hcga.resources import in_words
from hcga.runs.progress import Progress
from hcga.stores import array, open_store, read_rows
from hcga.wording import counted

log = logging.getLogger(__name__)


def label_in_batches(
    source: Input,
    identities: Mapping[int, np.ndarray],
    camids: np.ndarray,
    params: Coparse,
    seed: tuple[int, ...],
    devices: Sequence[torch.device],
    memory: int,
    done: Collection[int] = (),
) -> Iterator[tuple[int, Labelling]]:
    """Label the images of each identity with HCNet, several identities at once, and a batch of them on each device.

    Each has a decoder of its own, started from the same weights as on processor cores; sums run in another order, so
    labels may differ in the cells where two are nearly alike. Which device has which batch changes nothing where they
    are of one kind.

    Parameters
    ----------
    source : Input
    identities : mapping of int to (n,) int64
        pid to rows.
    camids : (N,) int64
    params : Coparse
    seed : tuple of int
        (seed, epoch).
    devices : sequence of torch.device
    memory : int
        Bytes that a batch may take on each.
    done : collection of int
        pids of which nothing is wanted. A batch of which anything is wanted holds them all the same: without them sums
        would run in another order.

    Yields
    ------
    (int, Labelling)
        pid and its labels, in the order of completion.

    Raises
    ------
    InputError
        The store is missing or lacks the array.
    FloatingPointError
        See `label_together`.
    """
    store = array(open_store(source.store), source.name)
    every = _batches(identities, as_input(np.asarray(store[:1])).shape[1:], memory)
    batches, left = [pids for pids in every if set(pids) - set(done)], len(set(identities) - set(done))
    log.info("%d identities in %d batches, %s", left, len(batches), counted(len(devices), "device"))
    idle: SimpleQueue[torch.device] = SimpleQueue()
    given_up = Event()
    for device in devices:
        idle.put(device)

    def label(pids: list[int]) -> list[tuple[int, Labelling]]:
        rows = np.stack([identities[pid] for pid in pids])
        values = np.stack([as_input(read_rows(store, of_identity)) for of_identity in rows])
        device = idle.get()
        try:
            found = label_together(values, camids[rows], params, [(*seed, pid) for pid in pids], device, given_up)
        finally:
            idle.put(device)
        return [(pid, labelling) for pid, labelling in zip(pids, found, strict=True) if pid not in done]

    with Progress("co-parsing", left, "identity") as progress, ThreadPoolExecutor(len(devices)) as pool:
        tasks = [pool.submit(label, pids) for pids in batches]
        try:
            for task in as_completed(tasks):
                yield from task.result()
                progress.update(len(task.result()))
        finally:  # at an error, or when somebody asks to stop
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _batches(identities: Mapping[int, np.ndarray], shape: tuple[int, ...], memory: int) -> list[list[int]]:
    """Put identities with equally many images together, those with most images first, so that devices end together."""
    by_size = sorted(identities, key=lambda pid: (-len(identities[pid]), pid))
    batches: list[list[int]] = []
    for images, group in groupby(by_size, key=lambda pid: len(identities[pid])):
        alike, most = list(group), identities_at_once(images, shape, memory)
        batches += [alike[start : start + most] for start in range(0, len(alike), most)]
    return batches


def identities_at_once(images: int, shape: tuple[int, ...], memory: int) -> int:
    """How many identities of `images` images with feature maps of `shape` (q, h, w) fit into `memory` bytes."""
    return max(1, int(memory // (images * hcnet_bytes(shape))))


def cuda_devices() -> list[torch.device]:
    """All cuda devices that this process may use."""
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]


def memory_of_batches(devices: Sequence[torch.device]) -> int:
    """Bytes that a batch may take: half of the smallest cuda device, whatever is free, so that batches are the same.

    Raises
    ------
    InputError
        Less is free on one.
    """
    states = {device: torch.cuda.mem_get_info(device) for device in devices}
    wanted = min(total for _, total in states.values()) // 2
    for device, (free, _) in states.items():
        if free < wanted:
            raise InputError(
                f"{device}: {in_words(free)} are free, and co-parsing's batches take up to {in_words(wanted)}; end "
                "other programs on it, or choose other devices by CUDA_VISIBLE_DEVICES"
            )
    return wanted
