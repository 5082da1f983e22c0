"""Strips of an identity's images and of what lies over them, as pictures with transparency."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hcga.comparison import changed_cells
from hcga.errors import InputError
from hcga.masks import STRIDE, UNLABELLED, part_colour
from hcga.pictures import colour_labels
from hcga.revisions import Place
from hcga.stores import array, read_rows
from hcga.view.places import Archive

LAYERS = ("masks", "changed", "labels", "head", "truth")
CHANGED = (213, 94, 0, 255)  # vermilion
CONFIDENCE = "confidence-"  # and the number of a part


def image_strip(archive: Archive, rev: str, rows: np.ndarray) -> bytes:
    """The images side by side, a cell's width of nothing after each, as WebP."""
    images = np.pad(read_rows(archive.images(rev), rows), [(0, 0)] * 3 + [(0, 1)], constant_values=255)
    return _encode(_side_by_side(images, STRIDE), "WEBP", quality=90)


def layer_strip(
    archive: Archive, place: Place, layer: str, rows: np.ndarray, before: np.ndarray | None = None
) -> bytes:
    """A layer of the same images, as a PNG with transparency that lies exactly over them.

    Parameters
    ----------
    archive : Archive
    place : Place
    layer : str
        `masks`; `changed`, cells that another mask has otherwise; `labels`, the decoder's before CPLR; `head`, the
        parsing head's most likely classes; `truth`; or `confidence-N`, the parsing head's confidence in part N.
    rows : (n,) int64
        -1 for an image that this place does not have: it stays clear.
    before : array of (n, h, w) uint8, optional
        Masks to compare with, for `changed`.

    Raises
    ------
    InputError
        There is no such layer here.
    """
    there = rows >= 0
    colours, gap = _layer(archive, place, layer, rows[there], None if before is None else before[there])
    placed = np.zeros((len(rows), *colours.shape[1:]), np.uint8)
    placed[there] = colours
    return _encode(_side_by_side(placed, gap), "PNG")


def masks_at(archive: Archive, place: Place, rows: np.ndarray) -> np.ndarray:
    """Masks (n, h, w) uint8 of some images; UNLABELLED for rows of -1."""
    store = array(archive.store(place, "coparse", "masks"), "masks")
    found = np.full((len(rows), *store.shape[1:]), UNLABELLED, np.uint8)
    found[rows >= 0] = read_rows(store, rows[rows >= 0])
    return found


def _layer(
    archive: Archive, place: Place, layer: str, rows: np.ndarray, before: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """RGBA of a layer, (n, h, w, 4) uint8 in cells or in pixels, and how far apart the pictures are."""
    if layer == "changed" and before is not None:
        moved = changed_cells(before, masks_at(archive, place, rows))
        return np.where(moved[..., None], np.array(CHANGED, np.uint8), np.uint8(0)), 1
    if layer in ("masks", "labels"):
        cells = read_rows(array(archive.store(place, "coparse", "masks"), layer), rows)
        return _colour(cells, layer), 1
    if layer == "head":
        return _colour(read_rows(array(archive.store(place, "embed", "embeddings"), "parsed"), rows), layer), 1
    if layer == "truth":
        truth = archive.truth(place.rev)
        if truth is None:
            raise InputError("this data set has no true masks")
        return _colour(read_rows(truth, rows), layer), STRIDE
    if layer.startswith(CONFIDENCE) and layer.removeprefix(CONFIDENCE).isdecimal():
        part = int(layer.removeprefix(CONFIDENCE))
        confidence = confidence_maps(archive, place, rows)
        if 1 <= part < confidence.shape[1]:
            shown = np.empty((*confidence[:, 0].shape, 4), np.uint8)
            shown[..., :3], shown[..., 3] = part_colour(part), (255 * confidence[:, part]).round()
            return shown, 1
    raise InputError(f"no layer {layer!r}; known: {', '.join([*LAYERS, CONFIDENCE + '1', '...'])}")


def confidence_maps(archive: Archive, place: Place, rows: np.ndarray) -> np.ndarray:
    """The parsing head's probabilities, (n, C, h, w) float32, computed anew: the pipeline keeps the likeliest only."""
    path = archive.revision(place.rev).path("train", "model", place.round)
    if not path.is_file():
        raise InputError(f"{place}: no model of this round yet; run `dvc repro`")
    import torch

    with torch.inference_mode():
        network = _network(path, path.stat().st_mtime)
        images = torch.from_numpy(read_rows(archive.images(place.rev), rows))
        found: np.ndarray = network.parsing_head(network.maps(images)).softmax(1).numpy()
    return found


@lru_cache(2)
def _network(path: Path, stamp: float) -> Any:
    from hcga.checkpoints import load_model

    return load_model(path)[0]


def _colour(cells: np.ndarray, layer: str) -> np.ndarray:
    """RGBA of label images: background and unlabelled cells are clear, save for decoder labels, of which none is."""
    clear = cells == UNLABELLED
    if layer == "labels":
        colours = colour_labels(cells)
    else:
        colours = np.array([part_colour(part) for part in range(256)], np.uint8)[cells]
        clear |= cells == 0
    return np.concatenate([colours, np.where(clear, 0, 255).astype(np.uint8)[..., None]], axis=-1)


def _side_by_side(pictures: np.ndarray, gap: int) -> np.ndarray:
    padded = np.pad(pictures, ((0, 0), (0, 0), (0, gap), (0, 0)))
    return np.concatenate(list(padded), axis=1)


def _encode(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()
