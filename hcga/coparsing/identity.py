"""HCNet on one identity (Algorithm 1, lines 2 to 8)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from hcga.coparsing.decoder import build_decoder
from hcga.coparsing.losses import adjacent_pairs, background_loss, local_loss, semantic_loss
from hcga.params import Coparse


class Labelling(NamedTuple):
    """What HCNet leaves of one identity."""

    labels: np.ndarray  # (N, h, w) uint8, below C'
    iterations: int  # forward passes done
    labels_left: int  # distinct labels in `labels`


def label_identity(features: np.ndarray, camids: np.ndarray, params: Coparse, seed: tuple[int, ...]) -> Labelling:
    """Train a fresh decoder on the images of one identity until few labels are left.

    Parameters
    ----------
    features : (N, q, h, w) float16 or float32
        V, in the order camera, frame.
    camids : (N,) int64
    params : Coparse
    seed : tuple of int
        Decides the decoder's weights; the last is the pid.

    Returns
    -------
    Labelling
        The labels of the last forward pass: the first with at most `min_labels` distinct ones, or the last of
        `iterations`. As in the authors' code they are those before that iteration's step.

    Raises
    ------
    FloatingPointError
        The features are not all finite.
    """
    if not np.isfinite(features).all():
        raise FloatingPointError(f"features of identity {seed[-1]} are not finite; the training before has diverged")
    number = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)
    generator = torch.Generator().manual_seed(number)
    decoder = build_decoder(features.shape[1], params.labels, generator)
    return train_decoder(decoder, torch.from_numpy(features).float(), torch.from_numpy(camids), params)


def train_decoder(decoder: torch.nn.Module, features: torch.Tensor, camids: torch.Tensor, params: Coparse) -> Labelling:
    """Train a given decoder; see `label_identity`. The decoder is changed in place."""
    features = features.contiguous(memory_format=torch.channels_last)
    pairs = adjacent_pairs(camids, params.pairs)
    optimiser = torch.optim.SGD(decoder.parameters(), lr=params.learning_rate, momentum=params.momentum)
    for iteration in range(1, params.iterations + 1):
        output = decoder(features)
        labels = output.detach().argmax(1)
        labels_left = len(labels.unique())
        if labels_left <= params.min_labels or iteration == params.iterations:
            break
        optimiser.zero_grad()
        hcnet_loss(output, pairs, params).backward()
        optimiser.step()
    return Labelling(labels.to(torch.uint8).numpy(), iteration, labels_left)


def hcnet_loss(output: torch.Tensor, pairs: torch.Tensor, params: Coparse) -> torch.Tensor:
    """Eq. (5): the weighted sum of the three losses.

    Parameters
    ----------
    output : (N, C', h, w) float32
    pairs : (M,) int64
        From `adjacent_pairs`.
    params : Coparse

    Returns
    -------
    () float32
    """
    loss = 0 * output.sum()  # has a gradient even where no term does: an identity without pairs, all weights 0
    if params.semantic_weight:
        loss = loss + params.semantic_weight * semantic_loss(output)
    if params.local_weight:
        loss = loss + params.local_weight * local_loss(output, params.window, params.norm, params.diagonal_weight)
    if params.back_weight:
        loss = loss + params.back_weight * background_loss(output, pairs, params.norm)
    return loss
