"""The training of HCNet watched: the same as untraced, its losses, its pictures, the command."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from hcga import tracing
from hcga.cli.main import main
from hcga.coparsing.identity import iterate, label_together, seeded_decoder
from hcga.coparsing.inputs import as_input, settings_of
from hcga.coparsing.losses import adjacent_pairs, hcnet_loss
from hcga.coparsing.winograd import to_tiles
from hcga.masks.parts import downsample
from hcga.masks.pictures import caption_rows, colour_labels
from hcga.params import Params, load_params
from hcga.runs.workspace import Workspace
from hcga.samples import read_samples
from hcga.store_writing import write_store
from hcga.stores import array, open_store
from hcga.tracing import Step, Trace, describe_images, draw_frames, draw_strip, tabulate, trace_identity

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
        loss = float(hcnet_loss(output, adjacent_pairs(camids, params.pairs), params).total)
        assert step.total == pytest.approx(loss, rel=1e-6)
        assert step.total == pytest.approx(0.7 * step.semantic + params.local_weight * step.local + 1.3 * step.back)
        assert min(step.semantic, step.local, step.back) > 0


@pytest.fixture
def trace() -> Trace:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 16, 8, 3), np.uint8)
    steps = [Step(rng.integers(0, n, (10, 4, 2), np.uint8), n, 2.0, 1.0, 0.5, 4.5) for n in (9, 5)]
    return Trace(images, steps, True)


def contains(picture: np.ndarray, tile: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(picture, tile.shape)[:, :, 0]
    return bool((windows == tile).all((-1, -2, -3)).any())


def test_the_strip_has_a_row_an_iteration_of_images_from_the_first_to_the_last(trace: Trace) -> None:
    strip = draw_strip(trace, "identity 3")
    for step in trace.steps:
        tiles = colour_labels(step.labels.repeat(4, 1).repeat(4, 2))
        assert [contains(strip, tile) for tile in tiles] == [number not in (2, 7) for number in range(10)]
    assert contains(strip, trace.images[9])
    assert not contains(strip, trace.images[2])


@pytest.fixture
def captions(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is written into pictures."""
    written: list[list[str]] = []

    def note(pictures: Sequence[np.ndarray], texts: list[str], title: str) -> np.ndarray:
        written.append([title, *texts])
        return caption_rows(pictures, texts, title)

    monkeypatch.setattr(tracing, "caption_rows", note)
    return written


def test_pictures_say_labels_and_losses_of_each_iteration(trace: Trace, captions: list[list[str]]) -> None:
    iterations = [
        "iteration 1: 9 labels; semantic 2.0000, local 1.0000, back 0.5000, total 4.5000",
        "iteration 2: 5 labels; semantic 2.0000, local 0.2500, back 0.5000, total 3.0000",
    ]
    trace = trace._replace(steps=[trace.steps[0], trace.steps[1]._replace(local=0.25, total=3.0)])
    draw_strip(trace, "identity 3")
    draw_frames(trace, "identity 3")
    head = ["identity 3", "8 of 10 images"]
    assert captions == [[*head, *iterations], [*head, iterations[0]], [*head, iterations[1]]]


@pytest.mark.parametrize(
    ("count", "said"), [(10, "8 of 10 images"), (9, "8 of 9 images"), (8, "8 images"), (1, "1 image")]
)
def test_how_many_images_are_drawn_is_said(trace: Trace, count: int, said: str) -> None:
    assert describe_images(trace._replace(images=trace.images[:count])) == said


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


WIDE = ["--set", "window=5"]


