"""HCNet on one identity: the authors' runs, where it stops, identities with little in them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import DEFAULT

from hcga.coparsing import identity, sources
from hcga.coparsing.decoder import build_decoder, decode
from hcga.coparsing.identity import _descend, label_together, train_decoders
from hcga.coparsing.labels import reassign_labels
from hcga.coparsing.losses import background_loss, hcnet_loss, local_loss, semantic_loss
from hcga.coparsing.winograd import to_tiles

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = ("tiny", "tiny_l2", "fixed10")
SEED = (1, 0, 7)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def params(default_params):
    """Section coparse with the authors' values for Occluded-Duke, those of the golden runs."""
    return default_params.coparse.model_copy(
        update={
            "iterations": 32,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "labels": 32,
            "min_labels": 18,
            "norm": 1,
            "semantic_weight": 1.0,
            "local_weight": 2.0,
            "diagonal_weight": 0.5,
            "back_weight": 1.0,
            "window": 3,
            "pairs": "camera",
        }
    )


def random_features(seed=0, images=4, channels=6, height=12, width=8):
    """Smooth noise: neighbouring cells are alike."""
    noise = np.random.default_rng(seed).normal(size=(images, channels, height, width)).astype(np.float32)
    return noise + np.roll(noise, 1, 2) + np.roll(noise, 1, 3) + np.roll(noise, -1, 2)


def label_identity(features, camids, params, seed):
    """One identity alone."""
    (found,) = label_together(features[None], camids[None], params, [seed])
    return found


def train(decoder, features, camids, params):
    """One given decoder."""
    height, width = features.shape[2:]
    (found,) = train_decoders(decoder, to_tiles(features[None]), height, width, camids[None], params, [1])
    return found


def fresh_decoder(channels, seed=0, labels=32, width=64):
    return build_decoder(channels, width, labels, [torch.Generator().manual_seed(seed)])


def load(case, params):
    """A golden run: its arrays, a decoder with its first weights, its params.

    The biases of the convolutions are left out: the batch norm behind each takes them away again.
    """
    golden = np.load(GOLDEN / f"hcnet_run_{case}.npz")
    decoder = fresh_decoder(golden["features"].shape[1])
    decoder.load_state_dict({name: torch.from_numpy(golden[f"init.seq.{name}"]) for name in decoder.state_dict()})
    changes = {
        "pairs": "sequence",
        "norm": {"l1": 1, "l2": 2}[str(golden["c_loss"])],
        "iterations": int(golden["epoch"]),
        "min_labels": int(golden["min_label_num"]),
    }
    return golden, decoder, params.model_copy(update=changes)


# -- decoder


def test_decoder_has_the_layers_of_the_paper():
    """III-B, Network Architecture: 3x3 to 64, 1x1 to 32, 3x3 to 64, 1x1 to C', batch norm behind each."""
    decoder = fresh_decoder(7)
    kinds = [type(layer).__name__ for layer in decoder]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"] * 3 + ["Conv2d", "BatchNorm2d"]
    shapes = [tuple(layer.weight.shape) for layer in decoder if isinstance(layer, torch.nn.Conv2d)]
    assert shapes == [(64, 7, 3, 3), (32, 64, 1, 1), (64, 32, 3, 3), (32, 64, 1, 1)]
    assert decoder(torch.zeros(2, 7, 5, 3)).shape == (2, 32, 5, 3)
    narrow = [tuple(layer.weight.shape) for layer in fresh_decoder(7, width=6) if isinstance(layer, torch.nn.Conv2d)]
    assert narrow == [(6, 7, 3, 3), (3, 6, 1, 1), (6, 3, 3, 3), (32, 6, 1, 1)]


