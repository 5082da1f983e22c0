"""Stores of a run fit each other, or whoever reads them says so."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hcga.artifacts import open_artifact, open_images
from hcga.errors import InputError
from hcga.masks.comparison import compare_masks
from hcga.masks.export import export_masks
from hcga.masks.inspection import draw_identity
from hcga.params import Image
from hcga.runs.workspace import Workspace
from hcga.samples import describe_image_set, read_samples, write_samples
from hcga.store_writing import write_store
from hcga.stores import array, open_store, read_all


def mark(store: Path, image_set: str) -> None:
    arrays = {name: read_all(array(open_store(store), name)) for name in open_store(store).array_keys()}
    attributes = dict(open_store(store).attrs) | {"image_set": image_set}
    shutil.rmtree(store)
    write_store(store, arrays, **attributes)


@pytest.fixture
def workspace(workspace_folder: Path) -> Workspace:
    """Give a run whose masks are of the images that it has."""
    for name in ("images", "masks/r1"):
        mark(workspace_folder / f"data/{name}.zarr", "these")
    return Workspace(workspace_folder)


READERS: dict[str, Callable[[Workspace, Path], object]] = {
    "open": lambda workspace, _: open_artifact(workspace, "coparse", "masks", "r1"),
    "compare": lambda workspace, _: compare_masks(workspace, workspace, "r1"),
    "draw": lambda workspace, _: draw_identity(workspace, "r1", 3, "title"),
    "export": lambda workspace, target: export_masks(workspace, "r1", "npz", [], target),
}


@pytest.mark.parametrize("reader", READERS)
def test_masks_of_other_images_are_refused(workspace: Workspace, tmp_path: Path, reader: str) -> None:
    """As they lie there while the pipeline runs again with other params."""
    READERS[reader](workspace, tmp_path / "a")
    mark(workspace.path("prepare", "images"), "others")
    with pytest.raises(InputError, match=r"r1\.zarr: made of other images than .*images\.zarr holds now"):
        READERS[reader](workspace, tmp_path / "b")


@pytest.mark.parametrize("reader", [*READERS][1:])
def test_a_table_of_other_images_is_refused(workspace: Workspace, tmp_path: Path, reader: str) -> None:
    """As after a change by hand."""
    path = workspace.path("prepare", "samples")
    samples = read_samples(path)
    of = describe_image_set(samples, Image(height=64, width=32))["image_set"]
    for store in ("images", "masks/r1"):
        mark(workspace.root / f"data/{store}.zarr", of)
    READERS[reader](workspace, tmp_path / "a")
    write_samples(samples.replace({"pid": {8: 9}}), path)
    with pytest.raises(InputError, match=r"samples\.csv: not the table of which .*r1\.zarr was made"):
        READERS[reader](workspace, tmp_path / "b")


def test_images_are_those_of_the_workspace(workspace: Workspace) -> None:
    assert open_images(workspace).attrs["image_set"] == "these"
