"""The files of the images of a sample table, which stores hold at the network's size."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from hcga.images import size_shown
from hcga.runs.workspace import Workspace


def image_files(workspace: Workspace, samples: pd.DataFrame) -> list[str]:
    """File of each image, as params.yaml spells the root of its data set: relative ones start at the checkout."""
    roots = {name: dataset.root for name, dataset in workspace.params.datasets.items()}
    places = zip(samples["dataset"], samples["path"], strict=True)
    return [Path(roots.get(dataset, dataset), path).as_posix() for dataset, path in places]


def own_size(file: Path) -> tuple[int, int] | None:
    """Height and width in pixels of an image file as it is shown; None if there is no such file."""
    return size_shown(file)[::-1] if file.is_file() else None
