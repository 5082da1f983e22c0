"""Eq. (9): worked by hand, against loops, cells without a label, what must not matter."""

import numpy as np
import pytest
import torch

from hcga.masks.parts import UNLABELLED
from hcga.network.prnet import Training
from hcga.training.losses import prnet_losses, triplet_loss

MARGIN, SMOOTHING = 0.3, 0.1
PIDS = [0, 0, 1, 1, 2, 2, 2, 0]


def random_training(seed, images=8, identities=3, part_classes=4):
    rng = np.random.default_rng(seed)
    shapes = [(images, 6), *[(images, identities)] * 3, (images, part_classes, 5, 4)]
    return Training(*(torch.from_numpy(rng.normal(size=shape).astype(np.float32)) for shape in shapes))


def random_masks(seed, images=8, part_classes=4):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, part_classes, (images, 5, 4)))


def triplet_loss_by_loops(features, pids, margin):
    """Hermans et al., Eq. (5): for each anchor the farthest of its kind and the nearest stranger."""
    values, total = features.double().numpy(), 0.0
    for i, pid in enumerate(pids):
        distances = [np.linalg.norm(values[i] - values[j]) for j in range(len(pids))]
        positive = max(d for d, other in zip(distances, pids, strict=True) if other == pid)
        negative = min(d for d, other in zip(distances, pids, strict=True) if other != pid)
        total += max(0.0, positive - negative + margin)
    return total / len(pids)


def smoothed_by_formula(logits, pids, smoothing):
    """Szegedy et al., CVPR 2016: (1 - e) of the probability on the class, e spread evenly over all I of them."""
    values = logits.double().numpy()
    logs = values - np.log(np.exp(values).sum(1, keepdims=True))
    target = np.full(values.shape, smoothing / values.shape[1])
    target[np.arange(len(pids)), pids] += 1 - smoothing
    return float(-(target * logs).sum(1).mean())


# -- triplet loss


def test_hand_made_triplets():
    """Points 0, 1 of one identity and 3, 3.2 of another on a line, margin 2.5.

    Anchor 0: 1 - 3 + 2.5 = 0.5; 1: 1 - 2 + 2.5 = 1.5; 3: 0.2 - 2 + 2.5 = 0.7; 3.2: 0.2 - 2.2 + 2.5 = 0.5.
    With margin 0.3 no anchor costs.
    """
    features, pids = torch.tensor([[0.0], [1.0], [3.0], [3.2]]), torch.tensor([0, 0, 1, 1])
    assert float(triplet_loss(features, pids, 2.5)) == pytest.approx(3.2 / 4, abs=1e-5)
    assert float(triplet_loss(features, pids, 0.3)) == 0


@pytest.mark.parametrize("margin", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("seed", range(4))
def test_triplet_loss_equals_loops(seed, margin):
    features = random_training(seed).image_features
    expected = triplet_loss_by_loops(features, PIDS, margin)
    assert float(triplet_loss(features, torch.tensor(PIDS), margin)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_triplet_loss_sees_neither_order_nor_names_nor_position():
    features, pids = random_training(5).image_features, torch.tensor(PIDS)
    before = triplet_loss(features, pids, MARGIN)
    order = torch.from_numpy(np.random.default_rng(6).permutation(8))
    torch.testing.assert_close(triplet_loss(features[order], pids[order], MARGIN), before)
    torch.testing.assert_close(triplet_loss(features, 7 - 2 * pids, MARGIN), before)
    torch.testing.assert_close(triplet_loss(features + 1.5, pids, MARGIN), before, atol=1e-5, rtol=1e-5)
    # It is not cosine: lengths count.
    torch.testing.assert_close(triplet_loss(3 * features, pids, 3 * MARGIN), 3 * before)


def test_equal_images_have_a_finite_gradient():
    """An identity with few images comes with the same one several times."""
    features = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.5, 2.0], [1.5, 2.0]], requires_grad=True)
    triplet_loss(features, torch.tensor([0, 0, 1, 1]), 1.0).backward()
    assert features.grad.isfinite().all()
    assert features.grad[0, 0] > 0 > features.grad[2, 0]  # apart: against the gradient


