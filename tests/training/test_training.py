"""Training: rounds make one optimisation, an epoch's randomness is its own, and it learns."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from hcga.masks.parts import UNLABELLED
from hcga.network.checkpoints import load_model, load_optimiser, save_model, save_optimiser
from hcga.network.prnet import PRNet, new_card
from hcga.store_writing import write_store
from hcga.stores import array, open_store, read_rows
from hcga.training import batches, loop
from hcga.training.batches import TrainingSet, hold_images, load_batch
from hcga.training.distributed import Ranks
from hcga.training.loop import COLUMNS, train
from hcga.training.optimisation import build_optimiser, learning_rate
from hcga.training.resuming import Keeper, State

SEED, T = 3, 4.0
HEIGHT, WIDTH = 64, 32
PIDS = (2, 5, 6, 9)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def params(default_params):
    """Tiny batches; the learning rate changes with every epoch."""
    changes = {
        "identities": 2,
        "images": 2,
        "learning_rate": 0.01,
        "weight_decay": 5e-4,
        "warmup_epochs": 2,
        "milestones": [3],
        "decay": 0.1,
        "label_smoothing": 0.1,
        "margin": 0.3,
        "parsing_weight": 0.5,
        "parsing_rate": 1.0,
        "flip": 0.5,
        "padding": 10,
        "erasing": 0.5,
    }
    return default_params.train.model_copy(update=changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four identities with four images each and a colour of their own, masks of three bands, and a test image.

    The test image is a query of an identity that is not trained; it has no mask.
    """
    rng = np.random.default_rng(1)
    colours = rng.integers(60, 200, (4, 1, 1, 1, 3))
    images = np.clip(colours + rng.normal(0, 20, (4, 4, HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)
    images = np.concatenate([images.reshape(16, HEIGHT, WIDTH, 3), np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)])
    masks = np.zeros((16, HEIGHT // 4, WIDTH // 4), np.uint8)
    masks[:, 1:4, 2:6], masks[:, 4:9, 1:7], masks[:, 9:15, 2:6] = 1, 2, 3
    masks[3, :2] = UNLABELLED
    path = tmp_path_factory.mktemp("training") / "images.zarr"
    write_store(path, {"images": images})
    samples = pd.DataFrame({"split": ["train"] * 16 + ["query"], "pid": [*np.repeat(PIDS, 4), 77]})
    return TrainingSet(array(open_store(path), "images"), masks, samples, parsing=True)


@pytest.fixture(scope="module")
def start(tmp_path_factory, params):
    """Folder with the state before the first round, as stage initialise leaves it."""
    folder = tmp_path_factory.mktemp("start")
    network, card = new_network()
    save_model(network, card, folder / "model")
    save_optimiser(build_optimiser(network, params), folder / "optimiser")
    return folder


def new_network(backbone="mobilenetv3_small_050"):
    torch.manual_seed(0)
    card = new_card(backbone, 8, True, 4, len(PIDS), (HEIGHT, WIDTH))
    return PRNet(card), card


def train_round(before, after, until_epoch, data, params, carry=True, epochs=None):
    """One run of stage train, from the files of one folder to those of another; gives the history."""
    after.mkdir()
    network, card = load_model(before / "model")
    optimiser = build_optimiser(network, params)
    if carry:
        load_optimiser(optimiser, before / "optimiser")
    history = train(network, optimiser, data, params, T, epochs or range(card.epoch, until_epoch), SEED)
    save_optimiser(optimiser, after / "optimiser")
    save_model(network, card.model_copy(update={"epoch": until_epoch, "parsing": data.parsing}), after / "model")
    return history


def files(folder):
    return [(folder / name).read_bytes() for name in ("model", "optimiser")]


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory, data, params):
    """One round of four epochs: its files and history."""
    folder = tmp_path_factory.mktemp("whole") / "r1"
    history = train_round(start, folder, 4, data, params)
    return files(folder), history


@pytest.fixture(scope="module")
def half(start, tmp_path_factory, data, params):
    """One round of two epochs: its folder and history."""
    folder = tmp_path_factory.mktemp("half") / "r1"
    return folder, train_round(start, folder, 2, data, params)


# -- rounds


def test_two_rounds_of_two_epochs_are_one_of_four(half, whole, tmp_path, data, params):
    """III-A with the masks held fixed: the same bytes of weights and of Adam's state, the same history."""
    folder, first = half
    torch.manual_seed(99)  # no randomness but that of (seed, epoch)
    second = train_round(folder, tmp_path / "r2", 4, data, params)
    pd.testing.assert_frame_equal(pd.concat([first, second], ignore_index=True), whole[1])
    assert files(tmp_path / "r2") == whole[0]
    assert files(folder)[0] != whole[0][0]


@pytest.mark.parametrize("fault", [{"carry": False}, {"epochs": range(2)}], ids=["optimiser lost", "epochs restart"])
def test_the_same_bytes_need_the_optimiser_and_the_epoch(fault, half, whole, tmp_path, data, params):
    """That the test above would notice."""
    train_round(half[0], tmp_path / "r2", 4, data, params, **fault)
    model, optimiser = files(tmp_path / "r2")
    assert model != whole[0][0]
    assert optimiser != whole[0][1]


def test_rounds_are_one_optimisation_with_random_layers_too(tmp_path, data, params):
    """Dropout of whole paths draws from torch's own generator."""
    (tmp_path / "start").mkdir()
    torch.manual_seed(0)
    card = new_card("focalnet_tiny_srf", 8, True, 4, len(PIDS), (HEIGHT, WIDTH))
    network = PRNet(card)
    save_model(network, card, tmp_path / "start" / "model")
    save_optimiser(build_optimiser(network, params), tmp_path / "start" / "optimiser")
    train_round(tmp_path / "start", tmp_path / "r1", 1, data, params)
    train_round(tmp_path / "r1", tmp_path / "r2", 2, data, params)
    torch.rand(1)  # whatever the process has drawn before
    train_round(tmp_path / "start", tmp_path / "whole", 2, data, params)
    assert files(tmp_path / "r2") == files(tmp_path / "whole")


class Cut(Exception):
    """What ends a training on the way."""


@pytest.mark.parametrize("batches", [1, 3, 4, 6])
def test_a_training_that_is_cut_anywhere_ends_with_the_same_bytes(batches, start, whole, tmp_path, data, params):
    """Within an epoch, at its end, after the first batch: it goes on from the state that was kept, again and again."""
    (tmp_path / "kept").mkdir()
    keeper = Keeper(tmp_path / "kept")

    def run(cut):
        state = keeper.latest() or State(start / "model", start / "optimiser")
        network, card = load_model(state.model)
        optimiser = build_optimiser(network, params)
        load_optimiser(optimiser, state.optimiser)
        left = [cut]

        def keep(network, optimiser, reached):
            left[0] -= 1
            if left[0] == 0:
                keeper.keep(card, network, optimiser, reached())
                raise Cut

        history = train(network, optimiser, data, params, T, range(4), SEED, state.reached, keep)
        save_optimiser(optimiser, tmp_path / "optimiser")
        save_model(network, card.model_copy(update={"epoch": 4, "parsing": True}), tmp_path / "model")
        return history

    for number in range(2):
        torch.manual_seed(number)
        with pytest.raises(Cut):
            run(batches)
    pd.testing.assert_frame_equal(run(0), whole[1])
    assert files(tmp_path) == whole[0]


def test_a_state_whose_loss_is_not_finite_is_not_kept(start, data, params):
    network, _ = load_model(start / "model")
    with torch.no_grad():
        network.part_classifier.weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="epoch 1, batch 1: the loss is nan"):
        train(
            *(network, build_optimiser(network, params), data, params, T, range(1), SEED),
            keep=lambda network, optimiser, reached: reached(),
        )


def test_masks_of_the_second_round_matter(half, whole, tmp_path, data, params):
    train_round(half[0], tmp_path / "r2", 4, replace(data, masks=data.masks[:, ::-1]), params)
    assert files(tmp_path / "r2")[0] != whole[0][0]


def test_seed_and_epoch_decide_batches_and_augmentation(start, data, params):
    """From one state and with one rate: other losses with another seed and in another epoch, else the same."""
    constant = params.model_copy(update={"warmup_epochs": 0, "milestones": []})
    losses = []
    for epoch, seed in ((0, SEED), (1, SEED), (0, SEED + 1), (0, SEED)):
        network, _ = load_model(start / "model")
        optimiser = build_optimiser(network, constant)
        losses.append(train(network, optimiser, data, constant, T, range(epoch, epoch + 1), seed)["loss"][0])
    assert len(set(losses)) == 3
    assert losses[3] == losses[0]


def test_each_batch_has_randomness_of_its_own(start, data, params, monkeypatch):
    drawn, seeds = [], []

    def load(_, rows, settings, mean, rng, share):
        drawn.append(rng.random())
        return load_batch(data, rows, settings, mean, rng, share)

    monkeypatch.setattr(loop, "load_batch", load)
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    network, _ = load_model(start / "model")
    train(network, build_optimiser(network, params), data, params, T, range(2), SEED)
    assert len(drawn) == len(set(drawn)) == len(seeds) == len(set(seeds))


def test_t_reaches_the_guided_alignment(half, start, data, params):
    network, _ = load_model(start / "model")
    without = train(network, build_optimiser(network, params), data, params, None, range(1), SEED)
    assert without["parts"][0] != half[1]["parts"][0]


# -- what a run tells


def test_history_has_a_row_an_epoch(whole, params):
    history = whole[1]
    columns = ["epoch", "learning_rate", "loss", "image", "foreground", "parts", "parsing", "accuracy"]
    assert list(history) == columns
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["learning_rate"].tolist() == [learning_rate(epoch, params) for epoch in range(4)]
    assert len(set(history["learning_rate"])) == 4
    total = history["image"] + history["foreground"] + history["parts"] + 0.5 * history["parsing"]
    np.testing.assert_allclose(history["loss"], total, atol=1e-4)
    assert history["accuracy"].between(0, 100).all()


def test_a_log_has_a_line_an_epoch_and_one_a_round(start, data, params, caplog):
    network, _ = load_model(start / "model")
    with caplog.at_level(logging.INFO, "hcga"):
        history = train(network, build_optimiser(network, params), data, params, T, range(2), SEED)
    first, second, last = caplog.messages
    (loss, accuracy), (loss2, accuracy2) = history[["loss", "accuracy"]].to_numpy()
    assert first.startswith(f"epoch 1: loss {loss:.4f}, accuracy {accuracy:.1f} %")
    assert second.startswith(f"epoch 2: loss {loss2:.4f}, accuracy {accuracy2:.1f} %")
    assert last == f"2 epochs: loss from {loss:.4f} to {loss2:.4f}, accuracy from {accuracy:.1f} % to {accuracy2:.1f} %"


def test_a_round_may_train_for_no_epoch(start, data, params, caplog):
    """Rounds whose until_epoch is 0 only co-parse."""
    network, _ = load_model(start / "model")
    with caplog.at_level(logging.INFO, "hcga"):
        history = train(network, build_optimiser(network, params), data, params, T, range(0), SEED)
    assert (list(history), len(history)) == (COLUMNS, 0)
    assert caplog.messages[-1] == "0 epochs"


def test_rate_of_the_epoch_is_the_optimisers(start, data, params):
    """With a rate of 0 nothing but the batch statistics moves."""
    network, _ = load_model(start / "model")
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimiser = build_optimiser(network, params.model_copy(update={"learning_rate": 1.0}))
    still = params.model_copy(update={"learning_rate": 0.0})
    train(network, optimiser, data, still, T, range(1), SEED)
    assert all(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())


def test_loss_falls_and_the_set_is_learnt(start, data, params):
    network, _ = load_model(start / "model")
    settings = params.model_copy(
        update={"milestones": [], "warmup_epochs": 0, "flip": 0.0, "padding": 0, "erasing": 0.0}
    )
    history = train(network, build_optimiser(network, settings), data, settings, T, range(25), SEED)
    end = history.iloc[-5:].mean()  # far enough from chance on any processor
    for term in ("loss", "image", "foreground", "parts", "parsing"):
        assert end[term] < 0.95 * history[term][0]
    assert end["accuracy"] > 50  # chance: 25
    with torch.no_grad():
        likeliest = network(torch.from_numpy(np.asarray(data.images[:16])), T).image_logits.argmax(1)
    # Classes are numbered by ascending pid.
    assert np.mean(likeliest.numpy() == np.repeat(range(4), 4)) > 0.5


def test_without_parsing_only_the_image_branch_learns(start, data, params):
    """Masks may then be empty."""
    network, _ = load_model(start / "model")
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    baseline = replace(data, masks=np.full_like(data.masks, UNLABELLED), parsing=False)
    history = train(network, build_optimiser(network, params), baseline, params, T, range(1), SEED)
    changed = {
        name.split(".")[0] for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])
    }
    assert changed == {"backbone", "image_neck", "image_classifier"}
    assert history["loss"].tolist() == history["image"].tolist()
    assert not history[["foreground", "parts", "parsing"]].to_numpy().any()


