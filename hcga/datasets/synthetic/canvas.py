"""Anti-aliased, shaded shapes painted on a transparent layer that carries part labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hcga.datasets.synthetic.fabric import Array, Fabric

Point = tuple[float, float]


class Layer:
    """A transparent picture with part labels.

    Parameters
    ----------
    rows, columns : int
        Size in layer pixels.

    Attributes
    ----------
    rgb : (H, W, 3) float32
        Colour in [0, 1], multiplied by `alpha`.
    alpha : (H, W) float32
        Opacity in [0, 1].
    label : (H, W) uint8
        Part of the shape painted last; 0 where none was painted.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rgb = np.zeros((rows, columns, 3), dtype=np.float32)
        self.alpha = np.zeros((rows, columns), dtype=np.float32)
        self.label = np.zeros((rows, columns), dtype=np.uint8)

    def over(self, background: Array) -> Array:
        """Return `background`, (H, W, 3) float32, with this layer in front of it."""
        return np.asarray(background * (1.0 - self.alpha)[..., None] + self.rgb)


@dataclass(frozen=True)
class Brush:
    """Paints shapes given in body heights; x to the right, y down.

    Parameters
    ----------
    layer : Layer
        What is painted on.
    left, top : float
        Layer pixel of the body's x = 0 and of y = 0.
    scale : float
        Layer pixels for one body height.
    light : float
        Direction of the light, from -1 (left) to 1 (right).
    """

    layer: Layer
    left: float
    top: float
    scale: float
    light: float = 0.0

    def profile(self, knots: Sequence[tuple[float, float, float]], fabric: Fabric, label: int) -> None:
        """Paint the shape between two outlines.

        Parameters
        ----------
        knots : sequence of (y, left, right)
            Rows from top to bottom with the outline's two ends; straight in between.
        fabric : Fabric
            Material, its pattern counted from the middle of the shape.
        label : int
            Part to note where the shape is visible.
        """
        at, lefts, rights = np.asarray(knots, dtype=np.float32).T
        window = self._window(lefts.min(), at[0], rights.max(), at[-1])
        if window is None:
            return
        rows, columns, x, y = window
        left = np.interp(y[:, 0], at, lefts).astype(np.float32)[:, None]
        right = np.interp(y[:, 0], at, rights).astype(np.float32)[:, None]
        cover = self._edge(x - left) * self._edge(right - x) * self._edge(y - at[0]) * self._edge(at[-1] - y)
        middle, half = (left + right) / 2, np.maximum((right - left) / 2, np.float32(1e-4))
        self._fill(rows, columns, cover, (x - middle) / half, fabric.colour(x - middle.mean(), y), label)

    def limb(self, a: Point, b: Point, radii: tuple[float, float], fabric: Fabric, label: int) -> None:
        """Paint a tapered capsule from `a` to `b` with the given radii at its ends."""
        reach = max(radii)
        window = self._window(
            min(a[0], b[0]) - reach, min(a[1], b[1]) - reach, max(a[0], b[0]) + reach, max(a[1], b[1]) + reach
        )
        if window is None:
            return
        rows, columns, x, y = window
        dx, dy = np.float32(b[0] - a[0]), np.float32(b[1] - a[1])
        length = max(float(np.hypot(dx, dy)), 1e-4)
        x, y = x - np.float32(a[0]), y - np.float32(a[1])
        t = np.clip((x * dx + y * dy) / np.float32(length**2), 0.0, 1.0)
        radius = np.float32(radii[0]) + np.float32(radii[1] - radii[0]) * t
        cover = self._edge(radius - np.sqrt((x - t * dx) ** 2 + (y - t * dy) ** 2))
        across = (x * dy - y * dx) * np.float32((1.0 if dy >= 0 else -1.0) / length)
        self._fill(rows, columns, cover, across / radius, fabric.colour(across, t * np.float32(length)), label)

    def disc(self, centre: Point, radii: tuple[float, float], fabric: Fabric, label: int) -> None:
        """Paint an upright ellipse with the given horizontal and vertical radius."""
        (cx, cy), (rx, ry) = centre, radii
        window = self._window(cx - rx, cy - ry, cx + rx, cy + ry)
        if window is None:
            return
        rows, columns, x, y = window
        u, v = (x - np.float32(cx)) / np.float32(rx), (y - np.float32(cy)) / np.float32(ry)
        cover = self._edge((1.0 - np.sqrt(u * u + v * v)) * np.float32(min(rx, ry)))
        self._fill(rows, columns, cover, u, fabric.colour(x - np.float32(cx), y), label)

    def shadow(self, centre: Point, radii: tuple[float, float], strength: float) -> None:
        """Darken a soft ellipse of the ground; it carries no label and hides nothing."""
        (cx, cy), (rx, ry) = centre, radii
        window = self._window(cx - rx, cy - ry, cx + rx, cy + ry)
        if window is None:
            return
        rows, columns, x, y = window
        far = ((x - np.float32(cx)) / np.float32(rx)) ** 2 + ((y - np.float32(cy)) / np.float32(ry)) ** 2
        dark = np.float32(strength) * np.clip(1.0 - far, 0.0, 1.0)
        alpha = self.layer.alpha[rows, columns]
        alpha += dark * (1.0 - alpha)

    def _window(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice, Array, Array] | None:
        """Return the layer's rows and columns that a box touches, and their body coordinates."""
        height, width = self.layer.alpha.shape
        rows = _span(self.top + top * self.scale, self.top + bottom * self.scale, height)
        columns = _span(self.left + left * self.scale, self.left + right * self.scale, width)
        if rows is None or columns is None:
            return None
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - self.left) / self.scale
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - self.top) / self.scale
        return rows, columns, x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]

    def _edge(self, inside: Array) -> Array:
        """Return the coverage of pixels whose centres lie `inside` body heights within an edge."""
        return np.asarray(np.clip(inside * np.float32(self.scale) + np.float32(0.5), 0.0, 1.0))

    def _fill(self, rows: slice, columns: slice, cover: Array, u: Array, colour: Array, label: int) -> None:
        """Blend a shaded colour; `u` runs from -1 to 1 across the shape."""
        u = np.clip(u, -1.0, 1.0)
        shade = np.float32(1.08) - np.float32(0.40) * u * u + np.float32(0.22 * self.light) * u
        layer, cover3 = self.layer, cover[..., None]
        region = layer.rgb[rows, columns]
        region += cover3 * (colour * shade[..., None] - region)
        alpha = layer.alpha[rows, columns]
        alpha += cover * (1.0 - alpha)
        layer.label[rows, columns][cover > 0.5] = label


def _span(low: float, high: float, size: int) -> slice | None:
    start, stop = max(int(np.floor(low)) - 1, 0), min(int(np.ceil(high)) + 1, size)
    return slice(start, stop) if start < stop else None
