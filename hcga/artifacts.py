"""The stores of a run, opened so that they fit each other: row i is image i of all of them."""

from __future__ import annotations

import zarr

from hcga.runs.workspace import Workspace
from hcga.stores import open_store, open_store_of


def open_images(workspace: Workspace) -> zarr.Group:
    """Open the store of images; `InputError` if there is none."""
    return open_store(workspace.path("prepare", "images"))


def open_artifact(workspace: Workspace, stage: str, option: str, round_name: str = "") -> zarr.Group:
    """Open a store that a stage has made of the images which are there now.

    While a pipeline runs again, what later stages have left of the run before still lies there.

    Parameters
    ----------
    workspace : Workspace
        Or a revision.
    stage, option, round_name : str
        As of `Workspace.path`.

    Raises
    ------
    InputError
        There is no such store, or it was made of other images.
    """
    return open_store_of(workspace.path(stage, option, round_name), open_images(workspace))
