"""What the page of an identity says of it: a row a place, its images, its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.datastructures import QueryParams

from hcga.errors import InputError
from hcga.masks.parts import STRIDE
from hcga.runs.revisions import Place
from hcga.stores import read_rows
from hcga.view.filters import FILTERS, filters_in_words, rows_left
from hcga.view.layers import CONFIDENCE, open_layer
from hcga.view.legends import layer_titles, legends
from hcga.view.listing import SORTING, neighbours
from hcga.view.looks import look, opacity
from hcga.view.places import Archive

HEIGHT = 192  # pixels of an image on the page, if the address does not say how large


def describe_identity(archive: Archive, pid: int, places: Sequence[Place], asked: QueryParams) -> dict[str, Any]:
    """Collect what the page shows.

    Parameters
    ----------
    archive : Archive
    pid : int
    places : sequence of Place
        One a row; the images are those of the first.
    asked : QueryParams
        Of the address: layers, looks and filters; `list`, the place in whose list its neighbours stand, and how that is
        sorted.

    Returns
    -------
    dict
        Values of identity.html.
    """
    rev = places[0].rev
    rows = rows_left(archive, rev, pid, asked)
    images = archive.images(rev)
    read_rows(images, rows)  # so that damage is said here, not by a broken picture
    height, width = images.shape[1:3]
    hidden = archive.occlusion(rev).occluded[rows].tolist()
    layers = asked.getlist("layer") or ["masks"]
    described = [
        _row(archive, pid, place, before, layers, (rev, rows))
        for before, place in zip([None, *places], places, strict=False)
    ]
    if described[0]["problem"]:
        raise InputError(described[0]["problem"])
    shown = [row for row in described if not row["problem"]]
    known = [row["place"] for row in shown if row["place"].rev == rev]
    listed = archive.place(asked["list"]) if asked.get("list") else known[-1]
    previous, following = neighbours(archive, listed, asked, pid)
    return {
        "pid": pid,
        "listed": listed,
        "rows": described,
        "layers": layers,
        "known_layers": dict(item for row in reversed(shown) for item in row["titles"].items()),
        "size": ((width + STRIDE) * len(rows), height),
        "opacity": opacity(asked),
        "zoom": look(asked, "zoom", max(1, HEIGHT / height), 0.5, 8),
        "images": [
            {**archive.sample(rev, row), "occluded": occluded} for row, occluded in zip(rows, hidden, strict=True)
        ],
        "filters": {key: asked.get(key) or None for key in FILTERS},
        "in_list": {key: asked.get(key) or None for key in (*FILTERS, *SORTING)},
        "filtered": filters_in_words(asked),
        "asked": {key: asked.getlist(key) for key in asked},
        "unfiltered": {key: asked.getlist(key) for key in asked if key not in FILTERS},
        "before": previous,
        "after": following,
        "legends": legends(
            archive, [(row["place"], layer) for row in shown for layer in layers if not row["problems"][layer]]
        ),
        "confidence": any(layer.startswith(CONFIDENCE) for layer in layers),
    }


def _row(
    archive: Archive, pid: int, place: Place, before: Place | None, layers: Sequence[str], base: tuple[str, np.ndarray]
) -> dict[str, Any]:
    """What a place says of the identity: figures, images of the base (a revision and rows in it) that it lacks.

    And which layers cannot be shown, and why; if nothing can, because of a `problem` with the place itself, only that.
    """
    try:
        archive.require_round(place)
        rows = archive.same_images(*base, place.rev)
        return {
            "place": place,
            "before": before,
            "problem": None,
            "titles": layer_titles(archive, place),
            "figures": _figures(archive, place, pid),
            "missing": int((rows < 0).sum()),
            "problems": {layer: _problem(archive, place, layer, rows[rows >= 0], before) for layer in layers},
        }
    except InputError as error:
        return {"place": place, "problem": str(error)}


def _figures(archive: Archive, place: Place, pid: int) -> dict[str, Any]:
    """What the table of a place says of an identity, as far as it says anything."""
    table = archive.table(place)
    found = table[table["pid"] == pid].to_dict("records")
    known = found[0].items() if found else []
    return {str(name).replace("_", " "): value for name, value in known if name != "pid" and value == value}


def _problem(archive: Archive, place: Place, layer: str, rows: np.ndarray, before: Place | None) -> str | None:
    """Why a layer cannot be shown, if it cannot."""
    if layer == "changed" and before is None:
        return "there is no row above"
    try:
        read, _ = open_layer(archive, place, layer, before)
        if not layer.startswith(CONFIDENCE):  # which takes seconds
            read(rows)
    except InputError as error:
        return str(error)
    return None
