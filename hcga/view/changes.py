"""What the page of changes shows: identities that moved most, and of the first of them the pixels that did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hcga.masks.comparison import changed_shares, compare_masks, summarise_difference
from hcga.masks.parts import STRIDE
from hcga.runs.revisions import Place
from hcga.samples import identities, rows_of_identity
from hcga.view.layers import masks_at, require_masks
from hcga.view.legends import legends
from hcga.view.places import Archive

IDENTITIES, IMAGES = 6, 4  # that are shown; of each
HEIGHT = 128  # pixels of an image on the page


def describe_changes(archive: Archive, first: Place, second: Place) -> dict[str, Any]:
    """Collect what the page shows of the masks of two places.

    Parameters
    ----------
    archive : Archive
    first, second : Place

    Returns
    -------
    dict
        Values of changes.html.

    Raises
    ------
    InputError
        One of them has no masks, or their masks are not of the same size or of other part classes.
    """
    for place in (first, second):
        require_masks(archive, place)
    before, after = (archive.revision(place.rev) for place in (first, second))
    table = compare_masks(before, after, first.round, second.round)
    return {
        "first": first,
        "second": second,
        "table": table,
        "summary": summarise_difference(table),
        "moved": most_moved(archive, first, second, table),
        "legends": legends(archive, [(second, "masks"), (second, "changed")]),
    }


def most_moved(archive: Archive, first: Place, second: Place, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Choose what to show; of the masks only those of a few identities are read.

    Parameters
    ----------
    archive : Archive
    first, second : Place
    table : DataFrame
        Of `compare_masks`, those that moved most first.

    Returns
    -------
    list of dict
        An entry an identity: pid; changed, per cent of its cells; images, those that moved most first, each with row
        (in the first place's revision), pid, camid, path and changed; size, width and height of them side by side.
    """
    moved = table[table["changed"] > 0].head(IDENTITIES)
    height, width = archive.images(first.rev).shape[1:3]
    scale = HEIGHT / height
    found = []
    for pid, changed in zip(moved["pid"].tolist(), moved["changed"].tolist(), strict=True):
        images = _images(archive, first, second, pid)
        size = (scale * (width + STRIDE) * len(images), scale * height)
        found.append({"pid": pid, "changed": changed, "images": images, "size": size})
    return found


def _images(archive: Archive, first: Place, second: Place, pid: int) -> list[dict[str, Any]]:
    """The images of an identity that moved most."""
    rows = rows_of_identity(identities(archive.samples(first.rev)), pid)
    before = masks_at(archive, first, rows)
    after = masks_at(archive, second, archive.same_images(first.rev, rows, second.rev))
    shares = np.nan_to_num(changed_shares(before, after))
    chosen = np.argsort(-shares, kind="stable")[:IMAGES]
    return [
        {**archive.sample(first.rev, int(rows[number])), "changed": float(shares[number])}
        for number in chosen
        if shares[number] > 0
    ]
