"""What processes that train together do, as a script: `python -m hcga.runs.launch 2 together.py FOLDER`."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from hcga.network.prnet import PRNet, new_card
from hcga.training.distributed import Ranks, joined
from hcga.training.losses import prnet_losses

BACKBONE, STEPS, UNLIKE = "test_efficientnet", 2, "key {rank}"


def step(network: PRNet, ranks: Ranks, parsing: bool) -> dict[str, torch.Tensor]:
    """Forward and backward passes on some batches; gradients of the last, statistics, and the losses of each."""
    generator = torch.Generator().manual_seed(3)
    spread, losses = ranks.spread(network.train(), parsing), []
    for _ in range(STEPS):
        images = torch.randint(256, (8, 64, 32, 3), dtype=torch.uint8, generator=generator)
        masks = torch.randint(4, (8, 16, 8), generator=generator)
        masks[5:] = 255  # shares have other numbers of labelled cells
        identities = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
        output = ranks.gather(spread(images[ranks.share(len(images))], 4.0))
        terms = prnet_losses(output, identities, masks, 0.1, 0.3)
        loss = sum(terms) if parsing else terms.image
        network.zero_grad()
        loss.backward()
        losses.append(torch.stack([*terms]).detach())
    gradients = {f"gradient {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {**gradients, **dict(network.named_buffers()), "losses": torch.stack(losses)}


def new_network() -> PRNet:
    """Give a small network with random weights."""
    torch.manual_seed(0)
    return PRNet(new_card(BACKBONE, 16, True, 4, 4, (64, 32)))


def main(folder: Path, parsing: bool, unlike: bool = False) -> None:
    """Each process writes what it has."""
    torch.set_num_threads(1)
    with joined() as ranks:
        with ranks.scratch(folder / "out", UNLIKE.format(rank=ranks.rank) if unlike else "the same") as shared:
            (shared / f"{ranks.rank}").touch()
        found = step(new_network(), ranks, parsing)
        save_file({name: value.contiguous() for name, value in found.items()}, folder / f"{ranks.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "parsing", sys.argv[2] == "unlike")
