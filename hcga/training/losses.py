"""The loss of PRNet, Eq. (9)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from hcga.masks.parts import UNLABELLED
from hcga.network.prnet import Training


class Losses(NamedTuple):
    """The terms of Eq. (9), each () float; `parsing` not yet weighted."""

    image: torch.Tensor
    foreground: torch.Tensor
    parts: torch.Tensor
    parsing: torch.Tensor


def prnet_losses(
    output: Training, identities: torch.Tensor, masks: torch.Tensor, label_smoothing: float, margin: float
) -> Losses:
    """Compute the terms of Eq. (9).

    Parameters
    ----------
    output : Training
    identities : (N,) int64
        Class of each image.
    masks : (N, h, w) int64
        Pseudo-masks; UNLABELLED cells do not count.
    label_smoothing, margin : float

    Returns
    -------
    Losses
        image: cross-entropy with label smoothing plus batch-hard triplet loss; foreground and parts:
        cross-entropy with label smoothing; parsing: cross-entropy of each cell, 0 if no cell is labelled.
    """

    def classify(logits: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, identities, label_smoothing=label_smoothing)

    labelled = (masks != UNLABELLED).sum().clamp(min=1)
    parsing = functional.cross_entropy(output.parsing_logits, masks, ignore_index=UNLABELLED, reduction="sum")
    return Losses(
        classify(output.image_logits) + triplet_loss(output.image_features, identities, margin),
        classify(output.foreground_logits),
        classify(output.part_logits),
        parsing / labelled,
    )


def triplet_loss(features: torch.Tensor, identities: torch.Tensor, margin: float) -> torch.Tensor:
    """Batch-hard triplet loss (Hermans et al., arXiv 1703.07737) on Euclidean distances.

    Parameters
    ----------
    features : (N, D) float
        Not normalised.
    identities : (N,) int64
        At least two different ones.
    margin : float

    Returns
    -------
    () float
        Mean over anchors of max(0, farthest positive - nearest negative + margin).
    """
    with torch.autocast(features.device.type, enabled=False):  # distances are small beside the features
        features = features.float()
        squared = features.square().sum(1)
        distances = (squared[:, None] + squared[None] - 2 * features @ features.T).clamp(min=1e-12).sqrt()
    same = identities[:, None] == identities[None]
    positive = distances.where(same, distances.new_tensor(-torch.inf)).amax(1)
    negative = distances.where(~same, distances.new_tensor(torch.inf)).amin(1)
    return (positive - negative + margin).clamp(min=0).mean()
