"""Whether a batch of images fits into memory as a network looks at it, said before the first one."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from hcga.devices import free_on
from hcga.errors import InputError
from hcga.network.prnet import PRNet
from hcga.resources import in_words


def refuse_large_images(network: PRNet, count: int, size: tuple[int, int]) -> None:
    """Refuse images for a batch of which there is too little memory.

    Parameters
    ----------
    network : PRNet
        On the device to use; left as it is.
    count : int
        Images of a batch.
    size : (int, int)
        Their H and W, pixels.

    Raises
    ------
    InputError
        The least that a batch needs is more than what is free. A little more than that may still be too little.
    """
    device = network.mean.device
    need = pass_bytes(network, (count, *size))
    free = free_on(device)
    if need > free:
        raise InputError(
            f"{count} images of {size[0]} x {size[1]} pixels at once need more than {in_words(need)} of memory, and "
            f"{in_words(free)} are free; use a larger machine, or a network of smaller images"
        )


def pass_bytes(network: PRNet, shape: tuple[int, int, int]) -> float:
    """Bytes that a pass without gradients needs at least, found without computing it.

    Parameters
    ----------
    network : PRNet
    shape : (int, int, int)
        N, H and W of a batch.

    Returns
    -------
    float
        What one layer reads and writes at most. 0 if it cannot be told, as of a network that looks at values to decide
        what to do.
    """
    described = copy.deepcopy(network).to("meta").eval()  # tensors without values
    most = 0

    def note(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal most
        tensors = [value for value in (*inputs, output) if isinstance(value, torch.Tensor)]
        most = max(most, sum(value.nbytes for value in tensors))

    for layer in described.modules():
        if not any(layer.children()):
            layer.register_forward_hook(note)
    try:
        with torch.inference_mode():
            described.backbone(torch.empty((shape[0], 3, *shape[1:]), device="meta"))
    except RuntimeError:
        return 0.0
    return float(most)
