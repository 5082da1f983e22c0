"""The state before the first round."""

from __future__ import annotations

import torch

from hcga.backbone import load_weights
from hcga.params import Backbone
from hcga.prnet import Card, PRNet, new_card


def initial_network(
    params: Backbone, part_classes: int, identities: int, size: tuple[int, int], seed: int
) -> tuple[PRNet, Card]:
    """Build PRNet with a pretrained backbone (ImageNet, III-B) and everything else drawn at random.

    Parameters
    ----------
    params : Backbone
    part_classes : int
        C.
    identities : int
        Training identities, the outputs of the classifiers.
    size : (int, int)
        Height and width of the input in pixels.
    seed : int

    Returns
    -------
    network : PRNet
    card : Card

    Raises
    ------
    InputError
        The backbone or its weights do not exist or do not fit.
    """
    card = new_card(params.name, params.channels, params.attention, part_classes, identities, size)
    torch.manual_seed(seed)
    network = PRNet(card)
    load_weights(network.backbone, params.name, params.weights)
    return network, card