def test_with_parsing_every_branch_learns(start, data, params):
    network, _ = load_model(start / "model")
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    train(network, build_optimiser(network, params), data, params, T, range(1), SEED)
    same = {name for name, parameter in network.named_parameters() if torch.equal(parameter, before[name])}
    assert same == {"image_neck.bias", "foreground_neck.bias", "part_neck.bias"}


# -- errors


@pytest.mark.parametrize("budget", [0, 10**9])
def test_images_are_held_in_memory_if_they_fit(start, data, params, budget, monkeypatch):
    """They come from memory or from the store: the training is the same."""
    monkeypatch.setattr(batches, "HELD_BYTES", budget)
    held = hold_images(data.images, 16)
    assert isinstance(held, np.ndarray) == (budget > 0)
    assert held.shape[0] == (16 if budget else 17)
    network, _ = load_model(start / "model")
    expected = train(network, build_optimiser(network, params), data, params, T, range(1), SEED)
    network, _ = load_model(start / "model")
    found = train(network, build_optimiser(network, params), replace(data, images=held), params, T, range(1), SEED)
    pd.testing.assert_frame_equal(found, expected)


def test_an_error_of_the_loader_surfaces(start, data, params):
    network, _ = load_model(start / "model")
    with pytest.raises(IndexError):
        train(network, build_optimiser(network, params), replace(data, masks=data.masks[:3]), params, T, range(1), SEED)


