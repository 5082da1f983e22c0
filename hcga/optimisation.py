"""The one optimisation that runs through all rounds (IV-A): Adam, warm-up, milestones."""

from __future__ import annotations

import torch

from hcga.params import Train
from hcga.prnet import PRNet

WARMUP_START = 0.01  # share of the learning rate in the first epoch (authors' code)


def build_optimiser(network: PRNet, params: Train) -> torch.optim.Adam:
    """Adam over all parameters that learn (IV-A), in the network's order."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(learning, lr=params.learning_rate, weight_decay=params.weight_decay)


def learning_rate(epoch: int, params: Train) -> float:
    """Learning rate of an epoch, counted from 0 over all rounds.

    Linear from 1 % during the warm-up epochs, then multiplied by `decay` at each milestone.
    """
    warm = min(1.0, epoch / params.warmup_epochs) if params.warmup_epochs else 1.0
    decayed = params.decay ** sum(epoch >= milestone for milestone in params.milestones)
    return params.learning_rate * (WARMUP_START + (1 - WARMUP_START) * warm) * decayed
