"""Pictures of masks: overlays, strips, contact sheets. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hcga.masks.parts import UNLABELLED, part_colour, part_names, upsample

MARGIN = 4  # pixels between tiles
CAPTION = 14  # pixels of a line of text
HATCH = 8  # pixels between lines
INK, PAPER = (40, 40, 40), (255, 255, 255)
SHEET_IDENTITIES, SHEET_IMAGES = 16, 8


def overlay(images: np.ndarray, masks: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Lay part colours over images; the background turns dark grey, what is unlabelled is hatched in white.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
    masks : (N, h, w) or (N, H, W) uint8
        In feature cells or in image pixels.
    opacity : float
        Of the colours, in [0, 1].

    Returns
    -------
    (N, H, W, 3) uint8
    """
    labels = masks if masks.shape == images.shape[:3] else upsample(masks)
    grey = images.mean(-1, keepdims=True) * 0.4
    colours = np.array([part_colour(part) for part in range(256)], float)[labels]
    person = (1 - opacity) * images + opacity * colours
    result = np.where((labels == 0)[..., None], grey, person)
    hatched = (labels == UNLABELLED) & (np.add.outer(*map(np.arange, labels.shape[1:])) % HATCH < 2)
    result = np.where((labels == UNLABELLED)[..., None], images, result)
    return np.where(hatched[..., None], PAPER, result).astype(np.uint8)


def palette_image(mask: np.ndarray, part_classes: int) -> Image.Image:
    """A mask (H, W) uint8 as a picture of palette colours, the parts' own; all other numbers are white."""
    palette = [channel for part in range(256) for channel in (part_colour(part) if part < part_classes else PAPER)]
    picture = Image.fromarray(mask, "P")
    picture.putpalette(palette)
    return picture


def colour_labels(labels: np.ndarray) -> np.ndarray:
    """Give each decoder label a colour of its own, (N, h, w) uint8 -> (N, h, w, 3) uint8.

    Neighbouring numbers get distant hues; brightness alternates, so that they can be told apart without colour.
    """
    numbers = np.arange(256)
    hue = numbers * 0.618034 % 1
    value = np.array([1.0, 0.7, 0.45])[numbers % 3]
    channels = [np.clip(np.abs((hue * 6 + shift) % 6 - 3) - 1, 0, 1) for shift in (0, 4, 2)]
    palette = (255 * value[:, None] * (0.25 + 0.75 * np.stack(channels, -1))).astype(np.uint8)
    return palette[labels]


def contact_sheet(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray], captions: Sequence[str], title: str, part_classes: int
) -> np.ndarray:
    """Tile identities: for each a row of images above a row of the same with their masks.

    Parameters
    ----------
    images : sequence of (n, H, W, 3) uint8
        One entry an identity.
    masks : sequence of (n, h, w) uint8
    captions : sequence of str
        One an identity.
    title : str
    part_classes : int
        C, for the legend.

    Returns
    -------
    (height, width, 3) uint8
    """
    rows = [stack(pictures, overlay(pictures, parts)) for pictures, parts in zip(images, masks, strict=True)]
    width = max(row.shape[1] for row in rows)
    tiles = _captioned(rows, [_wrap(text, width) for text in captions])  # a long one widens no column
    half = (len(tiles) + 1) // 2  # two columns of identities
    columns = [np.concatenate(column) for column in (tiles[:half], tiles[half:]) if column]
    height = max(len(column) for column in columns)
    gap = np.full((height, 3 * MARGIN, 3), PAPER, np.uint8)
    sheet = np.concatenate(
        [part for column in columns for part in (_pad(column, column.shape[1], height), gap)][:-1], axis=1
    )
    head = _caption(legend_strip(part_classes, sheet.shape[1]), title)
    return np.concatenate([head, _pad(sheet, head.shape[1])])


