"""What a training step needs at least is told without a step, and refused where it is not there."""

import pytest
import torch

from hcga.errors import InputError
from hcga.network.prnet import PRNet, new_card
from hcga.params import Params
from hcga.training import memory
from hcga.training.distributed import Ranks
from hcga.training.memory import COPIES, held_bytes, refuse_large_batch, step_bytes

SHAPE = (6, 64, 32)


@pytest.fixture
def network() -> PRNet:
    torch.manual_seed(0)
    return PRNet(new_card("mobilenetv3_small_050", 16, True, 4, 5, (64, 32)))


def fresh(network: PRNet) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters())


def weights_of(network: PRNet) -> int:
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))


def kept_by_a_pass(network: PRNet) -> int:
    """Bytes of all storages that a real forward pass keeps, but for the network's own."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    kept = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = network.train()(torch.zeros((*SHAPE, 3), dtype=torch.uint8), 4.0)
    assert output
    return sum(size for place, size in kept.items() if place not in own)


def test_it_is_what_a_forward_pass_keeps_and_the_weights_of_adam(network: PRNet) -> None:
    foreseen = kept_by_a_pass(network) + COPIES * weights_of(network)
    assert step_bytes(network, SHAPE, 4.0) == pytest.approx(foreseen, rel=0.02)


def test_what_is_there_already_needs_no_further_memory(network: PRNet) -> None:
    optimiser = fresh(network)
    assert held_bytes(network, optimiser) == weights_of(network)
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    optimiser.step()
    moments = 2 * sum(weight.nbytes for weight in network.parameters())
    assert held_bytes(network, optimiser) == pytest.approx(weights_of(network) + moments, abs=4 * len(optimiser.state))


def test_the_network_and_random_numbers_stay_as_they_are(network: PRNet) -> None:
    before = {name: value.clone() for name, value in network.eval().state_dict().items()}
    state = torch.get_rng_state()
    step_bytes(network, SHAPE, 4.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.training
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_too_large_a_batch_is_refused(network: PRNet, default_params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    params = default_params.train.model_copy(update={"identities": 100, "images": 10})
    need = step_bytes(network, (1000, 64, 32), 4.0) - weights_of(network)
    monkeypatch.setattr(memory, "free_on", lambda _: need)
    refuse_large_batch(network, fresh(network), (64, 32), params, 4.0)
    monkeypatch.setattr(memory, "free_on", lambda _: need - 1)
    with pytest.raises(InputError, match=r"batches of 1000 images .* of 64 x 32 pixels needs more than 0\.\d GB"):
        refuse_large_batch(network, fresh(network), (64, 32), params, 4.0)


def test_processes_on_the_cores_of_a_machine_share_its_memory(
    network: PRNet, default_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = default_params.train.model_copy(update={"identities": 100, "images": 10})
    share = step_bytes(network, (250, 64, 32), 4.0) - weights_of(network)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # of four, so there are two machines
    monkeypatch.setattr(memory, "free_on", lambda _: 2 * share)
    refuse_large_batch(network, fresh(network), (64, 32), params, 4.0, Ranks(0, 4))
    monkeypatch.setattr(memory, "free_on", lambda _: 2 * share - 1)
    with pytest.raises(InputError, match=r"batches of 1000 images"):
        refuse_large_batch(network, fresh(network), (64, 32), params, 4.0, Ranks(0, 4))


def test_of_a_network_that_looks_at_values_nothing_is_said(
    network: PRNet, default_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PRNet, "forward", lambda self, images, t: images.sum().item())
    monkeypatch.setattr(memory, "free_on", lambda _: 0)
    refuse_large_batch(network, fresh(network), (64, 32), default_params.train, 4.0)
