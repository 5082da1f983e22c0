"""What the page of an identity says of it: a row a place, its images, its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
from starlette.datastructures import QueryParams

from hcga.masks import STRIDE
from hcga.pictures import legend
from hcga.revisions import Place
from hcga.view.filters import FILTERS, filters_in_words, images_left, rows_left
from hcga.view.layers import CONFIDENCE
from hcga.view.places import Archive


def describe_identity(archive: Archive, pid: int, places: Sequence[Place], asked: QueryParams) -> dict[str, Any]:
    """Collect what the page shows.

    Parameters
    ----------
    archive : Archive
    pid : int
    places : sequence of Place
        One a row; the images are those of the first.
    asked : QueryParams
        Layers and filters of the address.

    Returns
    -------
    dict
        Values of identity.html.
    """
    rev = places[0].rev
    rows = rows_left(archive, rev, pid, asked)
    height, width = archive.images(rev).shape[1:3]
    before, after = _neighbours(archive, pid, places, asked)
    return {
        "pid": pid,
        "rows": [{"place": place, "figures": _figures(archive, place, pid)} for place in places],
        "layers": asked.getlist("layer") or ["masks"],
        "known_layers": layer_titles(archive, rev),
        "size": ((width + STRIDE) * len(rows), height),
        "images": [archive.sample(rev, row) for row in rows],
        "asked": {key: asked.get(key) for key in (*FILTERS, "opacity")},
        "filtered": filters_in_words(asked),
        "filters": urlencode({key: asked[key] for key in FILTERS if asked.get(key)}),
        "query": str(asked),
        "without_filters": urlencode([(key, value) for key, value in asked.multi_items() if key not in FILTERS]),
        "before": before,
        "after": after,
        "parts": legend(archive.revision(rev).params.part_classes),
    }


def layer_titles(archive: Archive, rev: str) -> dict[str, str]:
    """Layers that a revision has, and how they are called on the page."""
    parts = legend(archive.revision(rev).params.part_classes)
    return {
        "masks": "masks",
        "changed": "changed from the row above",
        "labels": "labels",
        "head": "parsing head",
        **({"truth": "truth"} if archive.truth(rev) is not None else {}),
        **{f"{CONFIDENCE}{part}": f"confidence, {name}" for part, (name, _) in enumerate(parts, 1)},
    }


def _figures(archive: Archive, place: Place, pid: int) -> dict[str, Any]:
    """What the table of a place says of an identity, as far as it says anything."""
    table = archive.table(place)
    found = table[table["pid"] == pid].to_dict("records")
    known = found[0].items() if found else []
    return {str(name).replace("_", " "): value for name, value in known if name != "pid" and value == value}


def _neighbours(
    archive: Archive, pid: int, places: Sequence[Place], asked: QueryParams
) -> tuple[int | None, int | None]:
    """The identities before and after it in the list of the last place, of those with images that the filters leave."""
    rev = places[0].rev
    shown = set(archive.samples(rev)["pid"][images_left(archive, rev, asked)])
    listed = archive.table(places[-1])["pid"]
    here = int(np.argmax(listed == pid))  # the first, if it is not listed
    before = [other for other in listed[:here].tolist() if other in shown]
    after = [other for other in listed[here + 1 :].tolist() if other in shown]
    return before[-1] if before else None, after[0] if after else None
