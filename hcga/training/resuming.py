"""The state of a training on the way: a run that was killed or stopped goes on there, and ends with equal bytes."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel

from hcga.files import content_digest, flush
from hcga.network.checkpoints import load_model, load_optimiser, save_model, save_optimiser
from hcga.network.prnet import Card, PRNet
from hcga.params import Train
from hcga.resources import need_disk
from hcga.runs.stopping import Stop
from hcga.training.optimisation import build_optimiser
from hcga.wording import counted

MODEL, OPTIMISER, REACHED = "model.safetensors", "optimiser.safetensors", "reached.json"
DRAFT, DIGITS = "draft", 9
STATE = re.compile(rf"[0-9]{{{DIGITS}}}-[0-9a-f]{{32}}")  # how a state is called: by its number and its digest
SECONDS = 60.0  # from one state to the next
AT_ONCE, MOMENTS = 3, 3  # states: a kept one, a draft, the outputs; of each the weights and two moments of Adam
log = logging.getLogger(__name__)


class Reached(BaseModel):
    """How far a training has come in its round, and what it has to tell of that."""

    history: list[list[float]] = []  # a row an epoch that is done, as `hcga.training.loop.COLUMNS`
    steps: list[list[float]] = []  # a row a batch of the epoch after that: loss, its terms, accuracy

    def __str__(self) -> str:
        return f"{counted(len(self.history), 'epoch')} and {counted(len(self.steps), 'batch')}"


Keep = Callable[[PRNet, torch.optim.Adam, Callable[[], Reached]], None]


class State(NamedTuple):
    """Weights, Adam's moments and how far they have come."""

    model: Path
    optimiser: Path
    reached: Reached = Reached()


class Keeper:
    """Keeps the latest state of a training.

    Parameters
    ----------
    folder : Path
        Its own, such as one from `hcga.files.scratch`.
    writes : bool
        Whether it keeps anything; of several processes that train together one does.
    """

    def __init__(self, folder: Path, writes: bool = True) -> None:
        self._folder, self._writes = folder, writes
        self._kept = time.monotonic()

    def latest(self) -> State | None:
        """Find the latest state that is whole, of this run or one before; None if there is none."""
        for folder in reversed(self._states()):
            if folder.name.endswith(content_digest(folder)):
                reached = Reached.model_validate_json((folder / REACHED).read_bytes())
                log.info("going on after %s", reached)
                return State(folder / MODEL, folder / OPTIMISER, reached)
            log.warning("%s: damaged, so that nothing goes on from there", folder)
        return None

    def begin(
        self, model: Path, optimiser: Path, params: Train, device: torch.device
    ) -> tuple[PRNet, Card, torch.optim.Adam, Reached]:
        """Load the latest state, or that in which a round begins, by its two files, onto a device."""
        state = self.latest() or State(model, optimiser)
        network, card = load_model(state.model)
        adam = build_optimiser(network.to(device), params)
        load_optimiser(adam, state.optimiser)
        self.require_disk(network)
        return network, card, adam, state.reached

    def require_disk(self, network: PRNet) -> None:
        """Refuse to begin where the disk cannot hold what there is of a training at once; `InputError`."""
        weights = sum(weight.nbytes for weight in network.state_dict().values())
        there = sum(file.stat().st_size for file in self._folder.rglob("*") if file.is_file())
        need_disk(self._folder, max(0, AT_ONCE * MOMENTS * weights - there))

    def offer(
        self, card: Card, stop: Stop, network: PRNet, optimiser: torch.optim.Adam, reached: Callable[[], Reached]
    ) -> None:
        """Keep a state if the latest is old, or somebody has asked the process to end, which it then does.

        Raises
        ------
        Stopped
            Somebody has asked.
        """
        request = stop()
        if self._writes and (request or time.monotonic() - self._kept >= SECONDS):
            self.keep(card, network, optimiser, reached())
        if request:
            log.info("kept after %s", reached())
            raise request

    def keep(self, card: Card, network: PRNet, optimiser: torch.optim.Adam, reached: Reached) -> None:
        """Keep a state in place of those before; they go when it stands on the disk."""
        before, draft = self._states(), self._folder / DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        save_model(network, card, draft / MODEL)
        save_optimiser(optimiser, draft / OPTIMISER)
        (draft / REACHED).write_text(reached.model_dump_json(), encoding="utf-8")
        flush(draft)
        number = int(before[-1].name[:DIGITS]) + 1 if before else 1
        draft.rename(self._folder / f"{number:0{DIGITS}}-{content_digest(draft)}")
        flush(self._folder)
        for folder in before:
            shutil.rmtree(folder)
        self._kept = time.monotonic()

    def _states(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if STATE.fullmatch(path.name))