def test_mixed_precision_does_not_round_the_distances():
    """Training on GPUs runs under bfloat16; distances small beside the features must not drown in its 8 bits."""
    features, pids = random_training(7).image_features + 10, torch.tensor(PIDS)
    expected = triplet_loss_by_loops(features, PIDS, MARGIN)
    with torch.autocast("cpu", torch.bfloat16):
        result = float(triplet_loss(features, pids, MARGIN))
    assert result == pytest.approx(expected, rel=1e-2)


# -- the terms


def test_terms_equal_their_definitions():
    output, pids, masks = random_training(10), torch.tensor(PIDS), random_masks(11)
    losses = prnet_losses(output, pids, masks, SMOOTHING, MARGIN)
    triplets = triplet_loss_by_loops(output.image_features, PIDS, MARGIN)
    expected = smoothed_by_formula(output.image_logits, PIDS, SMOOTHING) + triplets
    assert float(losses.image) == pytest.approx(expected, rel=1e-5)
    assert float(losses.foreground) == pytest.approx(smoothed_by_formula(output.foreground_logits, PIDS, SMOOTHING))
    assert float(losses.parts) == pytest.approx(smoothed_by_formula(output.part_logits, PIDS, SMOOTHING))
    cells = output.parsing_logits.permute(0, 2, 3, 1).reshape(-1, 4)
    assert float(losses.parsing) == pytest.approx(smoothed_by_formula(cells, masks.flatten().numpy(), 0.0))
    assert all(term.shape == () for term in losses)


def test_hand_made_label_smoothing():
    """Two classes, logits ln 3 and 0: probabilities 3/4 and 1/4; smoothing 0.1 puts 0.95 and 0.05 on them."""
    logits = torch.tensor([[np.log(3.0), 0.0]] * 2, dtype=torch.float32)
    output = random_training(12, images=2)._replace(foreground_logits=logits)
    pids = torch.tensor([0, 0])
    output = output._replace(image_logits=logits, part_logits=logits)
    losses = prnet_losses(output, pids, random_masks(13, images=2), 0.1, MARGIN)
    assert float(losses.foreground) == pytest.approx(-(0.95 * np.log(0.75) + 0.05 * np.log(0.25)))
    losses = prnet_losses(output, pids, random_masks(13, images=2), 0.0, MARGIN)
    assert float(losses.parts) == pytest.approx(-np.log(0.75))


def test_parsing_term_is_not_smoothed():
    output, pids, masks = random_training(14), torch.tensor(PIDS), random_masks(15)
    first, second = (prnet_losses(output, pids, masks, smoothing, MARGIN) for smoothing in (0.0, 0.4))
    assert float(first.parsing) == float(second.parsing)
    assert float(first.parts) != float(second.parts)


def test_cells_without_a_label_do_not_count():
    """The mean is over labelled cells; what the network says elsewhere changes nothing."""
    output, pids, masks = random_training(16), torch.tensor(PIDS), random_masks(17)
    unlabelled = torch.from_numpy(np.random.default_rng(18).random((8, 5, 4)) < 0.4)
    masks[unlabelled] = UNLABELLED
    losses = prnet_losses(output, pids, masks, SMOOTHING, MARGIN)
    cells = output.parsing_logits.permute(0, 2, 3, 1)[~unlabelled]
    assert float(losses.parsing) == pytest.approx(smoothed_by_formula(cells, masks[~unlabelled].numpy(), 0.0))
    changed = torch.where(unlabelled[:, None], 100.0, output.parsing_logits)
    other = prnet_losses(output._replace(parsing_logits=changed), pids, masks, SMOOTHING, MARGIN)
    assert float(other.parsing) == pytest.approx(float(losses.parsing))


def test_without_a_labelled_cell_the_parsing_term_and_its_gradient_are_0():
    output = random_training(19)
    output.parsing_logits.requires_grad_()
    masks = torch.full((8, 5, 4), UNLABELLED)
    parsing = prnet_losses(output, torch.tensor(PIDS), masks, SMOOTHING, MARGIN).parsing
    parsing.backward()
    assert float(parsing.detach()) == 0
    assert not output.parsing_logits.grad.any()
