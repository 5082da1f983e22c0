"""What the page of an identity says of it: a row a place, its images, its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.datastructures import QueryParams

from hcga.errors import InputError
from hcga.masks import STRIDE, part_colour
from hcga.pictures import legend
from hcga.revisions import Place, parse_place
from hcga.stores import read_rows
from hcga.view.filters import FILTERS, filters_in_words, rows_left
from hcga.view.layers import CHANGED, CONFIDENCE, open_layer
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
    known = [row["place"] for row in described if not row["problem"] and row["place"].rev == rev]
    listed = parse_place(asked["list"]) if asked.get("list") else known[-1]
    previous, following = neighbours(archive, listed, asked, pid)
    return {
        "pid": pid,
        "listed": listed,
        "rows": described,
        "layers": layers,
        "known_layers": layer_titles(archive, rev),
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
        "parts": _legend(archive, rev, layers),
        "confidence": any(layer.startswith(CONFIDENCE) for layer in layers),
    }


def layer_titles(archive: Archive, rev: str) -> dict[str, str]:
    """Layers that a revision has, and how they are called on the page."""
    parts = legend(archive.revision(rev).params.part_classes)
    return {
        "masks": "masks",
        "alone": "masks without photos",
        "changed": "changed from the row above",
        "labels": "labels",
        "head": "parsing head",
        **({"truth": "truth"} if _may_have_truth(archive, rev) else {}),
        **{f"{CONFIDENCE}{part}": f"confidence, {name}" for part, (name, _) in enumerate(parts, 1)},
    }


def _may_have_truth(archive: Archive, rev: str) -> bool:
    """Whether there is truth, or it cannot be read, which its row then says."""
    try:
        return archive.truth(rev) is not None
    except InputError:
        return True


def _legend(archive: Archive, rev: str, layers: Sequence[str]) -> list[tuple[str, str]]:
    """Names and colours, of the parts and of what else the layers show."""
    others = {"alone": ("background without photos", part_colour(0)), "changed": ("changed", CHANGED)}
    shown = [
        (name, "#{:02x}{:02x}{:02x}".format(*colour)) for layer, (name, colour) in others.items() if layer in layers
    ]
    return [*legend(archive.revision(rev).params.part_classes), *shown]


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
