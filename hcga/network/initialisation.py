"""The state before the first round."""

from __future__ import annotations

import torch

from hcga.errors import InputError
from hcga.network.backbone import load_weights
from hcga.network.prnet import Card, PRNet, new_card
from hcga.params import Backbone, Pooling


def initial_network(
    params: Backbone, part_classes: int, pooling: Pooling, identities: int, size: tuple[int, int], seed: int
) -> tuple[PRNet, Card]:
    """Build PRNet with a pretrained backbone (ImageNet, III-B) and everything else drawn at random.

    Parameters
    ----------
    params : Backbone
    part_classes : int
        C.
    pooling : {'area', 'mean'}
        See `hcga.network.prnet.pool_aligned`.
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
        The backbone or its weights do not exist or do not fit, or the backbone takes no images of this size.
    """
    card = new_card(params.name, params.channels, params.attention, part_classes, identities, size, pooling)
    torch.manual_seed(seed)
    network = PRNet(card)
    load_weights(network.backbone, params.name, params.weights)
    _try_out(network, params.name, size)
    return network, card


def _try_out(network: PRNet, name: str, size: tuple[int, int]) -> None:
    """Refuse a backbone that cannot serve, such as one of a fixed input size, before a later stage finds out."""
    try:
        with torch.inference_mode():
            network.eval().maps(torch.zeros((1, *size, 3), dtype=torch.uint8))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"backbone.name: {name} gives no feature maps for images of {size[0]} x {size[1]} pixels ({error}); choose "
            "another backbone or image size"
        ) from None
