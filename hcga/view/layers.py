"""Strips of an identity's images and of what lies over them, as pictures with transparency."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import zarr
from PIL import Image

from hcga.errors import InputError
from hcga.masks.comparison import changed_cells, open_comparable
from hcga.masks.parts import STRIDE, UNLABELLED, part_colour
from hcga.masks.pictures import colour_labels
from hcga.runs.revisions import Place
from hcga.stores import array, attribute, read_rows
from hcga.view.confidence import confidence_maps, part_classes_of
from hcga.view.places import Archive

LAYERS = ("masks", "alone", "changed", "labels", "head", "truth")
CHANGED = (213, 94, 0, 255)  # vermilion
HATCH = np.array([(128, 128, 128, 255), (208, 208, 208, 255)], np.uint8)  # by turns, where nothing is labelled
CONFIDENCE = "confidence-"  # and the number of a part
Read = Callable[[np.ndarray], np.ndarray]  # of rows (n,) int64 the colours, RGBA, (n, h, w, 4) uint8


def image_strip(archive: Archive, rev: str, rows: np.ndarray, gap: int = STRIDE) -> bytes:
    """The images side by side, a gap, in pixels, of nothing after each, as WebP."""
    images = np.pad(read_rows(archive.images(rev), rows), [(0, 0)] * 3 + [(0, 1)], constant_values=255)
    return _encode(_side_by_side(images, gap), "WEBP", quality=90)


def layer_strip(
    archive: Archive, place: Place, layer: str, rows: np.ndarray, before: Place | None = None, gaps: bool = True
) -> bytes:
    """A layer of the same images, as a PNG with transparency that lies exactly over them.

    Parameters
    ----------
    archive : Archive
    place : Place
    layer : str
        See `open_layer`.
    rows : (n,) int64
        -1 for an image that this place does not have: it stays clear.
    before : Place, optional
        See `open_layer`.
    gaps : bool
        Whether a gap follows each picture, as in `image_strip`.

    Raises
    ------
    InputError
        There is no such layer here.
    """
    there = rows >= 0
    read, gap = open_layer(archive, place, layer, before)
    colours = read(rows[there])
    placed = np.zeros((len(rows), *colours.shape[1:]), np.uint8)
    placed[there] = colours
    return _encode(_side_by_side(placed, gap if gaps else 0), "PNG")


def open_layer(archive: Archive, place: Place, layer: str, before: Place | None = None) -> tuple[Read, int]:
    """Open a layer, so that what it lacks is known before it is read.

    Parameters
    ----------
    archive : Archive
    place : Place
    layer : str
        `masks`; `alone`, the same with an opaque background; `changed`, cells that another place's masks have
        otherwise; `labels`, the decoder's before CPLR; `head`, the parsing head's most likely classes; `truth`; or
        `confidence-N`, the parsing head's confidence in part N.
    before : Place, optional
        To compare with, for `changed`; nothing has changed without.

    Returns
    -------
    Read
        Gives the colours of some images, in cells or in pixels.
    int
        How far apart the pictures are then.

    Raises
    ------
    InputError
        There is no such layer here.
    """
    if layer in MASKS:
        name, colour = MASKS[layer]
        cells = array(require_masks(archive, place), name)
        return lambda rows: colour(read_rows(cells, rows)), 1
    if layer == "changed":
        return _open_changed(archive, place, before or place), 1
    if layer == "head":
        parsed = array(_parsed_embeddings(archive, place), "parsed")
        return lambda rows: colour_parts(read_rows(parsed, rows)), 1
    if layer == "truth":
        truth = archive.truth(place.rev)
        if truth is None:
            raise InputError("this data set has no true masks")
        return lambda rows: colour_parts(read_rows(truth, rows), STRIDE), STRIDE
    if layer.startswith(CONFIDENCE):
        return _open_confidence(archive, place, layer), 1
    raise InputError(f"no layer {layer!r}; known: {', '.join(LAYERS)}, {CONFIDENCE}1 and so on, one a part")


def masks_at(archive: Archive, place: Place, rows: np.ndarray) -> np.ndarray:
    """Masks (n, h, w) uint8 of some images; UNLABELLED for rows of -1."""
    store = array(archive.store(place, "coparse", "masks"), "masks")
    found = np.full((len(rows), *store.shape[1:]), UNLABELLED, np.uint8)
    found[rows >= 0] = read_rows(store, rows[rows >= 0])
    return found


def colour_parts(cells: np.ndarray, side: int = 1, background: int = 0) -> np.ndarray:
    """Colour parts; what is not labelled is hatched.

    Parameters
    ----------
    cells : (n, h, w) uint8
    side : int
        Pixels of a square of the hatch.
    background : int
        How opaque it is, up to 255; it is clear unless told.

    Returns
    -------
    (n, h, w, 4) uint8
        RGBA.
    """
    colours = np.array([part_colour(part) for part in range(256)], np.uint8)[cells]
    return _hatch(_with_alpha(colours, np.where(cells, np.uint8(255), np.uint8(background))), cells, side)


def has_masks(archive: Archive, place: Place) -> bool:
    """Whether there was a source of masks: not so in the baseline without parsing."""
    return archive.store(place, "coparse", "masks").attrs.get("source") != "none"


def require_masks(archive: Archive, place: Place) -> zarr.Group:
    """Store of a place's masks; `InputError` if it has none."""
    if not has_masks(archive, place):
        raise InputError(f"{place} has no masks: its coparse.source is none; choose another revision")
    return archive.store(place, "coparse", "masks")


