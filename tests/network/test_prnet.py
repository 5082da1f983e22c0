"""PRNet: guided alignment at its thresholds, pooling against loops, the network against its own parts."""

import numpy as np
import pytest
import torch

from hcga.network.prnet import PRNet, guide_inference, guide_training, new_card, pool_aligned

BACKBONE, SIZE, CHANNELS, IDENTITIES = "mobilenetv3_small_050", (64, 32), 8, 5
ABOVE = float(np.nextafter(np.float32(0.25), np.float32(1)))
HIGH = float(np.nextafter(np.float32(0.75), np.float32(1)))
BELOW = float(np.nextafter(np.float32(0.25), np.float32(0)))
pytestmark = pytest.mark.usefixtures("one_thread")


def build(part_classes=4, attention=True):
    """A network with random weights and, by some batches in training mode, batch statistics of its own.

    Weights of head, necks and classifiers are drawn wider than at the start of training, lest tolerances hide them.
    """
    torch.manual_seed(0)
    network = PRNet(new_card(BACKBONE, CHANNELS, attention, part_classes, IDENTITIES, SIZE))
    torch.nn.init.normal_(network.parsing_head.weight, std=3)
    for name in ("image", "foreground", "part"):
        torch.nn.init.uniform_(getattr(network, f"{name}_neck").weight, 0.5, 2)
        torch.nn.init.normal_(getattr(network, f"{name}_classifier").weight)
    network.train()
    with torch.no_grad():
        for seed in range(3):
            network(random_images(seed, 6), 4.0)
    return network


def random_images(seed, count):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)
    return torch.from_numpy(pixels)


@pytest.fixture(scope="module")
def network():
    return build().eval()


def pool_by_loops(maps, weights):
    """(N, q, h, w) under (N, h, w): sum over cells of map times weight, over all cells."""
    result = np.zeros(maps.shape[:2])
    for n in range(maps.shape[0]):
        for row in range(maps.shape[2]):
            for column in range(maps.shape[3]):
                result[n] += maps[n, :, row, column].astype(np.float64) * weights[n, row, column]
    return result / (maps.shape[2] * maps.shape[3])


def parse(network, maps):
    """Probabilities of the part classes, in numpy."""
    head = network.parsing_head
    weight, bias = head.weight.detach().double().numpy()[:, :, 0, 0], head.bias.detach().double().numpy()
    logits = np.einsum("cq,nqhw->nchw", weight, maps.astype(np.float64)) + bias[:, None, None]
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return logits, exponents / exponents.sum(1, keepdims=True)


def normalise(neck, values):
    """Batch norm with its running statistics, which has no shift."""
    mean, variance = neck.running_mean.double().numpy(), neck.running_var.double().numpy()
    return (values - mean) / np.sqrt(variance + neck.eps) * neck.weight.detach().double().numpy()


# -- GAM


def test_training_rule_at_its_threshold():
    """Eq. (7), t = 4: 1/4 becomes 0, what is above stays as it is."""
    confidence = torch.tensor([0.0, BELOW, 0.25, ABOVE, 0.6, 1.0])
    assert guide_training(confidence, 4.0).tolist() == [0, 0, 0, *confidence[3:].tolist()]
    # t = 2: 1/2
    assert guide_training(torch.tensor([0.4, 0.5, 0.51]), 2.0).tolist() == pytest.approx([0, 0, 0.51])


def test_inference_rule_at_its_threshold():
    """Eq. (8), t = 4: 1 above 3/4, else 0."""
    result = guide_inference(torch.tensor([0.0, ABOVE, 0.75, HIGH, 1.0]), 4.0, 1)
    assert result.tolist() == [0, 0, 0, 1, 1]
    assert result.dtype == torch.float32
    assert guide_inference(torch.tensor([0.5, 0.51]), 2.0, 0.5).tolist() == [0, 0.5], "the authors' code"


def test_without_t_nothing_is_guided():
    confidence = torch.rand(2, 3, 4, 5)
    assert torch.equal(guide_training(confidence, None), confidence)
    assert torch.equal(guide_inference(confidence, None, 0.5), confidence)


