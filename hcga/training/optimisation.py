"""The one optimisation that runs through all rounds (IV-A): Adam, warm-up, milestones."""

from __future__ import annotations

import torch

from hcga.network.prnet import PRNet
from hcga.params import Train

WARMUP_START = 0.01  # share of the learning rate in the first epoch; authors' code begins an epoch further on


def build_optimiser(network: PRNet, params: Train) -> torch.optim.Adam:
    """Adam over what learns (IV-A): the parsing head, then all others, in the network's order."""
    head = list(network.parsing_head.parameters())
    apart = set(map(id, head))
    others = [each for each in network.parameters() if each.requires_grad and id(each) not in apart]
    groups = [{"params": head, "factor": params.parsing_rate}, {"params": others, "factor": 1.0}]
    optimiser = torch.optim.Adam(groups, weight_decay=params.weight_decay)
    set_learning_rate(optimiser, params.learning_rate)
    return optimiser


def set_learning_rate(optimiser: torch.optim.Adam, rate: float) -> None:
    """Give each group of parameters its multiple of a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]


def learning_rate(epoch: int, params: Train) -> float:
    """Learning rate of an epoch, counted from 0 over all rounds.

    Linear from 1 % during the warm-up epochs, then multiplied by `decay` at each milestone.
    """
    warm = min(1.0, epoch / params.warmup_epochs) if params.warmup_epochs else 1.0
    decayed = params.decay ** sum(epoch >= milestone for milestone in params.milestones)
    return params.learning_rate * (WARMUP_START + (1 - WARMUP_START) * warm) * decayed
