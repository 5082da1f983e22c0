"""The learning rate of IV-A and what Adam is given."""

import bisect

import pytest
import torch

from hcga.network.prnet import PRNet, new_card
from hcga.training.optimisation import build_optimiser, learning_rate, set_learning_rate


@pytest.fixture
def paper(default_params):
    """IV-A: 3.5e-4, x 0.1 at epochs 40 and 70 of 120; authors' code: warm-up over 10 epochs from 1 %."""
    changes = {
        "learning_rate": 3.5e-4,
        "weight_decay": 5e-4,
        "warmup_epochs": 10,
        "milestones": [40, 70],
        "decay": 0.1,
        "parsing_rate": 1.0,
    }
    return default_params.train.model_copy(update=changes)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, 3.5e-6),  # 1 %
        (1, 3.5e-4 * (0.01 + 0.99 * 0.1)),
        (5, 3.5e-4 * 0.505),
        (9, 3.5e-4 * (0.01 + 0.99 * 0.9)),
        (10, 3.5e-4),
        (39, 3.5e-4),
        (40, 3.5e-5),
        (69, 3.5e-5),
        (70, 3.5e-6),
        (119, 3.5e-6),
    ],
)
def test_schedule_of_the_paper(epoch, expected, paper):
    assert learning_rate(epoch, paper) == pytest.approx(expected, rel=1e-9)


def test_schedule_equals_the_fields_warm_up_multi_step(paper):
    """WarmupMultiStepLR of reid-strong-baseline, from which the authors' code has it: factor 0.01, linear."""
    for epoch in range(120):
        share = epoch / 10
        warmup = 0.01 * (1 - share) + share if epoch < 10 else 1
        expected = 3.5e-4 * warmup * 0.1 ** bisect.bisect_right([40, 70], epoch)
        assert learning_rate(epoch, paper) == pytest.approx(expected, rel=1e-9)


def test_other_schedules(paper):
    without = paper.model_copy(update={"warmup_epochs": 0, "milestones": []})
    assert {learning_rate(epoch, without) for epoch in range(5)} == {3.5e-4}
    early = paper.model_copy(update={"milestones": [5], "decay": 0.5})
    assert learning_rate(5, early) == pytest.approx(3.5e-4 * 0.505 * 0.5)
    assert learning_rate(30, early) == pytest.approx(3.5e-4 * 0.5)


def test_adam_has_all_parameters_that_learn_in_the_networks_order(paper):
    network = PRNet(new_card("mobilenetv3_small_050", 8, True, 4, 3, (64, 32)))
    optimiser = build_optimiser(network, paper)
    assert type(optimiser) is torch.optim.Adam
    head, others = optimiser.param_groups
    assert (head["lr"], head["weight_decay"]) == (others["lr"], others["weight_decay"]) == (3.5e-4, 5e-4)
    learning = {name: id(parameter) for name, parameter in network.named_parameters() if parameter.requires_grad}
    names = ["parsing_head.weight", "parsing_head.bias"]
    assert [id(parameter) for parameter in head["params"]] == [learning[name] for name in names]
    assert [id(each) for each in others["params"]] == [learning[key] for key in learning if key not in names]
    assert not {"image_neck.bias", "foreground_neck.bias", "part_neck.bias"} & set(learning)
    assert any(name.startswith("backbone.network") for name in learning)


def test_the_parsing_head_has_its_multiple_of_the_learning_rate(paper):
    network = PRNet(new_card("mobilenetv3_small_050", 8, True, 4, 3, (64, 32)))
    optimiser = build_optimiser(network, paper.model_copy(update={"parsing_rate": 10.0}))
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([3.5e-3, 3.5e-4])
    set_learning_rate(optimiser, 0.02)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.2, 0.02])
