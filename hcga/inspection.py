"""Looking at one identity of one round."""

from __future__ import annotations

import numpy as np

from hcga.errors import InputError
from hcga.masks import UNLABELLED
from hcga.pictures import colour_labels, label_rows, overlay, stack
from hcga.samples import identities, read_samples
from hcga.stores import array, open_store, read_rows
from hcga.workspace import Workspace


def draw_identity(workspace: Workspace, round_name: str, pid: int) -> np.ndarray:
    """Draw an identity's images, decoder labels, masks and, where there is one, the truth, below each other.

    Parameters
    ----------
    workspace : Workspace
    round_name : str
    pid : int
        A training identity.

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    InputError
        The round or the identity does not exist, or the round has no masks yet.
    """
    store = open_store(workspace.path("coparse", "masks", round_name))
    rows_of = identities(read_samples(workspace.path("prepare", "samples")))
    if pid not in rows_of:
        near = ", ".join(str(known) for known in sorted(rows_of, key=lambda known: abs(known - pid))[:3])
        raise InputError(f"identity {pid} is not among the {len(rows_of)} training identities; nearest: {near}")
    rows = rows_of[pid]
    images = read_rows(array(open_store(workspace.path("prepare", "images")), "images"), rows)
    masks = read_rows(array(store, "masks"), rows)
    labels = read_rows(array(store, "labels"), rows)
    strips = {"image": images, "labels": images if (labels == UNLABELLED).all() else colour_labels(labels)}
    strips["masks"] = overlay(images, masks)
    truth = open_store(workspace.path("prepare", "truth"))
    if "truth" in truth:
        strips["truth"] = overlay(images, read_rows(array(truth, "truth"), rows))
    return label_rows(stack(*strips.values()), list(strips), f"round {round_name}, identity {pid}")