def call(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["coparse", "trace", "--round", "r1", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_a_strip_and_an_animation(coparsed: Path) -> None:
    output = call("--pid", "3")
    assert output.splitlines()[0].split() == ["iteration", "labels_left", "semantic", "local", "back", "total"]
    assert "note" not in output
    assert output.splitlines()[-3:] == ["drawn: 2 images", "trace-r1-3.png", "trace-r1-3.gif"]
    iterations = len(output.splitlines()) - 4
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
    assert "note: the round's own labels are others" in call("--pid", "3", "--set", "iterations=32")  # as it is
    assert "note" not in call("--pid", "8")
    assert "note" not in call("--pid", "3", "--set", "local_weight=1")  # nobody expects the same


def test_on_pixels_and_with_other_weights(coparsed: Path) -> None:
    usual = call("--pid", "3", "-o", "a.png")
    assert call("--pid", "3", "--rgb", "-o", "b.png") != usual.replace("a.", "b.")
    assert call("--pid", "3", "--set", "iterations=1", "-o", "c.png").count("\n") == 5
    with Image.open("b.png") as strip:
        assert strip.height > 32


def test_a_picture_is_called_by_what_is_traced(coparsed: Path) -> None:
    """So that the strip on pixels stands beside the one on features."""
    assert "trace-r1-3-input=rgb.gif" in call("--pid", "3", "--rgb").splitlines()
    output = call("--pid", "3", "--set", "iterations=1", "--set", "norm=2").splitlines()
    assert output[-2:] == ["trace-r1-3-iterations=1-norm=2.png", "trace-r1-3-iterations=1-norm=2.gif"]


def test_the_window_counts(coparsed: Path) -> None:
    """In the term that is told, also before it has changed what is learnt."""
    rows = [call("--pid", "3", "--set", "iterations=1", *wide).splitlines()[1].split() for wide in ([], WIDE)]
    assert rows[0][3] != rows[1][3]


def test_weights_of_the_input_count_and_the_title_names_them(coparsed: Path, captions: list[list[str]]) -> None:
    pixels = call("--pid", "3", "--rgb", "-o", "a.png")
    assert call("--pid", "3", "--set", "input=rgb", "-o", "a.png") == pixels
    assert call("--pid", "3", "--rgb", "--set", "rgb_local_weight=1", "-o", "a.png") != pixels
    assert captions[-1][0] == "round r1, identity 3, input=rgb, rgb_local_weight=1"
    assert call("--pid", "3", "--set", "local_weight=1", "-o", "a.png") != call("--pid", "3", "-o", "a.png")


def test_another_revision_is_traced_by_its_own_artifacts(
    coparsed: Path, monkeypatch: pytest.MonkeyPatch, captions: list[list[str]]
) -> None:
    now = call("--pid", "3", "-o", "a.png")
    shutil.copytree(coparsed, "older")
    shutil.rmtree("older/data/features/r1.zarr")
    features = np.random.default_rng(5).random((3, 6, 4, 4)).astype(np.float16)
    write_store(coparsed / "older/data/features/r1.zarr", {"features": features}, epoch=0)
    revisions = {"workspace": coparsed, "v1": coparsed / "older"}
    monkeypatch.setattr("hcga.runs.revisions.open_revision", lambda root, name: Workspace(revisions[name]))
    assert call("--pid", "3", "--rev", "v1", "-o", "a.png") != now
    assert captions[-1][0] == "round r1 of v1, identity 3"
    assert call("--pid", "3", "-o", "a.png") == now


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pid", "4"], "identity 4 is not among the 2 training identities; nearest: 3, 8"),
        (["--pid", "3", "--set", "local_wait=1"], "coparse.local_wait: unknown key; did you mean 'local_weight'?"),
        (["--pid", "3", "--set", "local_weight=-1"], "coparse.local_weight: -1 (int)"),
        (["--pid", "3", "--set", "local_weight"], "--set local_weight: write KEY=VALUE"),
        (["--pid", "3", "--set", "window=[1"], "--set window=[1: '[1' is no value in YAML"),
        (
            ["--pid", "3", "--rgb", "--set", "local_weight=1"],
            "coparse.local_weight has no effect with input rgb; give rgb_local_weight another value",
        ),
        (
            ["--pid", "3", "--rgb", "--set", "input=features"],
            "--rgb and --set input=features contradict each other; leave one of them out",
        ),
        (["--pid", "3", "--set", "coparse.local_weight=1e300"], "coparse.local_weight: 1e+300 (float): input should"),
        (
            ["--pid", "3", "--set", "learning_rate=1000000000", "--set", "norm=2", "--set", "local_weight=1000000000"],
            "is nan; choose smaller weights or a smaller coparse.learning_rate",
        ),
        (["--pid", "3", "--set", "rgb_back_weight=1"], "no effect with input features; give back_weight another"),
        (["--pid", "3", "--set", "split=equal"], "coparse.split has no effect on the labels of HCNet"),
        (["--pid", "3", "--rev", "v0"], "v0: "),
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


@pytest.mark.parametrize(("attributes", "name"), [({"epoch": 0}, "source"), ({"source": "hcnet"}, "epoch")])
def test_a_store_that_does_not_say_how_it_was_made_is_refused(
    coparsed: Path, attributes: dict[str, str | int], name: str
) -> None:
    labels = np.asarray(array(open_store(coparsed / "data/masks/r1.zarr"), "labels")[:])
    shutil.rmtree(coparsed / "data/masks/r1.zarr")
    write_store(coparsed / "data/masks/r1.zarr", {"labels": labels}, **attributes)
    result = CliRunner().invoke(main, ["coparse", "trace", "--round", "r1", "--pid", "3"])
    assert result.exit_code == 1
    assert f"data/masks/r1.zarr: no attribute '{name}'" in result.stderr


def test_a_round_on_images_is_repeated_in_cells(coparsed: Path, default_params: Params) -> None:
    """Its decoder labels pixels; its store has what most pixels of a cell have."""
    params = Path("params.yaml")
    text = params.read_text(encoding="utf-8")
    assert "input: features" in text
    params.write_text(text.replace("input: features", "input: rgb"), encoding="utf-8")
    images = np.asarray(array(open_store(Path("data/images.zarr")), "images")[:2])
    settings = settings_of(load_params(params).coparse)
    (found,) = label_together(as_input(images)[None], np.array([[1, 2]]), settings, [(1, 0, 3)])
    labels = np.concatenate([downsample(found.labels), np.zeros((1, 4, 4), np.uint8)])
    shutil.rmtree("data/masks/r1.zarr")
    write_store(Path("data/masks/r1.zarr"), {"labels": labels}, source="hcnet", epoch=0)
    assert "note" not in call("--pid", "3")


def test_it_computes_on_one_thread_as_the_stages_workers(coparsed: Path) -> None:
    torch.set_num_threads(2)
    call("--pid", "3")
    assert torch.get_num_threads() == 1


def test_masks_of_another_source_cannot_be_traced(coparsed: Path) -> None:
    shutil.rmtree(coparsed / "data/masks/r1.zarr")
    write_store(coparsed / "data/masks/r1.zarr", {"labels": np.zeros((3, 4, 4), np.uint8)}, source="none", epoch=0)
    result = CliRunner().invoke(main, ["coparse", "trace", "--round", "r1", "--pid", "3"])
    assert (result.exit_code, "no masks by HCNet but of source none" in result.stderr) == (1, True)