def test_gradient_passes_the_training_rule_where_the_confidence_does():
    confidence = torch.tensor([0.1, 0.25, 0.5], requires_grad=True)
    guide_training(confidence, 4.0).sum().backward()
    assert confidence.grad.tolist() == [0, 0, 1]


# -- pooling


def test_hand_made_pooling():
    """One channel 1, 2, 3, 4; the foreground is the sum of both confidences, whatever GAM made of them."""
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    confidence = torch.tensor([[[[0.5, 0.0], [0.25, 0.0]], [[0.0, 0.25], [0.5, 0.0]]]])
    guided = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]]])
    foreground, parts = pool_aligned(maps, confidence, guided)
    # (1 * 0.5 + 2 * 0.25 + 3 * 0.75 + 4 * 0) / 4; 1 / 4; (3 + 4) / 4
    assert foreground.tolist() == [[0.8125]]
    assert parts.tolist() == [[[0.25], [1.75]]]


def test_the_mean_does_not_see_how_large_a_part_is():
    """A part that keeps half of its cells has the mean of V there; one without a cell has nothing."""
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    confidence = torch.tensor([[[[0.5, 0.5], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    foreground, parts = pool_aligned(maps, confidence, confidence, "mean")
    assert foreground.tolist() == [[1.5]]
    assert parts.tolist() == [[[1.5], [0.0]]]
    half = confidence * torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert pool_aligned(maps, half, half, "mean")[1].tolist() == [[[1.0], [0.0]]]
    half.requires_grad_()
    pool_aligned(maps, half, half, "mean")[1].sum().backward()
    assert half.grad.isfinite().all()


def test_the_card_says_how_a_network_pools() -> None:
    torch.manual_seed(0)
    images = torch.randint(256, (2, 64, 32, 3), dtype=torch.uint8)
    by = {}
    for pooling in ("area", "mean"):
        torch.manual_seed(0)
        network = PRNet(new_card("test_efficientnet", 8, True, 4, 5, (64, 32), pooling)).eval()
        with torch.no_grad():
            by[pooling] = network(images, 4.0).part_logits, network.embed(images, 4.0, None).foreground
    assert not any(torch.allclose(*pair) for pair in zip(*by.values(), strict=True))


def test_pooling_equals_loops():
    rng = np.random.default_rng(1)
    maps, confidence, guided = (rng.random((3, count, 4, 5)).astype(np.float32) for count in (6, 2, 2))
    foreground, parts = pool_aligned(*(torch.from_numpy(values) for values in (maps, confidence, guided)))
    assert foreground.shape == (3, 6)
    assert parts.shape == (3, 2, 6)
    np.testing.assert_allclose(foreground, pool_by_loops(maps, confidence.sum(1)), rtol=1e-5)
    for part in range(2):
        np.testing.assert_allclose(parts[:, part], pool_by_loops(maps, guided[:, part]), rtol=1e-5)


# -- network


def test_necks_have_no_bias_that_learns_and_classifiers_none_at_all(network):
    widths = {"image": CHANNELS, "foreground": CHANNELS, "part": 3 * CHANNELS}
    for name, width in widths.items():
        neck, classifier = getattr(network, f"{name}_neck"), getattr(network, f"{name}_classifier")
        assert not neck.bias.requires_grad
        assert not neck.bias.any()
        assert neck.weight.requires_grad
        assert neck.num_features == width
        assert classifier.bias is None
        assert classifier.weight.shape == (IDENTITIES, width)
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {f"{name}_neck.bias" for name in widths}


def test_maps_are_those_of_normalised_pixels(network):
    images = random_images(3, 2)
    card = new_card(BACKBONE, CHANNELS, True, 4, IDENTITIES, SIZE)
    pixels = (images.numpy() / 255 - np.array(card.mean)) / np.array(card.std)
    with torch.no_grad():
        expected = network.backbone(torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32)))
        maps = network.maps(images)
    assert maps.shape == (2, CHANNELS, 16, 8)
    torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-4)


def test_card_takes_the_statistics_the_backbone_was_trained_with():
    """mobilenetv3_small_050 (timm): ImageNet's mean and standard deviation."""
    card = new_card(BACKBONE, CHANNELS, False, 4, IDENTITIES, SIZE)
    assert card.mean == [0.485, 0.456, 0.406]
    assert card.std == [0.229, 0.224, 0.225]
    assert (card.height, card.width) == SIZE
    assert (card.backbone, card.channels, card.attention) == (BACKBONE, CHANNELS, False)
    assert (card.part_classes, card.identities, card.epoch, card.parsing) == (4, IDENTITIES, 0, False)


@pytest.mark.parametrize("t", [4.0, None])
def test_forward_equals_its_definition(network, t):
    """In eval mode, so that the necks use their running statistics; Eq. (7) for the parts only."""
    images = random_images(4, 3)
    with torch.no_grad():
        output = network(images, t)
        maps = network.maps(images).numpy()
    logits, probability = parse(network, maps)
    image = maps.astype(np.float64).mean((2, 3))
    foreground = pool_by_loops(maps, probability[:, 1:].sum(1))
    guided = probability if t is None else np.where(probability > 1 / t, probability, 0)
    parts = np.concatenate([pool_by_loops(maps, guided[:, part]) for part in (1, 2, 3)], 1)
    np.testing.assert_allclose(output.image_features, image, atol=1e-5)
    np.testing.assert_allclose(output.parsing_logits, logits, atol=1e-4)
    for name, values in (("image", image), ("foreground", foreground), ("part", parts)):
        neck, classifier = getattr(network, f"{name}_neck"), getattr(network, f"{name}_classifier")
        expected = normalise(neck, values) @ classifier.weight.detach().double().numpy().T
        np.testing.assert_allclose(getattr(output, f"{name}_logits"), expected, atol=1e-5)
    assert 0.05 < np.mean(probability[:, 1:] > 0.25) < 0.95, "the test needs confidences on both sides"


@pytest.mark.parametrize("binary", [1, 0.5, None])
@pytest.mark.parametrize("t", [4.0, 1.5, None])
def test_embedding_equals_its_definition(network, t, binary):
    """Features after the necks; Eq. (8), or Eq. (7) as in training, for the parts only."""
    images = random_images(5, 3)
    with torch.no_grad():
        output = network.embed(images, t, binary)
        maps = network.maps(images).numpy()
    _, probability = parse(network, maps)
    foreground = pool_by_loops(maps, probability[:, 1:].sum(1))
    guided = probability
    if t is not None:
        guided = (probability > 1 - 1 / t) * float(binary) if binary else probability * (probability > 1 / t)
    parts = np.concatenate([pool_by_loops(maps, guided[:, part]) for part in (1, 2, 3)], 1)
    image = maps.astype(np.float64).mean((2, 3))
    np.testing.assert_allclose(output.image, normalise(network.image_neck, image), atol=1e-4)
    np.testing.assert_allclose(output.foreground, normalise(network.foreground_neck, foreground), atol=1e-4)
    expected = normalise(network.part_neck, parts).reshape(3, 3, CHANNELS)
    np.testing.assert_allclose(output.parts, expected, atol=1e-4)
    np.testing.assert_array_equal(output.parsed, probability.argmax(1))


def test_flipped_embedding_is_of_the_mean_map(network, monkeypatch):
    images = random_images(11, 3)
    with torch.no_grad():
        plain, mirrored = network.maps(images), network.maps(images.flip(2))
        output = network.embed(images, 4.0, None, flip=True)
        alone = [network.embed(each, 4.0, None) for each in (images, images.flip(2))]
        monkeypatch.setattr(network, "maps", lambda _: (plain + mirrored.flip(3)) / 2)
        expected = network.embed(images, 4.0, None)
    for name, values in expected._asdict().items():
        torch.testing.assert_close(getattr(output, name), values)
    torch.testing.assert_close(output.image, (alone[0].image + alone[1].image) / 2, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(output.image, alone[0].image, atol=1e-3)


@pytest.mark.parametrize("binary", [1, 0.5, None])
def test_flipped_embedding_of_the_mirror_image_is_the_same(binary):
    network, images = build().eval(), random_images(12, 3)
    images[:, :, images.shape[2] // 2 :] = 0
    with torch.no_grad():
        network.parsing_head.weight.normal_(std=4)
        network.parsing_head.bias -= network.parsing_head(network.maps(images)).mean((0, 2, 3))
        output, mirrored = (network.embed(each, 1.5, binary, flip=True) for each in (images, images.flip(2)))
    for name, values in output._asdict().items():
        expected = values.flip(2) if name == "parsed" else values
        torch.testing.assert_close(getattr(mirrored, name), expected, atol=1e-4, rtol=1e-4)
    assert (output.parsed != output.parsed.flip(2)).any(), "the test needs parsings that are not symmetric"


@pytest.mark.parametrize("binary", [1, 0.5, None])
@pytest.mark.parametrize("t", [4.0, 1.5, None])
def test_shares_of_cells_by_part(network, t, binary):
    images = random_images(6, 8)
    with torch.no_grad():
        output = network.embed(images, t, binary)
        probability = network.parsing_head(network.maps(images)).softmax(1)
    assert output.parsed.dtype == torch.uint8
    likely = [[float((parsed == part).float().mean()) for part in (1, 2, 3)] for parsed in output.parsed]
    np.testing.assert_allclose(output.likely, likely)
    assert 0 < (output.likely > 0).sum() < output.likely.numel(), "the test needs parts that are nowhere most likely"
    kept = torch.ones_like(probability) if t is None else probability > (1 - 1 / t if binary else 1 / t)
    np.testing.assert_allclose(output.guided, kept[:, 1:].float().mean((2, 3)))


@pytest.mark.parametrize("most_likely", [0, 1, 2, 3])
def test_a_part_everywhere_is_the_only_likely_one(most_likely):
    network = build().eval()
    with torch.no_grad():
        network.parsing_head.weight.zero_()
        network.parsing_head.bias.copy_(torch.eye(4)[most_likely])
        output = network.embed(random_images(7, 2), 4.0)
    assert (output.parsed == most_likely).all()
    assert output.likely.tolist() == [[part == most_likely for part in (1, 2, 3)]] * 2
    assert not output.guided.any(), "e / (e + 3) is below 3/4"


def test_embedding_of_an_image_does_not_depend_on_its_batch(network):
    images = random_images(8, 5)
    with torch.no_grad():
        together, alone, again = (network.embed(batch, 4.0) for batch in (images, images[2:3], images[[4, 2, 0]]))
    for name in ("image", "foreground", "parts"):
        whole = getattr(together, name)
        torch.testing.assert_close(getattr(alone, name), whole[2:3], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(getattr(again, name), whole[[4, 2, 0]], atol=1e-5, rtol=1e-4)
    assert torch.equal(alone.parsed, together.parsed[2:3])
    assert torch.equal(again.likely, together.likely[[4, 2, 0]])


@pytest.mark.parametrize(("part_classes", "attention"), [(2, False), (6, True)])
def test_shapes(part_classes, attention):
    network, images = build(part_classes, attention), random_images(9, 3)
    trained = network(images, 4.0)
    assert trained.image_features.shape == (3, CHANNELS)
    for logits in (trained.image_logits, trained.foreground_logits, trained.part_logits):
        assert logits.shape == (3, IDENTITIES)
    assert trained.parsing_logits.shape == (3, part_classes, 16, 8)
    with torch.no_grad():
        embedded = network.eval().embed(images, 4.0)
    assert embedded.image.shape == embedded.foreground.shape == (3, CHANNELS)
    assert embedded.parts.shape == (3, part_classes - 1, CHANNELS)
    assert embedded.likely.shape == embedded.guided.shape == (3, part_classes - 1)
    assert embedded.parsed.shape == (3, 16, 8)
    assert isinstance(network.backbone.attention, torch.nn.Identity) != attention
