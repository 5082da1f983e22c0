"""The state of a training on the way is kept whole or not at all."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from damages import empty, flip_a_bit

from hcga.errors import InputError
from hcga.network.checkpoints import load_model, load_optimiser
from hcga.network.prnet import Card, PRNet, new_card
from hcga.params import Params
from hcga.runs.stopping import Stopped, never
from hcga.training import resuming
from hcga.training.optimisation import build_optimiser
from hcga.training.resuming import Keeper, Reached

FIRST = Reached(history=[[1, 0.001, 2.5]], steps=[[0.1, 0.2], [0.3, 1 / 3]])
SECOND = Reached(history=[[1, 0.001, 2.5], [2, 0.001, 2.25]])


class Training(NamedTuple):
    """What a keeper keeps."""

    card: Card
    network: PRNet
    optimiser: torch.optim.Adam


@pytest.fixture
def training(default_params: Params) -> Training:
    """A network and Adam after one step."""
    card = new_card("mobilenetv3_small_050", 8, True, 4, 3, (64, 32))
    network = PRNet(card)
    optimiser = build_optimiser(network, default_params.train)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    return Training(card, network, optimiser)


def test_a_training_that_the_disk_cannot_hold_is_refused(
    tmp_path: Path, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kept state, the next one and the outputs are there at once."""
    Keeper(tmp_path).keep(*training, FIRST)
    state = next(tmp_path.iterdir())
    need = 3 * sum((state / name).stat().st_size for name in ("model.safetensors", "optimiser.safetensors"))
    free = shutil._ntuple_diskusage(0, 0, need)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    (tmp_path / "new").mkdir()
    Keeper(tmp_path / "new").require_disk(training.network)
    free = free._replace(free=int(0.8 * need))
    with pytest.raises(InputError, match=r"new: needs about \d+ MB, and \d+ MB are free"):
        Keeper(tmp_path / "new").require_disk(training.network)
    Keeper(tmp_path).require_disk(training.network)  # a third of it is there already


def test_the_latest_state_comes_back(tmp_path: Path, training: Training, default_params: Params) -> None:
    assert Keeper(tmp_path).latest() is None
    Keeper(tmp_path).keep(*training, FIRST)
    Keeper(tmp_path).keep(*training, SECOND)
    state = Keeper(tmp_path).latest()
    assert state is not None
    assert state.reached == SECOND
    assert len(list(tmp_path.iterdir())) == 1, "the one before has gone"
    network, card = load_model(state.model)
    optimiser = build_optimiser(network, default_params.train)
    load_optimiser(optimiser, state.optimiser)
    assert card == training.card
    assert all(torch.equal(value, training.network.state_dict()[name]) for name, value in network.state_dict().items())
    moments = training.optimiser.state_dict()["state"][0]["exp_avg"]
    assert torch.equal(optimiser.state_dict()["state"][0]["exp_avg"], moments)


@pytest.mark.parametrize("name", [resuming.MODEL, resuming.OPTIMISER, resuming.REACHED])
@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink, empty])
def test_a_damaged_state_is_passed_over(
    tmp_path: Path, training: Training, name: str, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Also if two are there, as after a death between a new one and the end of the last."""
    Keeper(tmp_path).keep(*training, FIRST)
    (first,) = tmp_path.iterdir()
    shutil.copytree(first, tmp_path / "saved" / first.name)
    shutil.move(tmp_path / "saved", tmp_path.parent / "saved")
    Keeper(tmp_path).keep(*training, SECOND)
    (second,) = tmp_path.iterdir()
    shutil.copytree(tmp_path.parent / "saved" / first.name, first)
    state = Keeper(tmp_path).latest()
    assert state is not None
    assert state.reached == SECOND
    shutil.rmtree(first)
    assert callable(damage)
    damage(second / name)
    assert Keeper(tmp_path).latest() is None
    assert caplog.messages == [f"{second}: damaged, so that nothing goes on from there"]
    shutil.move(tmp_path.parent / "saved" / first.name, tmp_path)
    shutil.rmtree(tmp_path.parent / "saved")
    state = Keeper(tmp_path).latest()
    assert state is not None
    assert state.reached == FIRST


def test_a_death_while_a_state_is_written_leaves_the_last(
    tmp_path: Path, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    Keeper(tmp_path).keep(*training, FIRST)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(resuming, "flush", die)
        with pytest.raises(KeyboardInterrupt):
            Keeper(tmp_path).keep(*training, SECOND)
    state = Keeper(tmp_path).latest()
    assert state is not None
    assert state.reached == FIRST
    Keeper(tmp_path).keep(*training, SECOND)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_state_is_kept_now_and_then(tmp_path: Path, training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(resuming.time, "monotonic", lambda: now)
    offered = Keeper(tmp_path)
    kept = []
    for moment in (100, 159, 161, 200, 222):
        now = float(moment)
        reached = Reached(history=[[moment]])
        offered.offer(training.card, never, *training[1:], lambda reached=reached: reached)  # type: ignore[misc]
        state = Keeper(tmp_path).latest()
        kept.append(state and state.reached.history[0][0])
    assert kept == [None, None, 161, 161, 222]


def test_whoever_is_asked_to_end_keeps_a_state_and_ends(
    tmp_path: Path, training: Training, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "hcga"), pytest.raises(Stopped) as stopped:
        Keeper(tmp_path).offer(training.card, lambda: Stopped(15), *training[1:], lambda: FIRST)
    assert stopped.value.code == 143
    assert caplog.messages == ["kept after 1 epoch and 2 batches"]
    state = Keeper(tmp_path).latest()
    assert state is not None
    assert state.reached == FIRST