def _parsed_embeddings(archive: Archive, place: Place) -> zarr.Group:
    store = archive.store(place, "embed", "embeddings")
    if not attribute(store, "parsing", bool):
        raise InputError(f"{place} has no parsing head: its coparse.source is none")
    return store


def _open_changed(archive: Archive, place: Place, before: Place) -> Read:
    open_comparable([require_masks(archive, one) for one in (before, place)])

    def read(rows: np.ndarray) -> np.ndarray:
        first = masks_at(archive, before, archive.same_images(place.rev, rows, before.rev))
        moved = changed_cells(first, masks_at(archive, place, rows))
        return np.where(moved[..., None], np.array(CHANGED, np.uint8), np.uint8(0))

    return read


def _open_confidence(archive: Archive, place: Place, layer: str) -> Read:
    require_masks(archive, place)
    revision = archive.revision(place.rev)
    if not revision.has("train", "model", place.round):
        raise InputError(f"{place}: no model of this round yet; run `dvc repro`")
    model, images = revision.path("train", "model", place.round), revision.path("prepare", "images")
    classes = part_classes_of(model)
    known = [f"{CONFIDENCE}{part}" for part in range(1, classes)]
    if layer not in known:
        raise InputError(
            f"no layer {layer!r}: the network of {place} has {classes} part classes; known: {', '.join(known)}"
        )
    part = 1 + known.index(layer)

    return lambda rows: _colour_scale()[confidence_maps(model, images, rows)[:, part]]


@cache
def _colour_scale() -> np.ndarray:
    """Viridis, whose steps look alike, to the colour-blind too: (256, 4) uint8, RGBA, opaque."""
    from matplotlib import colormaps  # slow to import, and the other layers do without

    return colormaps["viridis"](np.arange(256), bytes=True)


def _colour_labels(cells: np.ndarray) -> np.ndarray:
    """RGBA of decoder labels: of these none is the background."""
    return _hatch(_with_alpha(colour_labels(cells), np.full_like(cells, 255)), cells, 1)


MASKS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {  # layer: array of the store, and its colours
    "masks": ("masks", colour_parts),
    "alone": ("masks", partial(colour_parts, background=255)),
    "labels": ("labels", _colour_labels),
}


def _hatch(colours: np.ndarray, cells: np.ndarray, side: int) -> np.ndarray:
    down, across = (np.arange(length) // side for length in cells.shape[1:])
    return np.where((cells == UNLABELLED)[..., None], HATCH[(down[:, None] + across) % 2], colours)


def _with_alpha(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.concatenate([colours, alpha[..., None]], axis=-1)


def _side_by_side(pictures: np.ndarray, gap: int) -> np.ndarray:
    padded = np.pad(pictures, ((0, 0), (0, 0), (0, gap), (0, 0)))
    return np.concatenate(list(padded), axis=1)


def _encode(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()
