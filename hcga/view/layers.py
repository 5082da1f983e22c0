"""Strips of an identity's images and of what lies over them, as pictures with transparency."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hcga.errors import InputError
from hcga.masks import STRIDE, UNLABELLED, part_colour
from hcga.pictures import colour_labels
from hcga.stores import array, read_rows
from hcga.view.places import Archive, Place

LAYERS = ("masks", "labels", "head", "truth")
CONFIDENCE = "confidence-"  # and the number of a part


def image_strip(archive: Archive, rev: str, rows: np.ndarray) -> bytes:
    """The images side by side, a cell's width apart, as WebP."""
    images = read_rows(archive.images(rev), rows)
    return _encode(_side_by_side(images, STRIDE, 255), "WEBP", quality=90)


def layer_strip(archive: Archive, place: Place, layer: str, rows: np.ndarray) -> bytes:
    """A layer of the same images, as a PNG with transparency that lies exactly over them.

    Parameters
    ----------
    archive : Archive
    place : Place
    layer : str
        `masks`; `labels`, the decoder's before CPLR; `head`, the parsing head's most likely classes; `truth`; or
        `confidence-N`, the parsing head's confidence in part N.
    rows : (n,) int64

    Raises
    ------
    InputError
        There is no such layer here.
    """
    if layer in ("masks", "labels"):
        cells = read_rows(array(archive.store(place, "coparse", "masks"), layer), rows)
        return _encode(_side_by_side(_colour(cells, layer), 1, 0), "PNG")
    if layer == "head":
        cells = read_rows(array(archive.store(place, "embed", "embeddings"), "parsed"), rows)
        return _encode(_side_by_side(_colour(cells, layer), 1, 0), "PNG")
    if layer == "truth":
        truth = archive.truth(place.rev)
        if truth is None:
            raise InputError("this data set has no true masks")
        return _encode(_side_by_side(_colour(read_rows(truth, rows), layer), STRIDE, 0), "PNG")
    if layer.startswith(CONFIDENCE) and layer.removeprefix(CONFIDENCE).isdecimal():
        part = int(layer.removeprefix(CONFIDENCE))
        confidence = confidence_maps(archive, place, rows)
        if 1 <= part < confidence.shape[1]:
            shown = np.empty((*confidence[:, 0].shape, 4), np.uint8)
            shown[..., :3], shown[..., 3] = part_colour(part), (255 * confidence[:, part]).round()
            return _encode(_side_by_side(shown, 1, 0), "PNG")
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


def _side_by_side(pictures: np.ndarray, gap: int, fill: int) -> np.ndarray:
    padded = np.pad(pictures, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=fill)
    return np.concatenate(list(padded), axis=1)


def _encode(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()
