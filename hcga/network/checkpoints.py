"""Weights and optimiser state as safetensors files with their description inside."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hcga.errors import REMEDY, InputError, brief
from hcga.files import fresh
from hcga.network.prnet import Card, PRNet, is_of_classifier
from hcga.resources import blame_machine

CARD = "hcga"  # the one key of the metadata: several would be written in random order
ADAM = "adam"
NAMED, NAME = 5, 100  # of the tensors or fields that do not fit; letters
C = TypeVar("C", bound=Card)


def save_model(network: PRNet, card: Card, path: Path) -> None:
    """Write weights and card; equal weights and cards give equal bytes. Without classifiers if the card has none."""
    tensors = network.state_dict().items()
    kept = {name: value for name, value in tensors if card.identities or not is_of_classifier(name)}
    _save(kept, path, {CARD: card.model_dump_json()})


def load_model(path: Path) -> tuple[PRNet, Card]:
    """Rebuild a PRNet from its file, in eval mode, on the CPU.

    Raises
    ------
    InputError
        The file is missing, no safetensors file, has no card, or does not fit its card.
    """
    return load_described(path, Card, REMEDY)


def load_described(path: Path, kind: type[C], remedy: str) -> tuple[PRNet, C]:
    """Do as `load_model`, with a card of another kind; `remedy` ends the messages."""
    tensors, metadata = _load(path, remedy)
    try:
        card = kind.model_validate_json(metadata[CARD])
        _refuse_other_shapes(tensors, card)
    except (KeyError, ValueError, InputError) as error:
        told = _fields(error) if isinstance(error, ValidationError) else error
        raise InputError(f"{path}: holds no model of this version of hcga ({told}); {remedy}") from None
    network = PRNet(card)
    network.load_state_dict(tensors)
    return network.to(memory_format=torch.channels_last).eval(), card


def _fields(error: ValidationError) -> str:
    """What is wrong with a card, in one line."""
    wrong = [": ".join(filter(None, [".".join(map(str, each["loc"]))[:NAME], each["msg"]])) for each in error.errors()]
    return "; ".join(wrong[:NAMED]) + (f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else "")


def _refuse_other_shapes(tensors: dict[str, torch.Tensor], card: Card) -> None:
    """Refuse tensors that are not those of a card's network, before that is built: a card may name any size."""
    with torch.device("meta"):  # without memory
        wanted = {name: value.shape for name, value in PRNet(card).state_dict().items()}
    given = {name: value.shape for name, value in tensors.items()}
    wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if wrong:
        told = [
            f"{brief(name)} {_in_words(given.get(name))}, by its card {_in_words(wanted.get(name))}" for name in wrong
        ]
        raise InputError(f"{len(wrong)} tensors are others: " + "; ".join(told[:NAMED]))


def _in_words(shape: torch.Size | None) -> str:
    return "missing" if shape is None else brief(tuple(shape))


def save_optimiser(optimiser: torch.optim.Adam, path: Path) -> None:
    """Write Adam's state: for each parameter its moments and step count."""
    state = optimiser.state_dict()["state"]
    _save(
        {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()},
        path,
        {CARD: "adam"},
    )


def load_optimiser(optimiser: torch.optim.Adam, path: Path) -> None:
    """Put a saved state back into an optimiser over the same parameters.

    Raises
    ------
    InputError
        The file is missing or belongs to another network.
    """
    tensors, metadata = _load(path)
    if metadata.get(CARD) != ADAM:
        raise InputError(f"{path}: holds no state of an optimisation; run `dvc repro` from stage initialise")
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, torch.Tensor]] = {}
    for number, parameter in enumerate(parameters):
        shapes = {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
        entry = {name: tensors.pop(f"{number}.{name}") for name in shapes if f"{number}.{name}" in tensors}
        if entry and {name: value.shape for name, value in entry.items()} != shapes:
            raise InputError(f"{path}: the state of another network; run `dvc repro` from stage initialise")
        if entry:
            entries[number] = entry
    if tensors:
        raise InputError(f"{path}: the state of another network; run `dvc repro` from stage initialise")
    optimiser.load_state_dict({**optimiser.state_dict(), "state": entries})


def _save(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    with fresh(path, flushed=True) as draft:
        draft.write_bytes(save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, metadata))


def _load(path: Path, remedy: str = REMEDY) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        blame_machine(error)
        raise InputError(f"{path}: cannot be read ({error}); {remedy}") from None
