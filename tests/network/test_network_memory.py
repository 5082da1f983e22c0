import pytest
import torch

from hcga.errors import InputError
from hcga.network import memory
from hcga.network.backbone import Backbone
from hcga.network.memory import pass_bytes, refuse_large_images
from hcga.network.prnet import PRNet, new_card


@pytest.fixture(scope="module")
def network() -> PRNet:
    return PRNet(new_card("mobilenetv3_small_050", 16, True, 4, 5, (64, 32)))


def test_it_grows_with_batch_and_image(network: PRNet) -> None:
    of_one = pass_bytes(network, (1, 64, 32))
    assert of_one >= 2 * 4 * 3 * 64 * 32 / 2, "it reads the image, as float, at least"
    assert pass_bytes(network, (8, 64, 32)) == 8 * of_one
    assert pass_bytes(network, (1, 128, 64)) == 4 * of_one
    assert all(not weight.is_meta for weight in network.parameters()), "it is left as it is"


def test_what_does_not_fit_is_refused_before_it_is_tried(network: PRNet, monkeypatch: pytest.MonkeyPatch) -> None:
    need = int(pass_bytes(network, (64, 64, 32)))
    monkeypatch.setattr(memory, "free_on", lambda _: need)
    refuse_large_images(network, 64, (64, 32))
    monkeypatch.setattr(memory, "free_on", lambda _: need - 1)
    with pytest.raises(InputError, match=r"64 images of 64 x 32 pixels at once need more than .* MB of memory, and"):
        refuse_large_images(network, 64, (64, 32))


def test_a_network_that_looks_at_values_is_let_pass(network: PRNet, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_: Backbone, images: torch.Tensor) -> torch.Tensor:
        return images[images.sum() > 0]

    monkeypatch.setattr(Backbone, "forward", look)
    assert pass_bytes(network, (64, 64, 32)) == 0