def test_decoder_starts_as_pytorchs_convolutions_do():
    """Kaiming-uniform with a = sqrt(5): uniform within 1 / sqrt(fan in)."""
    for layer in fresh_decoder(64, 3):
        if isinstance(layer, torch.nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            largest, spread = float(layer.weight.detach().abs().max()), float(layer.weight.detach().std())
            assert 0.98 * bound < largest <= bound
            assert spread == pytest.approx(bound / 3**0.5, rel=0.05)


def test_generator_alone_decides_the_weights():
    torch.manual_seed(1)
    first = fresh_decoder(5, 4).state_dict()
    torch.manual_seed(2)
    second = fresh_decoder(5, 4).state_dict()
    other = fresh_decoder(5, 5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_decoder_normalises_by_the_batch_in_both_modes():
    decoder, features = fresh_decoder(6), torch.from_numpy(random_features())
    output = decoder(features)
    torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(32), atol=1e-5, rtol=0)
    torch.testing.assert_close(output.var((0, 2, 3), unbiased=False), torch.ones(32), atol=1e-3, rtol=0)
    assert torch.equal(decoder.eval()(features), output)


# -- the authors' runs


@pytest.mark.parametrize("case", CASES)
def test_first_output_equals_the_authors_code(case, params):
    """Origin: output_first_iteration in tests/golden; 2e-5 as rounding differs without the biases."""
    golden, decoder, _ = load(case, params)
    features = torch.from_numpy(golden["features"])
    with torch.no_grad():
        plain, fast = decoder(features), decode(decoder, to_tiles(features[None]), *features.shape[2:])
    for output in (plain, fast):
        np.testing.assert_allclose(output.numpy(), golden["output_first_iteration"], atol=2e-5)


@pytest.mark.parametrize("case", CASES)
def test_run_equals_the_authors_code(case, params):
    """Origin: raw_labels_per_iteration, margin_last and reassigned (from 100) in tests/golden.

    Rounding grows over the iterations, so cells whose best two outputs are close (margin_last) may differ.
    """
    golden, decoder, settings = load(case, params)
    features = torch.from_numpy(golden["features"])
    found = train(decoder, features, torch.arange(len(features)), settings)
    expected = golden["raw_labels_per_iteration"][-1]
    assert found.iterations == int(golden["iterations"])
    assert found.labels.dtype == np.uint8
    assert found.labels_left == len(np.unique(expected))
    assert np.mean(found.labels == expected) >= 0.99
    clear = golden["margin_last"] > 1e-3
    np.testing.assert_array_equal(found.labels[clear], expected[clear])
    assert np.mean(reassign_labels(found.labels, 4) == golden["reassigned"] - 100) >= 0.99


@pytest.mark.parametrize("case", CASES)
def test_every_iteration_is_near_the_authors(case, params):
    """Origin: raw_labels_per_iteration in tests/golden."""
    golden, _, settings = load(case, params)
    features = torch.from_numpy(golden["features"])
    for number, expected in enumerate(golden["raw_labels_per_iteration"], 1):
        _, decoder, _ = load(case, params)
        settings = settings.model_copy(update={"iterations": number})
        found = train(decoder, features, torch.arange(len(features)), settings)
        assert found.iterations == number
        assert np.mean(found.labels == expected) >= 0.99


# -- the loop


def test_loss_is_the_weighted_sum(params):
    output, pairs = torch.from_numpy(random_features(1)), torch.tensor([True, False, True])
    settings = params.model_copy(
        update={"semantic_weight": 2.0, "local_weight": 3.0, "diagonal_weight": 0.3, "back_weight": 5.0, "window": 5}
    )
    expected = 2 * semantic_loss(output) + 3 * local_loss(output, 5, 1, 0.3) + 5 * background_loss(output, pairs, 1)
    torch.testing.assert_close(hcnet_loss(output, pairs, settings).total, expected)
    for weight, term in (
        ("semantic_weight", 2 * semantic_loss(output)),
        ("local_weight", 3 * local_loss(output, 5, 1, 0.3)),
        ("back_weight", 5 * background_loss(output, pairs, 1)),
    ):
        without = hcnet_loss(output, pairs, settings.model_copy(update={weight: 0.0})).total
        torch.testing.assert_close(without, expected - term)


def test_stops_at_the_first_iteration_with_few_labels(params):
    features, camids = random_features(2), np.array([1, 1, 2, 2])
    never = params.model_copy(update={"min_labels": 1})
    runs = {
        number: label_identity(features, camids, never.model_copy(update={"iterations": number}), SEED)
        for number in range(1, 9)
    }
    left = {number: run.labels_left for number, run in runs.items()}
    assert [run.iterations for run in runs.values()] == list(runs)
    assert len(set(left.values())) >= 4, "the test needs labels to vanish one after another"
    for most in range(min(left.values()), 32):
        found = label_identity(features, camids, params.model_copy(update={"iterations": 8, "min_labels": most}), SEED)
        first = next(number for number in runs if left[number] <= most)
        assert (found.iterations, found.labels_left) == (first, left[first])
        np.testing.assert_array_equal(found.labels, runs[first].labels)


def test_labels_are_those_before_the_last_iterations_step(params):
    features, camids = torch.from_numpy(random_features(3)), torch.ones(4, dtype=torch.int64)
    decoder = fresh_decoder(6, 1)
    expected = decoder(features).argmax(1).numpy()
    weight = decoder[0].weight.detach().clone()
    settings = params.model_copy(update={"iterations": 1, "min_labels": 1})
    found = train(decoder, features, camids, settings)
    np.testing.assert_array_equal(found.labels, expected)
    assert found.iterations == 1
    assert found.labels_left == len(np.unique(expected))
    assert torch.equal(decoder[0].weight, weight)


def test_a_step_is_that_of_pytorchs_sgd(params):
    rng = np.random.default_rng(3)
    start, steps = (torch.from_numpy(rng.normal(size=shape)) for shape in ((2, 5), (4, 2, 5)))
    weights, expected = list(start.clone()), torch.nn.Parameter(start.clone())
    optimiser = torch.optim.SGD([expected], lr=params.learning_rate, momentum=params.momentum)
    velocities = [torch.zeros_like(weight) for weight in weights]
    for gradients in steps:
        _descend(weights, velocities, list(gradients), params)
        expected.grad = gradients
        optimiser.step()
    torch.testing.assert_close(torch.stack(weights), expected.detach())


def test_a_worker_does_without_pytorchs_compiler():
    """It takes a second and 100 MB to load, in every worker of every round."""
    code = (
        "import sys, numpy as np, hcga.coparsing.pool as pool\n"
        "from hcga.coparsing.identity import label_together\n"
        "from hcga.params import load_params\n"
        "params = load_params(sys.argv[1]).coparse\n"
        "label_together(np.ones((1, 1, 3, 4, 4), np.float32), np.ones((1, 1), int), params, [(0, 1)])\n"
        "sys.exit(' '.join({'torch._dynamo', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(DEFAULT)], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_pairs_follow_the_cameras(params):
    """All of one camera is the same as the sequence; all of different cameras is no background term."""
    features = random_features(4)
    settings = params.model_copy(update={"min_labels": 1, "iterations": 6, "back_weight": 20.0})

    def labels(camids, **changes):
        return label_identity(features, np.array(camids), settings.model_copy(update=changes), SEED).labels

    sequence = labels([1, 2, 3, 4], pairs="sequence")
    alone = labels([1, 2, 3, 4])
    np.testing.assert_array_equal(labels([5, 5, 5, 5]), sequence)
    np.testing.assert_array_equal(alone, labels([1, 1, 1, 1], back_weight=0.0))
    assert (alone != sequence).any()
    mixed = labels([1, 1, 2, 2])
    assert (mixed != sequence).any()
    assert (mixed != alone).any()


def test_seed_alone_decides(params):
    features, camids = random_features(5), np.array([1, 1, 2, 2])
    settings = params.model_copy(update={"iterations": 3})
    torch.manual_seed(1)
    first = label_identity(features, camids, settings, (1, 2, 3))
    torch.manual_seed(2)
    np.testing.assert_array_equal(label_identity(features, camids, settings, (1, 2, 3)).labels, first.labels)
    for seed in ((2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3)):
        assert (label_identity(features, camids, settings, seed).labels != first.labels).any()


def test_half_precision_features_are_taken_as_they_are(params):
    features, camids = random_features(6).astype(np.float16), np.array([1, 1, 2, 2])
    copy = features.copy()
    found = label_identity(features, camids, params, SEED)
    np.testing.assert_array_equal(found.labels, label_identity(copy.astype(np.float32), camids, params, SEED).labels)
    np.testing.assert_array_equal(features, copy)


def test_side_by_side_equals_alone(params):
    """What a GPU does; the sums run in another order, so a cell on a border may differ."""
    features = np.stack([random_features(seed) for seed in (20, 21, 22)])
    camids, seeds = np.array([[1, 1, 2, 2], [1, 2, 3, 4], [7, 7, 7, 7]]), [(1, 0, pid) for pid in (4, 5, 6)]
    settings = params.model_copy(update={"min_labels": 12})
    together = label_together(features, camids, settings, seeds)
    alone = [label_identity(*given, settings, seed) for *given, seed in zip(features, camids, seeds, strict=True)]
    assert [found[1:] for found in together] == [found[1:] for found in alone]
    assert len({found.iterations for found in alone}) > 1, "the test needs identities that stop apart"
    for found, expected in zip(together, alone, strict=True):
        assert np.mean(found.labels == expected.labels) > 0.99


# -- identities with little in them


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize(
    ("features", "camids"),
    [
        pytest.param(random_features(7, images=1), [3], id="one image"),
        pytest.param(random_features(8, images=3), [1, 2, 3], id="one image a camera"),
        pytest.param(random_features(9, images=3), [2, 2, 2], id="one camera"),
        pytest.param(np.full((3, 6, 12, 8), 0.7, np.float32), [1, 1, 2], id="constant"),
        pytest.param(np.zeros((2, 6, 12, 8), np.float32), [1, 1], id="zero"),
        pytest.param(np.zeros((1, 6, 8, 8), np.float16), [1], id="one zero image"),
        pytest.param(np.tile(random_features(10, images=1), (4, 1, 1, 1)), [1, 1, 1, 1], id="equal images"),
        pytest.param(random_features(11, channels=3), [1, 1, 2, 2], id="three channels"),
    ],
)
def test_identities_with_little_in_them_get_valid_labels(features, camids, norm, params):
    found = label_identity(features, np.array(camids), params.model_copy(update={"norm": norm}), SEED)
    assert found.labels.shape == (len(features), *features.shape[2:])
    assert found.labels.max() < 32
    assert found.labels_left == len(np.unique(found.labels))
    assert 1 <= found.iterations <= 32
    assert found.labels_left <= 18 or found.iterations == 32
    masks = reassign_labels(found.labels, 4)
    assert masks.shape == found.labels.shape
    assert masks.max() <= 3


def test_no_parameter_becomes_nan(params):
    decoder = fresh_decoder(6, 2)
    features = torch.full((2, 6, 12, 8), 0.7)
    settings = params.model_copy(update={"min_labels": 1, "iterations": 12, "norm": 2})
    train(decoder, features, torch.tensor([1, 2]), settings)
    assert all(parameter.isfinite().all() for parameter in decoder.parameters())


@pytest.mark.parametrize("camids", [[1, 1], [1, 2]])
def test_without_a_term_the_labels_stay_those_of_the_fresh_decoder(camids, params):
    features = random_features(12, images=2)
    nothing = {"semantic_weight": 0.0, "local_weight": 0.0, "back_weight": 0.0, "min_labels": 1}
    fresh = label_identity(features, np.array(camids), params.model_copy(update={**nothing, "iterations": 1}), SEED)
    found = label_identity(features, np.array(camids), params.model_copy(update={**nothing, "iterations": 5}), SEED)
    np.testing.assert_array_equal(found.labels, fresh.labels)


def test_the_background_term_alone_has_nothing_to_teach_without_pairs(params):
    """An ablation of Eq. (5) must not end at an identity with one image."""
    only = {"semantic_weight": 0.0, "local_weight": 0.0, "back_weight": 1.0, "min_labels": 1, "iterations": 5}
    found = label_identity(random_features(13, images=1), np.array([1]), params.model_copy(update=only), SEED)
    assert found.labels_left == len(np.unique(found.labels))


def test_a_decoder_that_diverges_is_named_not_taken_for_one_with_few_labels(params):
    wild = params.model_copy(update={"learning_rate": 1e30, "iterations": 5})
    message = r"identity 7: iteration \d of co-parsing: the decoder's scores are not finite; lower coparse\.learning"
    with pytest.raises(FloatingPointError, match=message):
        label_identity(random_features(), np.array([1, 1, 2, 2]), wild, SEED)


def test_a_decoder_that_is_done_may_diverge_and_another_is_named_alone(params, monkeypatch):
    """Identity 4 is done at once, 5 in the second iteration; what is not finite there is the one's or the other's."""
    few, many = np.zeros((1, 2, 2), int), np.arange(4).reshape(1, 2, 2)
    settings = params.model_copy(update={"min_labels": 1, "labels": 4})

    def scores(*whose):
        """Of two decoders, by their labels; nan for None."""
        one_hot = [np.full((1, 2, 2, 4), np.nan) if labels is None else np.eye(4)[labels] for labels in whose]
        return torch.from_numpy(np.stack(one_hot, 3))

    def run(*passes):
        passes = [scores(*each) for each in passes]
        monkeypatch.setattr(identity, "iterate", lambda *_: ((each, each.argmax(-1)) for each in passes))
        return identity.label_together(
            np.zeros((2, 1, 6, 4, 4), np.float32), np.ones((2, 1), int), settings, [(1, 4), (1, 5)]
        )

    first, second = run((few, many), (None, few))
    assert (first.iterations, second.iterations) == (1, 2)
    np.testing.assert_array_equal(first.labels, few)
    with pytest.raises(FloatingPointError, match=r"^identity 5: iteration 2 of co-parsing: the decoder's scores"):
        run((few, many), (few, None))


def test_features_that_are_not_finite_name_the_identity(params):
    features = random_features()
    features[0, 0, 0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="features of identity 7 are not finite; the training before"):
        label_identity(features, np.array([1, 1, 2, 2]), params, SEED)
    with pytest.raises(FloatingPointError, match="features of identity 7 are not finite; the training before"):
        sources._cluster(7, np.arange(4), features, 4, (1, 0))
