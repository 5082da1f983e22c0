"""The training of HCNet on one identity, watched iteration by iteration (Figs. 4 and 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from hcga.artifacts import open_artifact, open_images
from hcga.coparsing.identity import count_labels, iterate, seeded_decoder
from hcga.coparsing.inputs import OF_IMAGES, as_input, settings_of
from hcga.coparsing.losses import adjacent_pairs, hcnet_loss
from hcga.coparsing.winograd import to_tiles
from hcga.errors import InputError
from hcga.masks.parts import downsample
from hcga.masks.pictures import caption_rows, colour_labels, stack
from hcga.masks.sheet import spread
from hcga.params import Coparse, change_section
from hcga.runs.workspace import Workspace
from hcga.samples import identities, read_samples_of, rows_of_identity
from hcga.stores import array, attribute, read_rows

SHOWN_IMAGES = 8  # drawn; all are trained on
OTHERS = {"source", "background", "split", "borders", "workers"}  # fields of coparse that are not HCNet's


class Step(NamedTuple):
    """One iteration: what its forward pass gave, before the step of the optimisation."""

    labels: np.ndarray  # (N, h, w) uint8
    labels_left: int  # distinct ones
    semantic: float  # Eq. 3, without its weight, like the next two
    local: float  # Eq. 2
    back: float  # Eq. 4
    total: float  # Eq. 5


class Trace(NamedTuple):
    """How HCNet came to the labels of one identity."""

    images: np.ndarray  # (N, H, W, 3) uint8
    steps: list[Step]
    repeats: bool | None  # whether it ends with the labels in the round's store; None if it was not to


def trace_round(workspace: Workspace, round_name: str, pid: int, changes: Mapping[str, Any]) -> Trace:
    """Repeat the training of HCNet on one identity of a round.

    Parameters
    ----------
    workspace : Workspace
        Or a revision.
    round_name : str
    pid : int
        A training identity.
    changes : mapping
        Fields of section coparse that are to have other values than in params.yaml; `input` among them: `rgb` is on
        the images themselves, in [0, 1], instead of the round's features (V-B).

    Raises
    ------
    InputError
        The round or the identity does not exist, the round has no features or masks, its masks come from another
        source than HCNet, or `changes` are impossible, without effect, or such that HCNet diverges.
    """
    masks = open_artifact(workspace, "coparse", "masks", round_name)
    if (source := attribute(masks, "source", str)) != "hcnet":
        raise InputError(f"round {round_name} has no masks by HCNet but of source {source}")
    written = workspace.params.coparse
    changed = change_section(written, "coparse", changes)
    _refuse_idle(changes, changed)
    samples = read_samples_of(workspace.path("prepare", "samples"), masks)
    rows = rows_of_identity(identities(samples), pid)
    images = read_rows(array(open_images(workspace), "images"), rows)
    rgb = changed.input == "rgb"
    if rgb:
        features = as_input(images)
    else:
        features = read_rows(array(open_artifact(workspace, "extract", "features", round_name), "features"), rows)
    seed = (workspace.params.seed, attribute(masks, "epoch", int), pid)
    steps = trace_identity(features, samples["camid"].to_numpy()[rows], settings_of(changed), seed)
    if changed != written:
        return Trace(images, steps, None)
    stored, last = read_rows(array(masks, "labels"), rows), steps[-1].labels
    return Trace(images, steps, bool((stored == (downsample(last) if rgb else last)).all()))


def _refuse_idle(changes: Mapping[str, Any], changed: Coparse) -> None:
    """Refuse to change what the labels of HCNet do not hang on: somebody would look for its effect."""
    for of_features, of_images in OF_IMAGES.items():
        used, idle = (of_images, of_features) if changed.input == "rgb" else (of_features, of_images)
        if idle in changes:
            raise InputError(f"coparse.{idle} has no effect with input {changed.input}; give {used} another value")
    for name in OTHERS & changes.keys():
        raise InputError(f"coparse.{name} has no effect on the labels of HCNet, which are what is traced; leave it out")


def trace_identity(features: np.ndarray, camids: np.ndarray, params: Coparse, seed: tuple[int, ...]) -> list[Step]:
    """Train a fresh decoder as `hcga.coparsing.identity.label_together` does, and keep every iteration.

    Parameters
    ----------
    features : (N, q, h, w) float16 or float32
        V of one identity, or its images in [0, 1]; h and w multiples of 4.
    camids : (N,) int64
    params : Coparse
    seed : tuple of int

    Returns
    -------
    list of Step
        The last one has the labels that `label_together` returns.

    Raises
    ------
    InputError
        A loss is no finite number.
    """
    cameras = torch.from_numpy(camids)
    paired = adjacent_pairs(cameras, params.pairs)
    decoder = seeded_decoder(features.shape[1], params, [seed])
    height, width = features.shape[2:]
    tiles = to_tiles(torch.from_numpy(features)[None])
    steps: list[Step] = []
    for scores, labels in iterate(decoder, tiles, height, width, cameras[None], params):
        output = scores[:, :, :, 0].permute(0, 3, 1, 2)
        losses = [float(term) for term in hcnet_loss(output, paired, params)]
        if not np.isfinite(losses[-1]):
            raise InputError(
                f"HCNet diverges: its loss in iteration {len(steps) + 1} is {losses[-1]}; choose smaller weights or a "
                "smaller coparse.learning_rate"
            )
        (left,) = count_labels(labels, params.labels)
        steps.append(Step(labels[..., 0].to(torch.uint8).numpy(), left, *losses))
        if left <= params.min_labels:
            break
    return steps


def tabulate(steps: Sequence[Step]) -> pd.DataFrame:
    """A row an iteration: its number, labels left, the terms of the loss and their weighted sum."""
    table = pd.DataFrame([step._asdict() for step in steps]).drop(columns="labels")
    table.insert(0, "iteration", range(1, len(steps) + 1))
    return table


def draw_strip(trace: Trace, title: str) -> np.ndarray:
    """The images, and below them their labels after each iteration: one (height, width, 3) uint8 picture."""
    captions = [describe_images(trace), *(_describe(number, step) for number, step in enumerate(trace.steps, 1))]
    return caption_rows([_draw(trace), *(_draw(trace, step) for step in trace.steps)], captions, title)


def draw_frames(trace: Trace, title: str) -> list[np.ndarray]:
    """The images above the labels of one iteration, for each iteration: pictures of equal size."""
    images, said = _draw(trace), describe_images(trace)
    frames = [
        caption_rows([images, _draw(trace, step)], [said, _describe(number, step)], title)
        for number, step in enumerate(trace.steps, 1)
    ]
    width = max(frame.shape[1] for frame in frames)
    return [np.pad(frame, ((0, 0), (0, width - frame.shape[1]), (0, 0)), constant_values=255) for frame in frames]


def describe_images(trace: Trace) -> str:
    """How many of the identity's images the pictures show."""
    shown, count = len(_shown(trace)), len(trace.images)
    return f"{shown} of {count} images" if shown < count else f"{count} image{'s' if count > 1 else ''}"


def _describe(number: int, step: Step) -> str:
    terms = f"semantic {step.semantic:.4f}, local {step.local:.4f}, back {step.back:.4f}, total {step.total:.4f}"
    return f"iteration {number}: {step.labels_left} labels; {terms}"


def _draw(trace: Trace, step: Step | None = None) -> np.ndarray:
    """A row of the images shown, or of their labels in a step."""
    shown = _shown(trace)
    if step is None:
        return stack(trace.images[shown])
    scale = trace.images.shape[1] // step.labels.shape[1]
    return stack(colour_labels(step.labels[shown].repeat(scale, axis=1).repeat(scale, axis=2)))


def _shown(trace: Trace) -> np.ndarray:
    return spread(np.arange(len(trace.images)), SHOWN_IMAGES)