def stack(*rows: np.ndarray) -> np.ndarray:
    """Put rows of equal images, (n, H, W, 3) each, below each other: one (height, width, 3) uint8 picture."""
    lines = []
    for row in rows:
        framed = np.pad(row, ((0, 0), (0, MARGIN), (0, MARGIN), (0, 0)), constant_values=255)
        lines.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(lines)


def label_rows(picture: np.ndarray, names: Sequence[str], title: str) -> np.ndarray:
    """Write a title above a `stack` and the name of each of its rows at its left."""
    width = max(int(_font().getlength(name)) for name in names) + 2 * MARGIN
    height = len(picture) // len(names)
    canvas = Image.new("RGB", (width, len(picture)), PAPER)
    for number, name in enumerate(names):
        ImageDraw.Draw(canvas).text((MARGIN, number * height + height // 2), name, INK, _font(), anchor="lm")
    return _caption(np.concatenate([np.asarray(canvas), picture], axis=1), title)


def caption_rows(pictures: Sequence[np.ndarray], captions: Sequence[str], title: str) -> np.ndarray:
    """Put pictures, (height, width, 3) uint8, below each other, a caption above each and a title above all."""
    return _caption(np.concatenate(_captioned(pictures, captions)), title)


def legend(part_classes: int) -> list[tuple[str, str]]:
    """Name and colour, as HTML writes it, of each part but the background."""
    colours = ["#{:02x}{:02x}{:02x}".format(*part_colour(part)) for part in range(part_classes)]
    names = [name.replace("_", " ") for name in part_names(part_classes)]
    return list(zip(names, colours, strict=True))[1:]


def legend_strip(part_classes: int, width: int) -> np.ndarray:
    """Say what the colours of an overlay mean: one line of text `width` pixels wide or wider."""
    names = part_names(part_classes)[1:]
    widths = [int(_font().getlength(name)) + CAPTION + 4 * MARGIN for name in names]
    others = "dark: background; hatched: no label"
    needed = sum(widths) + int(_font().getlength(others)) + 2 * MARGIN
    canvas = Image.new("RGB", (max(width, needed), CAPTION + MARGIN), PAPER)
    draw, left = ImageDraw.Draw(canvas), MARGIN
    for part, (name, step) in enumerate(zip(names, widths, strict=True)):
        draw.rectangle((left, 2, left + CAPTION - 4, CAPTION - 2), part_colour(part + 1))
        draw.text((left + CAPTION, CAPTION // 2), name.replace("_", " "), INK, _font(), anchor="lm")
        left += step
    draw.text((left, CAPTION // 2), others, INK, _font(), anchor="lm")
    return np.asarray(canvas)


def _captioned(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> list[np.ndarray]:
    """Pictures of one width, each with its caption above it."""
    captioned = [_caption(picture, text) for picture, text in zip(pictures, captions, strict=True)]
    width = max(picture.shape[1] for picture in captioned)
    return [_pad(picture, width) for picture in captioned]


def _caption(picture: np.ndarray, text: str) -> np.ndarray:
    lines = text.split("\n")
    width = max(picture.shape[1], *(_width(line) for line in lines))
    canvas = Image.new("RGB", (width, CAPTION * len(lines) + MARGIN), PAPER)
    for number, line in enumerate(lines):
        height = CAPTION * number + (CAPTION + MARGIN) // 2
        ImageDraw.Draw(canvas).text((MARGIN, height), line, INK, _font(), anchor="lm")
    return np.concatenate([np.asarray(canvas), _pad(picture, width)])


def _wrap(text: str, width: int) -> str:
    """Break a text into lines of at most `width` pixels, between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and _width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _width(line: str) -> int:
    """Pixels of a line of text with its margins."""
    return int(_font().getlength(line)) + 2 * MARGIN


def _pad(picture: np.ndarray, width: int, height: int = 0) -> np.ndarray:
    below, right = max(0, height - picture.shape[0]), max(0, width - picture.shape[1])
    return np.pad(picture, ((0, below), (0, right), (0, 0)), constant_values=255)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)
