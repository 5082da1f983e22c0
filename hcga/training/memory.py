"""Whether a training step fits into memory, said before the first one."""

from __future__ import annotations

import copy

import torch
from torch import nn

from hcga.devices import float_type, free_on
from hcga.errors import InputError
from hcga.network.prnet import PRNet
from hcga.params import Train
from hcga.resources import GB
from hcga.training.distributed import ALONE, Ranks

COPIES = 4  # of the weights: themselves, their gradients and Adam's two moments


def refuse_large_batch(
    network: PRNet,
    optimiser: torch.optim.Optimizer,
    size: tuple[int, int],
    params: Train,
    t: float | None,
    ranks: Ranks = ALONE,
) -> None:
    """Refuse batches for which there is too little memory.

    Parameters
    ----------
    network : PRNet
        On the device to use; left as it is.
    optimiser : Optimizer
        Of it. Weights and moments that are there already need no further memory.
    size : (int, int)
        H and W of the images, pixels.
    params : Train
    t : float or None
        Of GAM.
    ranks : Ranks, optional
        Processes that share each batch; those on the processor cores of a machine share its memory too.

    Raises
    ------
    InputError
        The least that a step needs is more than what is free. A little more than that may still be too little.
    """
    count, device = params.identities * params.images, network.mean.device
    more = step_bytes(network, (count // ranks.size, *size), t) - held_bytes(network, optimiser)
    need = more * (1 if device.type == "cuda" else ranks.here)
    free = free_on(device)
    if need > free:
        raise InputError(
            f"training on batches of {count} images (train.identities x train.images) of {size[0]} x {size[1]} pixels "
            f"needs more than {need / GB:.1f} GB of memory, and {free / GB:.1f} are free; make the batch or image "
            "smaller, or use a larger machine"
        )


def step_bytes(network: PRNet, shape: tuple[int, int, int], t: float | None) -> float:
    """Bytes that a training step needs at least, found without computing it.

    Parameters
    ----------
    network : PRNet
    shape : (int, int, int)
        N, H and W of a batch.
    t : float or None
        Of GAM.

    Returns
    -------
    float
        What the forward pass keeps for the backward pass, and the weights as often as Adam needs them. Not what layers
        need for a moment. 0 if it cannot be told, as of a network that looks at values to decide what to do.
    """
    device = network.mean.device
    described = copy.deepcopy(network).to("meta").train()  # tensors without values
    weights = {weight.untyped_storage()._cdata: weight.nbytes for weight in _tensors(described)}
    kept: dict[int, int] = {}  # by storage, as several tensors may be views of one

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    images = torch.empty((*shape, 3), dtype=torch.uint8, device="meta")
    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            output = described(images, t)
    except RuntimeError:
        return 0.0
    del output  # until here, as nothing that is kept may give its place to another tensor
    halved = 0.5 if float_type(device) == "bfloat16" else 1.0
    return halved * sum(kept.values()) + COPIES * sum(weights.values())


def held_bytes(network: PRNet, optimiser: torch.optim.Optimizer) -> int:
    """Bytes of the weights, and of the moments that an optimiser has by now."""
    moments = [value for state in optimiser.state.values() for value in state.values() if torch.is_tensor(value)]
    return sum(tensor.nbytes for tensor in (*_tensors(network), *moments))


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
