"""Training of PRNet (IV-A): one optimisation that runs through all rounds."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
import zarr

from hcga.ahead import load_ahead
from hcga.augmentation import augment
from hcga.devices import precision
from hcga.losses import Losses, prnet_losses
from hcga.optimisation import learning_rate
from hcga.params import Train
from hcga.prnet import PRNet
from hcga.progress import counted, track
from hcga.samples import identities
from hcga.sampling import pk_batches
from hcga.stores import read_rows

log = logging.getLogger(__name__)
HELD_BYTES = 2 * 2**30  # of images: over 20,000 of 256 x 128 pixels
COLUMNS = ["epoch", "learning_rate", "loss", *Losses._fields, "accuracy"]


@dataclass(frozen=True)
class TrainingSet:
    """What PRNet is trained on; rows as in the sample table."""

    images: zarr.Array[Any] | np.ndarray  # (N, H, W, 3) uint8; from `hold_images`
    masks: np.ndarray  # (n, h, w) uint8, pseudo-masks of the n training rows
    samples: pd.DataFrame
    parsing: bool  # False: the baseline without parsing, on the image loss alone


def train(
    network: PRNet,
    optimiser: torch.optim.Adam,
    data: TrainingSet,
    params: Train,
    t: float | None,
    epochs: range,
    seed: int,
) -> pd.DataFrame:
    """Train for some epochs.

    All randomness of an epoch comes from (seed, epoch), so that a run cut into rounds equals one in one piece.

    Parameters
    ----------
    network, optimiser
        Changed in place; they stand on the device to use.
    data : TrainingSet
    params : Train
    t : float or None
        Of GAM.
    epochs : range
        Which epochs, counted from 0 over all rounds.
    seed : int

    Returns
    -------
    DataFrame
        One row an epoch: epoch (from 1), learning_rate, loss and its terms (means over batches), accuracy of the
        image classifier in per cent.

    Raises
    ------
    FloatingPointError
        The loss is not finite; the message names epoch and batch.
    """
    rows_of = identities(data.samples)
    classes = {pid: number for number, pid in enumerate(rows_of)}
    targets = torch.from_numpy(data.samples["pid"].map(classes).fillna(-1).to_numpy(np.int64))
    network.train()
    history = []
    for epoch in track(epochs, "training", len(epochs), "epoch", shown=False):
        rng = np.random.default_rng((seed, epoch))
        torch.manual_seed(_torch_seed(seed, epoch))  # for backbones with dropout or stochastic depth
        rate = learning_rate(epoch, params)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batches = list(pk_batches(rows_of, params.identities, params.images, rng))
        load = partial(load_batch, data, params=params, mean=network.mean, rng=rng)
        loaded = load_ahead(batches, load)
        steps = [
            training_step(network, optimiser, images, masks, targets[rows], data.parsing, params, t)
            for rows, (images, masks) in track(loaded, f"epoch {epoch + 1}", len(batches), "batch")
        ]
        terms = torch.stack(steps).cpu().numpy()  # a GPU is not waited for before
        if not np.isfinite(terms[:, 0]).all():
            worst = int(np.flatnonzero(~np.isfinite(terms[:, 0]))[0])
            raise FloatingPointError(
                f"epoch {epoch + 1}, batch {worst + 1} of {len(batches)}: the loss is {terms[worst, 0]}; lower "
                "train.learning_rate"
            )
        means = terms.astype(np.float64).mean(0)
        history.append([epoch + 1, rate, *means.round(5).tolist()])
        log.info("epoch %d: loss %.4f, accuracy %.1f %%, learning rate %.2e", epoch + 1, *means[[0, -1]], rate)
    table = pd.DataFrame(history, columns=COLUMNS)
    log.info("%s", _summary(table))
    return table


def _summary(history: pd.DataFrame) -> str:
    if history.empty:  # a round may train for no epoch
        return counted(0, "epoch")
    changes = {"loss": "%.4f", "accuracy": "%.1f %%"}
    ends = history.iloc[[0, -1]]
    told = [f"{name} from {' to '.join(form % value for value in ends[name])}" for name, form in changes.items()]
    return f"{counted(len(history), 'epoch')}: {', '.join(told)}"


def hold_images(images: zarr.Array[Any], count: int) -> zarr.Array[Any] | np.ndarray:
    """Read the first images into memory if they take at most `HELD_BYTES` there; else leave them on disk.

    A random image costs over a millisecond from a store, a hundred times less from memory.
    """
    wanted = count * math.prod(images.shape[1:])
    held = wanted <= HELD_BYTES
    log.info("%d images, %.2f GB, read %s", count, wanted / 1e9, "into memory" if held else "from disk batch by batch")
    return read_rows(images, np.arange(count)) if held else images


def _torch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> 1)


def load_batch(
    data: TrainingSet, rows: np.ndarray, params: Train, mean: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read and augment one batch.

    Parameters
    ----------
    data : TrainingSet
    rows : (B,) int64
    params : Train
    mean : (3,) float32
        RGB in [0, 1] that the network subtracts; erased pixels get it. Its device is where the batch goes.
    rng : numpy Generator

    Returns
    -------
    images : (B, H, W, 3) uint8
    masks : (B, h, w) int64
    """
    fill = (255 * mean.cpu().numpy()).round().astype(np.uint8)
    pixels = read_rows(data.images, rows)
    pairs = [augment(image, data.masks[row], params, fill, rng) for image, row in zip(pixels, rows, strict=True)]
    images, masks = (torch.from_numpy(np.stack(arrays)).to(mean.device) for arrays in zip(*pairs, strict=True))
    return images, masks.long()


def training_step(
    network: PRNet,
    optimiser: torch.optim.Adam,
    images: torch.Tensor,
    masks: torch.Tensor,
    targets: torch.Tensor,
    parsing: bool,
    params: Train,
    t: float | None,
) -> torch.Tensor:
    """One optimisation step; returns the loss, its terms and the accuracy, (6,) float32."""
    targets = targets.to(images.device)
    with precision(images.device):
        output = network(images, t)
        terms = prnet_losses(output, targets, masks, params.label_smoothing, params.margin)
        loss = terms.image
        if parsing:
            loss = loss + terms.foreground + terms.parts + params.parsing_weight * terms.parsing
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    accuracy = 100 * (output.image_logits.argmax(1) == targets).float().mean()
    return torch.stack([loss.detach(), *(term.detach() for term in terms), accuracy]).float()
