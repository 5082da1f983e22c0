import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hcga.errors import InputError
from hcga.network.checkpoints import load_model, load_optimiser, save_model, save_optimiser
from hcga.network.prnet import Card, PRNet, new_card
from hcga.params import Params
from hcga.training.optimisation import build_optimiser


def build(seed: int = 0, channels: int = 8, identities: int = 5) -> tuple[PRNet, Card]:
    card = new_card("test_efficientnet", channels, True, 4, identities, (64, 32))
    torch.manual_seed(seed)
    return PRNet(card), card


def step(network: PRNet, optimiser: torch.optim.Adam) -> None:
    """Take one step down a made-up slope."""
    optimiser.zero_grad()
    sum((p * torch.arange(p.numel()).view_as(p)).sum() for p in network.parameters() if p.requires_grad).backward()
    optimiser.step()


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype
        assert torch.equal(value, second[name]), name


def test_weights_and_card_come_back(tmp_path: Path) -> None:
    network, card = build()
    network.backbone.project[1].running_mean.fill_(0.25)
    card = card.model_copy(update={"epoch": 7, "parsing": True})
    save_model(network, card, tmp_path / "model.safetensors")
    torch.manual_seed(9)
    loaded, found = load_model(tmp_path / "model.safetensors")
    assert found == card
    assert not loaded.training
    assert_equal(loaded.state_dict(), network.state_dict())
    images = torch.randint(0, 256, (2, 64, 32, 3), dtype=torch.uint8)
    torch.testing.assert_close(loaded.embed(images, 4.0).parts, network.eval().embed(images, 4.0).parts)


def test_the_card_travels_inside_the_file(tmp_path: Path) -> None:
    network, card = build()
    save_model(network, card, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["hcga"]
    assert json.loads(metadata["hcga"]) == card.model_dump()
    assert (card.backbone, card.channels, card.part_classes, card.identities) == ("test_efficientnet", 8, 4, 5)
    assert (card.height, card.width, card.epoch, card.parsing) == (64, 32, 0, False)


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "sub" / "b.safetensors"]
    for path in paths:
        save_model(*build(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    save_model(*build(seed=1), paths[1])
    assert paths[0].read_bytes() != paths[1].read_bytes()
    loaded, card = load_model(paths[0])
    save_model(loaded, card, paths[1])  # channels last in memory, the same in the file
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.safetensors: cannot be read .*`dvc repro` makes it, `dvc checkout"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors: (cannot be read|holds no model)"):
        load_model(path)


def test_a_truncated_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(*build(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read"):
        load_model(path)


@pytest.mark.parametrize("metadata", [None, {"other": "x"}, {"hcga": "{}"}, {"hcga": "no json"}])
def test_a_file_without_a_card_is_named(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors", metadata)
    with pytest.raises(InputError, match=r"model\.safetensors: holds no model of this version of hcga"):
        load_model(tmp_path / "model.safetensors")


def test_weights_that_do_not_fit_their_card_are_named(tmp_path: Path) -> None:
    network, card = build()
    save_model(network, card.model_copy(update={"identities": 6}), tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"(?s)model\.safetensors: .*image_classifier\.weight"):
        load_model(tmp_path / "model.safetensors")


def test_the_optimisation_goes_on_where_it_stopped(tmp_path: Path, default_params: Params) -> None:
    straight, _ = build()
    optimiser = build_optimiser(straight, default_params.train)
    for _ in range(2):
        step(straight, optimiser)
    halfway, card = build()
    optimiser = build_optimiser(halfway, default_params.train)
    step(halfway, optimiser)
    save_model(halfway, card, tmp_path / "model.safetensors")
    save_optimiser(optimiser, tmp_path / "optimiser.safetensors")
    resumed, _ = load_model(tmp_path / "model.safetensors")
    optimiser = build_optimiser(resumed, default_params.train)
    load_optimiser(optimiser, tmp_path / "optimiser.safetensors")
    step(resumed, optimiser)
    assert_equal(resumed.state_dict(), straight.state_dict())


def test_an_optimisation_that_has_not_begun_comes_back(tmp_path: Path, default_params: Params) -> None:
    network, _ = build()
    optimiser = build_optimiser(network, default_params.train)
    save_optimiser(optimiser, tmp_path / "a.safetensors")
    load_optimiser(optimiser, tmp_path / "a.safetensors")
    assert optimiser.state_dict()["state"] == {}


def test_equal_optimiser_states_are_equal_bytes(tmp_path: Path, default_params: Params) -> None:
    for name in ("a", "b"):
        network, _ = build()
        optimiser = build_optimiser(network, default_params.train)
        step(network, optimiser)
        save_optimiser(optimiser, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_learning_rate_is_that_of_the_params_and_not_of_the_file(tmp_path: Path, default_params: Params) -> None:
    network, _ = build()
    optimiser = build_optimiser(network, default_params.train)
    step(network, optimiser)
    save_optimiser(optimiser, tmp_path / "a")
    other = build_optimiser(network, default_params.train.model_copy(update={"weight_decay": 0.25}))
    load_optimiser(other, tmp_path / "a")
    assert other.param_groups[0]["weight_decay"] == 0.25


@pytest.mark.parametrize("changes", [{"channels": 4}, {"identities": 6}])
def test_the_optimisation_of_another_network_is_refused(
    tmp_path: Path, default_params: Params, changes: dict[str, int]
) -> None:
    network, _ = build()
    optimiser = build_optimiser(network, default_params.train)
    step(network, optimiser)
    save_optimiser(optimiser, tmp_path / "a.safetensors")
    with pytest.raises(
        InputError, match=r"a\.safetensors: the state of another network; run `dvc repro` from stage init"
    ):
        load_optimiser(build_optimiser(build(**changes)[0], default_params.train), tmp_path / "a.safetensors")


def test_a_missing_optimiser_state_is_named(tmp_path: Path, default_params: Params) -> None:
    with pytest.raises(InputError, match=r"none\.safetensors: cannot be read"):
        load_optimiser(build_optimiser(build()[0], default_params.train), tmp_path / "none.safetensors")


def test_a_model_is_no_optimiser_state(tmp_path: Path, default_params: Params) -> None:
    network, card = build()
    save_model(network, card, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_optimiser(build_optimiser(network, default_params.train), tmp_path / "model.safetensors")
