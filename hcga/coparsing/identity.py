"""HCNet on identities, each by itself (Algorithm 1, lines 2 to 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from threading import Event
from typing import NamedTuple

import numpy as np
import torch

from hcga.coparsing.decoder import build_decoder, decode
from hcga.coparsing.gradients import hcnet_gradient
from hcga.coparsing.inputs import as_input
from hcga.coparsing.losses import adjacent_pairs
from hcga.coparsing.winograd import to_tiles
from hcga.params import Coparse


class Labelling(NamedTuple):
    """What HCNet leaves of one identity."""

    labels: np.ndarray  # (N, h, w) uint8, below C'
    iterations: int  # forward passes done
    labels_left: int  # distinct labels in `labels`


def label_identity(
    pid: int, camids: np.ndarray, values: np.ndarray, params: Coparse, seed: tuple[int, ...]
) -> Labelling:
    """Label the images of one identity.

    Parameters
    ----------
    pid : int
    camids : (n,) int64
        Of its images.
    values : (n, ...)
        Their rows of an `hcga.coparsing.inputs.Input`.
    params : Coparse
    seed : tuple of int
        (seed, epoch); the decoder's comes from it and the pid.

    Raises
    ------
    FloatingPointError
        See `label_together`.
    """
    (found,) = label_together(as_input(values)[None], camids[None], params, [(*seed, pid)])
    return found


def label_together(
    features: np.ndarray,
    camids: np.ndarray,
    params: Coparse,
    seeds: Sequence[tuple[int, ...]],
    device: torch.device | str = "cpu",
    given_up: Event | None = None,
) -> list[Labelling]:
    """Train a fresh decoder for each of B identities on its images alone, side by side, until few labels are left.

    Parameters
    ----------
    features : (B, N, q, h, w) float16 or float32
        V, in the order camera, frame; h and w multiples of 4.
    camids : (B, N) int64
    params : Coparse
    seeds : sequence of tuple of int
        Decide the decoders' weights; the last of each is the pid.
    device : torch.device or str
        Where to compute. On processor cores one identity at a time is fastest, on a GPU many.
    given_up : threading.Event, optional
        Set by another thread that no longer wants the result.

    Returns
    -------
    list of Labelling
        For each identity the labels of its last forward pass: the first with at most `min_labels` distinct ones, or
        the last of `iterations`. As in the authors' code they are those before that iteration's step.

    Raises
    ------
    FloatingPointError
        The features are not all finite, or a decoder has diverged.
    concurrent.futures.CancelledError
        It was given up.
    """
    for seed, of_identity in zip(seeds, features, strict=True):
        require_finite(of_identity, seed[-1])
    decoder = seeded_decoder(features.shape[2], params, seeds)
    tiles = to_tiles(torch.from_numpy(features).to(device))
    height, width = features.shape[3:]
    del features, of_identity  # a tenth of a worker's memory
    cameras, pids = torch.from_numpy(camids).to(device), [seed[-1] for seed in seeds]
    return train_decoders(decoder.to(device), tiles, height, width, cameras, params, pids, given_up)


def require_finite(features: np.ndarray, pid: int) -> None:
    """Refuse features (N, q, h, w) of an identity that are not finite, with a `FloatingPointError`."""
    if not np.isfinite(features).all():
        raise FloatingPointError(f"features of identity {pid} are not finite; the training before has diverged")


def seeded_decoder(channels: int, params: Coparse, seeds: Sequence[tuple[int, ...]]) -> torch.nn.Sequential:
    """Build fresh decoders side by side, each with weights that its seed decides."""
    numbers = [int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1) for seed in seeds]
    generators = [torch.Generator().manual_seed(number) for number in numbers]
    return build_decoder(channels, params.decoder_width, params.labels, generators)


def train_decoders(
    decoder: torch.nn.Sequential,
    tiles: torch.Tensor,
    height: int,
    width: int,
    camids: torch.Tensor,
    params: Coparse,
    pids: Sequence[int],
    given_up: Event | None = None,
) -> list[Labelling]:
    """Train given decoders, B side by side, on features brought to tiles; see `label_together`.

    All are trained until the last is done; what becomes of one after that does not matter.

    Parameters
    ----------
    decoder : nn.Sequential
        Changed in place.
    tiles : (N, B, 36, T, q) float32
        From `to_tiles`.
    height, width : int
        h and w of the features.
    camids : (B, N) int64
    params : Coparse
    pids : sequence of int
        Whose they are.
    given_up : threading.Event, optional

    Raises
    ------
    FloatingPointError
        A decoder has diverged; the message names the identity and the iteration.
    concurrent.futures.CancelledError
        It was given up.
    """
    found: dict[int, Labelling] = {}
    for iteration, (scores, labels) in enumerate(iterate(decoder, tiles, height, width, camids, params), 1):
        if given_up and given_up.is_set():
            raise CancelledError
        finite, left = scores.isfinite().all((0, 1, 2, 4)).tolist(), count_labels(labels, params.labels)
        for number, pid in enumerate(pids):
            if pid in found:
                continue
            if not finite[number]:
                raise FloatingPointError(
                    f"identity {pid}: iteration {iteration} of co-parsing: the decoder's scores are not finite; lower "
                    "coparse.learning_rate or the weights of the losses"
                )
            if left[number] <= params.min_labels or iteration == params.iterations:
                found[pid] = Labelling(labels[..., number].to("cpu", torch.uint8).numpy(), iteration, left[number])
        if len(found) == len(pids):
            break
    return [found[pid] for pid in pids]


def iterate(
    decoder: torch.nn.Sequential, tiles: torch.Tensor, height: int, width: int, camids: torch.Tensor, params: Coparse
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Give what one forward pass after another makes of the features; arguments as of `train_decoders`.

    The step of the optimisation is made when the next pass is asked for, so that none is made in vain.

    Yields
    ------
    scores : (N, h, w, B, C') float32
        The decoders' output.
    labels : (N, h, w, B) int64
        Its argmax.
    """
    images, count = tiles.shape[:2]
    paired = adjacent_pairs(camids, params.pairs)
    weights = list(decoder.parameters())
    velocities = [torch.zeros_like(weight) for weight in weights]
    for _ in range(params.iterations):
        output = decode(decoder, tiles, height, width)
        scores = output.detach().permute(0, 2, 3, 1).view(images, height, width, count, -1)
        labels = scores.argmax(-1)
        yield scores, labels
        gradient = hcnet_gradient(scores, labels, paired, params).view(images, height, width, -1).permute(0, 3, 1, 2)
        gradients = torch.autograd.grad(output, weights, gradient)
        _descend(weights, velocities, gradients, params)


@torch.no_grad()
def _descend(
    weights: Sequence[torch.Tensor],
    velocities: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor],
    params: Coparse,
) -> None:
    """A step of SGD with momentum. PyTorch's own would have every worker load its compiler first: 1 s and 100 MB."""
    for weight, velocity, gradient in zip(weights, velocities, gradients, strict=True):
        velocity.mul_(params.momentum).add_(gradient)
        weight.sub_(velocity, alpha=params.learning_rate)


def count_labels(labels: torch.Tensor, most: int) -> list[int]:
    """Count the distinct labels of each decoder; `labels` (N, h, w, B) int64 below `most`."""
    count = labels.shape[-1]
    seen = labels.new_zeros(count * most)
    seen.index_fill_(0, (labels + most * torch.arange(count, device=labels.device)).flatten(), 1)
    left: list[int] = seen.view(count, most).sum(1).tolist()
    return left
