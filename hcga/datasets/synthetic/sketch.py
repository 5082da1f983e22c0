"""Flat outlines for everything that is no person: backgrounds and things in front."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from hcga.datasets.synthetic.canvas import Point
from hcga.datasets.synthetic.fabric import Array, Colour, scaled

WALLS: tuple[Colour, ...] = (
    (0.62, 0.42, 0.33),
    (0.78, 0.74, 0.66),
    (0.55, 0.57, 0.60),
    (0.80, 0.72, 0.50),
    (0.47, 0.50, 0.44),
    (0.70, 0.60, 0.58),
)
PAINTS: tuple[Colour, ...] = (
    (0.72, 0.13, 0.12),
    (0.14, 0.28, 0.56),
    (0.86, 0.86, 0.85),
    (0.16, 0.17, 0.18),
    (0.62, 0.64, 0.66),
    (0.80, 0.66, 0.20),
    (0.16, 0.42, 0.30),
)


class Sketch:
    """A picture in which lengths are given in units, x to the right and y down.

    Parameters
    ----------
    rows, columns : int
        Size in pixels.
    unit : float
        Pixels for one unit.
    ground : tuple of float, optional
        Colour everywhere at first; without it the picture is transparent at first.
    """

    def __init__(self, rows: int, columns: int, unit: float, ground: Colour | None = None) -> None:
        fill = (0, 0, 0, 0) if ground is None else _rgba(ground)
        self.image = Image.new("RGBA", (columns, rows), fill)
        self.unit = unit
        self.width, self.height = columns / unit, rows / unit
        self._draw = ImageDraw.Draw(self.image)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle."""
        if right > left and bottom > top:
            self._draw.rectangle([v * self.unit for v in (left, top, right, bottom)], fill=_rgba(colour))

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([(x * self.unit, y * self.unit) for x, y in points], fill=_rgba(colour))

    def disc(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse."""
        self._draw.ellipse([v * self.unit for v in (x - rx, y - ry, x + rx, y + ry)], fill=_rgba(colour))

    def ring(self, x: float, y: float, radius: float, thick: float, colour: Colour) -> None:
        """Draw a circle line."""
        box = [v * self.unit for v in (x - radius, y - radius, x + radius, y + radius)]
        self._draw.ellipse(box, outline=_rgba(colour), width=max(1, round(thick * self.unit)))

    def line(self, a: Point, b: Point, thick: float, colour: Colour) -> None:
        """Draw a straight line."""
        ends = [(x * self.unit, y * self.unit) for x, y in (a, b)]
        self._draw.line(ends, fill=_rgba(colour), width=max(1, round(thick * self.unit)))

    def blurred(self, radius: float) -> None:
        """Blur what has been drawn so far; `radius` in units."""
        self.image = self.image.filter(ImageFilter.GaussianBlur(radius * self.unit))
        self._draw = ImageDraw.Draw(self.image)

    def pixels(self) -> Array:
        """Return the picture as (H, W, 4) float32 in [0, 1], alpha last and not multiplied in."""
        return np.asarray(self.image, dtype=np.float32) / np.float32(255.0)


def pick(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    """Return one of the colours, slightly lighter or darker."""
    return scaled(colours[int(rng.integers(len(colours)))], float(rng.uniform(0.9, 1.1)))


def draw_car(sketch: Sketch, left: float, top: float, length: float, paint: Colour) -> None:
    """Draw a car from its side; it is 0.42 of its length high."""

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * length, top + y * length

    dark, glass = (0.07, 0.07, 0.08), (0.24, 0.29, 0.33)
    sketch.disc(*at(0.5, 0.42), 0.52 * length, 0.025 * length, (0.13, 0.13, 0.14))
    sketch.polygon([at(0.16, 0.17), at(0.29, 0.01), at(0.66, 0.0), at(0.83, 0.17)], scaled(paint, 0.92))
    sketch.polygon([at(0.21, 0.165), at(0.31, 0.035), at(0.46, 0.03), at(0.46, 0.165)], glass)
    sketch.polygon([at(0.49, 0.165), at(0.49, 0.03), at(0.645, 0.03), at(0.76, 0.165)], scaled(glass, 1.15))
    sketch.polygon(
        [at(0.01, 0.20), at(0.16, 0.155), at(0.85, 0.155), at(0.99, 0.21), at(0.99, 0.35), at(0.01, 0.35)],
        paint,
    )
    sketch.box(*at(0.01, 0.275), *at(0.99, 0.35), scaled(paint, 0.72))
    sketch.line(at(0.475, 0.16), at(0.475, 0.34), 0.006 * length, scaled(paint, 0.6))
    sketch.box(*at(0.50, 0.20), *at(0.56, 0.212), scaled(paint, 0.5))
    sketch.box(*at(0.01, 0.21), *at(0.05, 0.25), (0.85, 0.25, 0.18))
    sketch.box(*at(0.94, 0.22), *at(0.99, 0.26), (0.95, 0.93, 0.80))
    for x in (0.21, 0.79):
        sketch.disc(*at(x, 0.345), 0.085 * length, 0.085 * length, dark)
        sketch.disc(*at(x, 0.345), 0.045 * length, 0.045 * length, (0.62, 0.63, 0.65))


def _rgba(colour: Colour) -> tuple[int, int, int, int]:
    red, green, blue = (round(255 * min(max(c, 0.0), 1.0)) for c in colour)
    return red, green, blue, 255
