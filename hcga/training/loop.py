"""Training of PRNet (IV-A): one optimisation that runs through all rounds."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import nn

from hcga.ahead import load_ahead
from hcga.devices import precision
from hcga.network.prnet import PRNet
from hcga.params import Train
from hcga.runs.progress import track
from hcga.samples import identities
from hcga.training.batches import TrainingSet, load_batch
from hcga.training.distributed import ALONE, Ranks
from hcga.training.losses import Losses, prnet_losses
from hcga.training.optimisation import learning_rate, set_learning_rate
from hcga.training.resuming import Keep, Reached
from hcga.training.sampling import pk_batches
from hcga.wording import counted

log = logging.getLogger(__name__)
BEGINNING = Reached()
LOOK = 16  # batches from one look at whether the loss is finite to the next; each has a GPU wait
# What a random choice is for, second in its seed: co-parsing has an epoch there, the synthetic people a small number.
BATCHES, AUGMENTATION, DROPOUT = range(2**31, 2**31 + 3)
COLUMNS = ["epoch", "learning_rate", "loss", *Losses._fields, "accuracy"]


def train(
    network: PRNet,
    optimiser: torch.optim.Adam,
    data: TrainingSet,
    params: Train,
    t: float | None,
    epochs: range,
    seed: int,
    reached: Reached = BEGINNING,
    keep: Keep | None = None,
    ranks: Ranks = ALONE,
) -> pd.DataFrame:
    """Train for some epochs.

    All randomness comes from the seed, what it is for and the number of the epoch or batch, so that a run cut into
    pieces equals one in one piece, whether rounds cut it or somebody stopped it.

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
    reached : Reached, optional
        How far the training had come when network and optimiser were as they are.
    keep : callable, optional
        Called after each batch with network, optimiser and what tells how far they have come; see
        `hcga.training.resuming.Keeper`.
    ranks : Ranks, optional
        Processes that train together, each with these arguments.

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
    targets = torch.tensor(data.samples["pid"].map(classes).fillna(-1).to_numpy(np.int64))
    network.train()
    spread = ranks.spread(network, data.parsing)
    history, steps = list(reached.history), [torch.tensor(step) for step in reached.steps]
    done = len(history)
    for epoch in track(epochs[done:], "training", len(epochs), "epoch", done, shown=False):
        rate = learning_rate(epoch, params)
        set_learning_rate(optimiser, rate)
        drawing = np.random.default_rng((seed, BATCHES, epoch))
        batches = list(pk_batches(rows_of, params.identities, params.images, drawing))
        load = partial(_load_numbered, data, params, network.mean, (seed, AUGMENTATION, epoch), ranks)
        loaded = load_ahead(list(enumerate(batches, 1))[len(steps) :], load)
        for (number, rows), (images, masks) in track(loaded, f"epoch {epoch + 1}", len(batches), "batch", len(steps)):
            # Of backbones with dropout or stochastic depth.
            torch.manual_seed(_torch_seed(seed, DROPOUT, epoch, number, *([ranks.rank] if ranks.rank else [])))
            steps.append(training_step(spread, optimiser, images, masks, targets[rows], data.parsing, params, t, ranks))
            if number % LOOK == 0:
                _finite(steps, epoch)
            if keep:
                keep(network, optimiser, partial(_reached, history, steps, epoch))
        means = _finite(steps, epoch).astype(np.float64).mean(0)
        history.append([epoch + 1, rate, *means.round(5).tolist()])
        steps = []
        log.info("epoch %d: loss %.4f, accuracy %.1f %%, learning rate %.2e", epoch + 1, *means[[0, -1]], rate)
    table = pd.DataFrame(history, columns=COLUMNS).astype({"epoch": int})
    log.info("%s", _summary(table))
    return table


def _reached(history: list[list[float]], steps: list[torch.Tensor], epoch: int) -> Reached:
    return Reached(history=history, steps=_finite(steps, epoch).tolist())


def _finite(steps: list[torch.Tensor], epoch: int) -> np.ndarray:
    """What `training_step` gave for b batches, (b, 6) float32; an error if a loss is not finite."""
    terms = np.stack([step.cpu().numpy() for step in steps])
    if not (finite := np.isfinite(terms[:, 0])).all():
        worst = int(np.flatnonzero(~finite)[0])
        raise FloatingPointError(
            f"epoch {epoch + 1}, batch {worst + 1}: the loss is {terms[worst, 0]}; lower train.learning_rate"
        )
    return terms


def _summary(history: pd.DataFrame) -> str:
    if history.empty:  # a round may train for no epoch
        return counted(0, "epoch")
    changes = {"loss": "%.4f", "accuracy": "%.1f %%"}
    ends = history.iloc[[0, -1]]
    told = [f"{name} from {' to '.join(form % value for value in ends[name])}" for name, form in changes.items()]
    return f"{counted(len(history), 'epoch')}: {', '.join(told)}"


def _torch_seed(*seeds: int) -> int:
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> 1)


def _load_numbered(
    data: TrainingSet,
    params: Train,
    mean: torch.Tensor,
    seed: tuple[int, ...],
    ranks: Ranks,
    batch: tuple[int, np.ndarray],
) -> tuple[torch.Tensor, torch.Tensor]:
    number, rows = batch
    return load_batch(data, rows, params, mean, np.random.default_rng((*seed, number)), ranks.share(len(rows)))


def training_step(
    network: nn.Module,
    optimiser: torch.optim.Adam,
    images: torch.Tensor,
    masks: torch.Tensor,
    targets: torch.Tensor,
    parsing: bool,
    params: Train,
    t: float | None,
    ranks: Ranks = ALONE,
) -> torch.Tensor:
    """Take one optimisation step on a batch of N images, of which this process has n.

    Parameters
    ----------
    network : nn.Module
        From `Ranks.spread`.
    optimiser : torch.optim.Adam
    images : (n, H, W, 3) uint8
        Those of `Ranks.share`.
    masks : (N, h, w) int64
        UNLABELLED where nothing is to be learnt.
    targets : (N,) int64
        Class of each image.
    parsing : bool
        Whether there are masks; if not, only the image vector is trained.
    params : Train
    t : float or None
        Threshold of GAM.
    ranks : Ranks

    Returns
    -------
    (6,) float32
        Loss, its terms as `Losses` has them, 0 for those that are not trained, and accuracy of the image classifier in
        per cent.
    """
    targets = targets.to(images.device)
    with precision(images.device):
        output = ranks.gather(network(images, t))
        terms = prnet_losses(output, targets, masks, params.label_smoothing, params.margin)
        if not parsing:
            terms = Losses(terms.image, *terms.image.new_zeros(3))
        loss = terms.image + terms.foreground + terms.parts + params.parsing_weight * terms.parsing
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    accuracy = 100 * (output.image_logits.argmax(1) == targets).float().mean()
    return torch.stack([loss.detach(), *(term.detach() for term in terms), accuracy]).float()
