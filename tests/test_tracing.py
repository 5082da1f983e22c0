"""The training of HCNet watched: the same as untraced, its losses, its pictures, the command."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from hcga.cli import main
from hcga.coparsing.identity import hcnet_loss, iterate, label_together, seeded_decoder
from hcga.coparsing.losses import adjacent_pairs
from hcga.coparsing.winograd import to_tiles
from hcga.params import Params
from hcga.pictures import colour_labels
from hcga.samples import read_samples
from hcga.stores import array, open_store, write_store
from hcga.tracing import Step, Trace, draw_frames, draw_strip, tabulate, trace_identity

CAMIDS = np.array([1, 1, 2])
SEED = (1, 0, 3)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).random((3, 6, 16, 8)).astype(np.float32)


def test_it_ends_as_the_stage_does(features: np.ndarray, default_params: Params) -> None:
    (expected,) = label_together(features[None], CAMIDS[None], default_params.coparse, [SEED])
    steps = trace_identity(features, CAMIDS, default_params.coparse, SEED)
    assert len(steps) == expected.iterations > 2
    assert steps[-1].labels_left == expected.labels_left <= default_params.coparse.min_labels
    np.testing.assert_array_equal(steps[-1].labels, expected.labels)
    assert all(step.labels_left == len(np.unique(step.labels)) for step in steps)
    assert all(step.labels_left > default_params.coparse.min_labels for step in steps[:-1])


def test_the_most_iterations(features: np.ndarray, default_params: Params) -> None:
    params = default_params.coparse.model_copy(update={"iterations": 2})
    assert len(trace_identity(features, CAMIDS, params, SEED)) == 2


def test_the_terms_add_up_to_the_loss(features: np.ndarray, default_params: Params) -> None:
    params = default_params.coparse.model_copy(update={"semantic_weight": 0.7, "back_weight": 1.3, "iterations": 3})
    steps = trace_identity(features, CAMIDS, params, SEED)
    decoder = seeded_decoder(features.shape[1], params, [SEED])
    camids = torch.from_numpy(CAMIDS)
    passes = iterate(decoder, to_tiles(torch.from_numpy(features)[None]), 16, 8, camids[None], params)
    for step, (scores, _) in zip(steps, passes, strict=True):
        output = scores[:, :, :, 0].permute(0, 3, 1, 2)
        loss = float(hcnet_loss(output, adjacent_pairs(camids, params.pairs), params))
        assert step.total == pytest.approx(loss, rel=1e-6)
        assert step.total == pytest.approx(0.7 * step.semantic + params.local_weight * step.local + 1.3 * step.back)
        assert min(step.semantic, step.local, step.back) > 0


@pytest.fixture
def trace() -> Trace:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 16, 8, 3), np.uint8)
    steps = [Step(rng.integers(0, n, (10, 4, 2), np.uint8), n, 2.0, 1.0, 0.5, 4.5) for n in (9, 5)]
    return Trace(images, steps, True)


def test_the_strip_has_a_row_an_iteration(trace: Trace) -> None:
    strip = draw_strip(trace, "identity 3")
    for step in trace.steps:
        tile = colour_labels(step.labels.repeat(4, 1).repeat(4, 2))[7]  # the last of those drawn
        windows = np.lib.stride_tricks.sliding_window_view(strip, tile.shape)[:, :, 0]
        assert (windows == tile).all((-1, -2, -3)).sum() == 1
        ninth = colour_labels(step.labels.repeat(4, 1).repeat(4, 2))[8]
        assert not (windows == ninth).all((-1, -2, -3)).any()


def test_frames_are_of_one_size(trace: Trace) -> None:
    frames = draw_frames(trace._replace(steps=[trace.steps[0]._replace(semantic=12345.0), trace.steps[1]]), "x")
    assert len({frame.shape for frame in frames}) == 1
    assert (frames[0] != frames[1]).any()


def test_the_table_has_a_row_an_iteration(trace: Trace) -> None:
    expected = pd.DataFrame(
        {
            "iteration": [1, 2],
            "labels_left": [9, 5],
            "semantic": [2.0] * 2,
            "local": [1.0] * 2,
            "back": [0.5] * 2,
            "total": [4.5] * 2,
        }
    )
    pd.testing.assert_frame_equal(tabulate(trace.steps), expected)


@pytest.fixture
def coparsed(workspace_folder: Path, monkeypatch: pytest.MonkeyPatch, default_params: Params) -> Path:
    """Give a checkout whose round r1 has features and the masks that HCNet makes of them."""
    rows = read_samples(workspace_folder / "data/samples.csv")
    features = np.random.default_rng(0).random((3, 6, 4, 4)).astype(np.float16)
    write_store(workspace_folder / "data/features/r1.zarr", {"features": features}, epoch=0)
    images = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    shutil.rmtree(workspace_folder / "data/images.zarr")
    write_store(workspace_folder / "data/images.zarr", {"images": images})
    labels = np.zeros((3, 4, 4), np.uint8)
    for pid, of in ((3, slice(0, 2)), (8, slice(2, 3))):
        camids = rows["camid"].to_numpy()[of].copy()
        (found,) = label_together(features[None, of], camids[None], default_params.coparse, [(1, 0, pid)])
        labels[of] = found.labels
    shutil.rmtree(workspace_folder / "data/masks/r1.zarr")
    write_store(workspace_folder / "data/masks/r1.zarr", {"masks": labels, "labels": labels}, source="hcnet", epoch=0)
    monkeypatch.chdir(workspace_folder)
    return workspace_folder


def call(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["coparse", "trace", "--round", "r1", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_a_strip_and_an_animation(coparsed: Path) -> None:
    output = call("--pid", "3")
    assert output.splitlines()[0].split() == ["iteration", "labels_left", "semantic", "local", "back", "total"]
    assert "note" not in output
    assert output.splitlines()[-2:] == ["trace-r1-3.png", "trace-r1-3.gif"]
    iterations = len(output.splitlines()) - 3
    with Image.open("trace-r1-3.png") as strip, Image.open("trace-r1-3.gif") as animation:
        assert strip.height > (iterations + 1) * 16
        assert animation.n_frames == iterations
    first = Path("trace-r1-3.png").read_bytes()
    call("--pid", "3", "-o", "again.png")
    assert Path("again.png").read_bytes() == first


def test_other_labels_than_the_rounds_own_are_said(coparsed: Path) -> None:
    store = open_store(coparsed / "data/masks/r1.zarr")
    labels = np.asarray(array(store, "labels")[:])
    labels[0, 0, 0] += 1
    shutil.rmtree(coparsed / "data/masks/r1.zarr")
    write_store(coparsed / "data/masks/r1.zarr", {"labels": labels}, source="hcnet", epoch=0)
    assert "note: the round's own labels are others" in call("--pid", "3")
    assert "note" not in call("--pid", "8")
    assert "note" not in call("--pid", "3", "--set", "local_weight=1")  # nobody expects the same


def test_on_pixels_and_with_other_weights(coparsed: Path) -> None:
    usual = call("--pid", "3", "-o", "a.png")
    assert call("--pid", "3", "--rgb", "-o", "b.png") != usual.replace("a.", "b.")
    assert call("--pid", "3", "--set", "iterations=1", "-o", "c.png").count("\n") == 4
    with Image.open("b.png") as strip:
        assert strip.height > 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pid", "4"], "identity 4 is not among the 2 training identities; nearest: 3, 8"),
        (["--pid", "3", "--set", "local_wait=1"], "coparse.local_wait: unknown key; did you mean 'local_weight'?"),
        (["--pid", "3", "--set", "local_weight=-1"], "coparse.local_weight: -1 (int)"),
        (["--pid", "3", "--set", "local_weight"], "--set local_weight: write FIELD=VALUE"),
        (["--pid", "3", "-o", "x.gif"], "--output x.gif: give a name that ends in .png"),
        (["--pid", "3", "--round", "r2"], "r2.zarr: no readable store"),
        (["--pid", "3", "--round", "r9"], "no round 'r9' in params.yaml"),
    ],
)
def test_bad_input_is_named(coparsed: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["coparse", "trace", "--round", "r1", *arguments])
    assert result.exit_code == 1
    assert message in result.stderr
    assert not list(coparsed.glob("*.png"))


def test_masks_of_another_source_cannot_be_traced(coparsed: Path) -> None:
    shutil.rmtree(coparsed / "data/masks/r1.zarr")
    write_store(coparsed / "data/masks/r1.zarr", {"labels": np.zeros((3, 4, 4), np.uint8)}, source="none", epoch=0)
    result = CliRunner().invoke(main, ["coparse", "trace", "--round", "r1", "--pid", "3"])
    assert (result.exit_code, "no masks by HCNet but of source none" in result.stderr) == (1, True)
