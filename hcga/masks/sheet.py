"""One picture that shows a round's masks at a glance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import zarr
from PIL import Image

from hcga.masks.pictures import SHEET_IDENTITIES, SHEET_IMAGES, contact_sheet
from hcga.samples import identities
from hcga.stores import array, attribute, read_rows


def contact_sheet_of(
    images: zarr.Array[Any],
    samples: pd.DataFrame,
    masks: zarr.Group,
    table: pd.DataFrame,
    title: str,
    worst: bool = False,
) -> Image.Image:
    """Show some images of some identities.

    Parameters
    ----------
    images : zarr.Array (N, H, W, 3) uint8
    samples : DataFrame
        The arranged sample table.
    masks : zarr.Group
        What stage coparse wrote.
    table : DataFrame
        Its table, one row an identity.
    title : str
    worst : bool
        Whether to show the first identities of the table instead of some spread evenly over the training set.

    Returns
    -------
    PIL Image
    """
    rows_of = identities(samples)
    pids = table["pid"].to_numpy()[:SHEET_IDENTITIES] if worst else spread(np.array(list(rows_of)), SHEET_IDENTITIES)
    chosen = [spread(rows_of[pid], SHEET_IMAGES) for pid in pids]
    described = table.set_index("pid").astype(object)  # whole numbers stay whole in a row
    captions = [_describe(pid, described.loc[pid]) for pid in pids]
    pictures = [read_rows(images, rows) for rows in chosen]
    parts = [read_rows(array(masks, "masks"), rows) for rows in chosen]
    part_classes = attribute(masks, "part_classes", int)
    return Image.fromarray(contact_sheet(pictures, parts, captions, title, part_classes))


def spread(values: np.ndarray, most: int) -> np.ndarray:
    """Give at most so many of the values, spread evenly."""
    return values[np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)]


def _describe(pid: int, row: pd.Series) -> str:
    if "foreground_share" not in row:
        return f"identity {pid}"
    warning = f"  ({row['warnings']})" if isinstance(row["warnings"], str) else ""  # nan where there are none
    labels = f", {row['labels_left']} labels" if "labels_left" in row else ""  # of HCNet alone
    return f"identity {pid}: {row['foreground_share']:.0f} % foreground{labels}{warning}"
