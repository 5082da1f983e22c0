"""The training of HCNet on one identity, watched iteration by iteration (Figs. 4 and 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from hcga.coparsing.identity import count_labels, iterate, seeded_decoder
from hcga.coparsing.inputs import as_input, settings_of
from hcga.coparsing.losses import adjacent_pairs, background_loss, local_loss, semantic_loss
from hcga.coparsing.winograd import to_tiles
from hcga.errors import InputError
from hcga.masks import downsample
from hcga.params import Coparse, change_section
from hcga.pictures import colour_labels, label_rows, stack
from hcga.samples import read_samples, rows_of_identity
from hcga.stores import array, open_store, read_rows
from hcga.workspace import Workspace

SHOWN_IMAGES = 8  # drawn; all are trained on


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


def trace_round(
    workspace: Workspace, round_name: str, pid: int, changes: Mapping[str, Any], rgb: bool = False
) -> Trace:
    """Repeat the training of HCNet on one identity of a round.

    Parameters
    ----------
    workspace : Workspace
    round_name : str
    pid : int
        A training identity.
    changes : mapping
        Fields of section coparse that are to have other values than in params.yaml.
    rgb : bool
        On the images themselves, in [0, 1], instead of the round's features (V-B).

    Raises
    ------
    InputError
        The round or the identity does not exist, the round has no features or masks, its masks come from another
        source than HCNet, or `changes` are impossible.
    """
    masks = open_store(workspace.path("coparse", "masks", round_name))
    if masks.attrs["source"] != "hcnet":
        raise InputError(f"round {round_name} has no masks by HCNet but of source {masks.attrs['source']}")
    samples = read_samples(workspace.path("prepare", "samples"))
    rows = rows_of_identity(samples, pid)
    images = read_rows(array(open_store(workspace.path("prepare", "images")), "images"), rows)
    written = workspace.params.coparse
    rgb = rgb or written.input == "rgb"
    params = settings_of(change_section(written, "coparse", {**changes, "input": "rgb" if rgb else "features"}))
    if rgb:
        features = as_input(images)
    else:
        features = read_rows(array(open_store(workspace.path("extract", "features", round_name)), "features"), rows)
    seed = (workspace.params.seed, int(str(masks.attrs["epoch"])), pid)
    steps = trace_identity(features, samples["camid"].to_numpy()[rows], params, seed)
    if changes or rgb != (written.input == "rgb"):
        return Trace(images, steps, None)
    stored, last = read_rows(array(masks, "labels"), rows), steps[-1].labels
    return Trace(images, steps, bool((stored == (downsample(last) if rgb else last)).all()))


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
    """
    cameras = torch.from_numpy(camids)
    paired = adjacent_pairs(cameras, params.pairs)
    decoder = seeded_decoder(features.shape[1], params, [seed])
    height, width = features.shape[2:]
    tiles = to_tiles(torch.from_numpy(features)[None])
    steps: list[Step] = []
    for scores, labels in iterate(decoder, tiles, height, width, cameras[None], params):
        output = scores[:, :, :, 0].permute(0, 3, 1, 2)
        terms = (
            float(semantic_loss(output)),
            float(local_loss(output, params.window, params.norm, params.diagonal_weight)),
            float(background_loss(output, paired, params.norm)),
        )
        weights = (params.semantic_weight, params.local_weight, params.back_weight)
        total = sum(weight * term for weight, term in zip(weights, terms, strict=True))
        (left,) = count_labels(labels, params.labels)
        steps.append(Step(labels[..., 0].to(torch.uint8).numpy(), left, *terms, total))
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
    names = ["images", *(f"{number}: {step.labels_left} labels" for number, step in enumerate(trace.steps, 1))]
    return label_rows(stack(trace.images[:SHOWN_IMAGES], *_pictures(trace)), names, title)


def draw_frames(trace: Trace, title: str) -> list[np.ndarray]:
    """The images above the labels of one iteration, for each iteration: pictures of equal size."""
    frames = []
    for number, (step, picture) in enumerate(zip(trace.steps, _pictures(trace), strict=True), 1):
        losses = f"semantic {step.semantic:.3f}, local {step.local:.3f}, background {step.back:.3f}"
        text = f"{title}, iteration {number:2}: {step.labels_left:2} labels; {losses}"
        frames.append(label_rows(stack(trace.images[:SHOWN_IMAGES], picture), ["images", "labels"], text))
    width = max(frame.shape[1] for frame in frames)
    return [np.pad(frame, ((0, 0), (0, width - frame.shape[1]), (0, 0)), constant_values=255) for frame in frames]


def _pictures(trace: Trace) -> list[np.ndarray]:
    scale = trace.images.shape[1] // trace.steps[0].labels.shape[1]
    return [
        colour_labels(step.labels[:SHOWN_IMAGES].repeat(scale, axis=1).repeat(scale, axis=2)) for step in trace.steps
    ]
