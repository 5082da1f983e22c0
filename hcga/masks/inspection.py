"""Looking at one identity of one round."""

from __future__ import annotations

import numpy as np

from hcga.artifacts import open_artifact, open_images
from hcga.masks.parts import UNLABELLED, upsample
from hcga.masks.pictures import colour_labels, label_rows, overlay, stack
from hcga.runs.workspace import Workspace
from hcga.samples import identities, read_samples_of, rows_of_identity
from hcga.stores import array, read_rows


def draw_identity(workspace: Workspace, round_name: str, pid: int, title: str) -> np.ndarray:
    """Draw an identity's images, decoder labels, masks and, where there is one, the truth, below each other.

    Parameters
    ----------
    workspace : Workspace
    round_name : str
    pid : int
        A training identity.
    title : str
        Of the picture.

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    InputError
        The round or the identity does not exist, or the round has no masks yet.
    """
    store = open_artifact(workspace, "coparse", "masks", round_name)
    rows = rows_of_identity(identities(read_samples_of(workspace.path("prepare", "samples"), store)), pid)
    images = read_rows(array(open_images(workspace), "images"), rows)
    masks = read_rows(array(store, "masks"), rows)
    labels = read_rows(array(store, "labels"), rows)
    strips = {"image": images, "labels": images if (labels == UNLABELLED).all() else colour_labels(upsample(labels))}
    strips["masks"] = overlay(images, masks)
    truth = open_artifact(workspace, "prepare", "truth")
    if "truth" in truth:
        strips["truth"] = overlay(images, read_rows(array(truth, "truth"), rows))
    return label_rows(stack(*strips.values()), list(strips), title)