def test_loss_that_is_not_finite_stops_before_the_epoch_is_over(start, data, params, monkeypatch):
    network, _ = load_model(start / "model")
    done = []

    def step(*_):
        done.append(torch.tensor([torch.nan if len(done) == 1 else 1.0] + [0.0] * 5))
        return done[-1]

    monkeypatch.setattr(loop, "training_step", step)
    monkeypatch.setattr(loop, "LOOK", 2)
    one = params.model_copy(update={"identities": 1})
    with pytest.raises(FloatingPointError, match="epoch 1, batch 2: the loss is nan"):
        train(network, build_optimiser(network, params), data, one, T, range(1), SEED)
    assert len(done) == 2


def test_loss_that_is_not_finite_names_epoch_and_batch(start, data, params):
    network, _ = load_model(start / "model")
    with torch.no_grad():
        network.part_classifier.weight[0, 0] = torch.nan
    message = r"epoch 6, batch 1: the loss is nan; lower train.learning_rate"
    with pytest.raises(FloatingPointError, match=message):
        train(network, build_optimiser(network, params), data, params, T, range(5, 7), SEED)


def test_a_learning_rate_that_explodes_is_noticed_at_the_next_batch(start, data, params):
    network, _ = load_model(start / "model")
    wild = params.model_copy(update={"learning_rate": 1e30, "warmup_epochs": 0})
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch [2-4]: the loss is (nan|inf)"):
        train(network, build_optimiser(network, wild), data, wild, T, range(1), SEED)


