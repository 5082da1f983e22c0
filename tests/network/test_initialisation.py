import pytest
import torch

from hcga.errors import InputError
from hcga.network.initialisation import initial_network
from hcga.params import Backbone

SMALL = Backbone(name="resnet10t", weights="none", channels=8, attention=True)


def test_the_seed_decides_the_start_and_the_card_describes_it() -> None:
    (first, card), (again, _), (other, _) = (initial_network(SMALL, 4, "mean", 5, (64, 32), seed) for seed in (1, 1, 2))
    assert (card.height, card.width, card.part_classes, card.identities, card.epoch) == (64, 32, 4, 5, 0)
    states = [torch.cat([p.detach().flatten() for p in network.parameters()]) for network in (first, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_backbone_that_takes_no_images_of_this_size_is_refused(name: str) -> None:
    params = SMALL.model_copy(update={"name": name})
    message = rf"backbone\.name: {name} gives no feature maps for images of 64 x 32 pixels .*; choose another"
    with pytest.raises(InputError, match=message):
        initial_network(params, 4, "area", 5, (64, 32), 1)