# -- batches


def test_batch_has_the_rows_that_were_asked_for(data, params):
    plain = params.model_copy(update={"flip": 0.0, "padding": 0, "erasing": 0.0})
    rows, mean = np.array([7, 0, 3, 7]), torch.tensor([0.5, 0.4, 0.3])
    images, masks = load_batch(data, rows, plain, mean, np.random.default_rng(0))
    assert images.dtype == torch.uint8
    assert masks.dtype == torch.int64
    np.testing.assert_array_equal(images, np.asarray(data.images[:])[rows])
    np.testing.assert_array_equal(masks, data.masks[rows])


def test_erased_pixels_get_the_mean_that_the_network_subtracts(data, params):
    """255 * (0.5, 0.4, 0.3) = (127.5, 102, 76.5), rounded to even."""
    always = params.model_copy(update={"flip": 0.0, "padding": 0, "erasing": 1.0})
    rows, mean = np.arange(8), torch.tensor([0.5, 0.4, 0.3])
    images, _ = load_batch(data, rows, always, mean, np.random.default_rng(0))
    changed = (images.numpy() != np.asarray(data.images[:8])).any(-1)
    assert changed.any((1, 2)).all()
    np.testing.assert_array_equal(np.unique(images.numpy()[changed], axis=0), [[128, 102, 76]])


def test_a_share_of_a_batch_has_its_images_and_all_masks(data, params, monkeypatch):
    """With the random choices of the whole batch; the images of other processes are not even read."""
    rows, wild = np.array([7, 0, 3, 7, 1, 2]), params.model_copy(update={"flip": 0.5, "padding": 10, "erasing": 0.5})
    whole, masks = load_batch(data, rows, wild, torch.zeros(3), np.random.default_rng(0))
    read = []
    monkeypatch.setattr(batches, "read_rows", lambda images, wanted: read.extend(wanted) or read_rows(images, wanted))
    for rank in range(3):
        share = Ranks(rank, 3).share(6)
        images, same = load_batch(data, rows, wild, torch.zeros(3), np.random.default_rng(0), share)
        assert torch.equal(images, whole[share])
        assert torch.equal(same, masks)
    assert read == rows.tolist()


def test_each_image_of_a_batch_is_augmented_for_itself(data, params):
    shifted = params.model_copy(update={"flip": 0.5, "padding": 10, "erasing": 0.0})
    images, masks = load_batch(data, np.zeros(6, int), shifted, torch.zeros(3), np.random.default_rng(0))
    assert len({image.numpy().tobytes() for image in images}) == 6
    assert len({mask.numpy().tobytes() for mask in masks}) > 1
