"""Pictures of things that hide a person.

Each function takes a generator, whether the thing enters from below, and the frame's rows and columns. It
returns the thing alone, colours multiplied by opacity: from below (2H, W, 4) with its top edge in the middle
row, from a side (H, 2W, 4) within the left half.
"""

from collections.abc import Callable

import numpy as np

from hcga.datasets.synthetic.canvas import Brush, Layer
from hcga.datasets.synthetic.fabric import Array, Colour, scaled
from hcga.datasets.synthetic.identity import random_identity
from hcga.datasets.synthetic.person import draw_person
from hcga.datasets.synthetic.pose import walking
from hcga.datasets.synthetic.sketch import PAINTS, WALLS, Sketch, draw_car, pick

Box = tuple[float, float, float, float]

WOOD: tuple[Colour, ...] = ((0.62, 0.47, 0.30), (0.72, 0.58, 0.40), (0.50, 0.38, 0.26))
METAL: Colour = (0.66, 0.68, 0.70)


def _car(rng: np.random.Generator, below: bool, rows: int, columns: int) -> Array:
    sketch, (left, top, right, _) = _empty(below, rows, columns)
    length = float(rng.uniform(1.25, 1.7))
    draw_car(sketch, float(rng.uniform(right - length, left)), top + 0.01, length, pick(PAINTS, rng))
    return _lit(sketch)


def _bush(rng: np.random.Generator, below: bool, rows: int, columns: int) -> Array:
    sketch, (left, top, right, bottom) = _empty(below, rows, columns)
    green: Colour = (0.26, float(rng.uniform(0.36, 0.46)), 0.20)
    inset = 0.05
    sketch.box(
        left,
        top + (2 * inset if below else 0),
        right - (0 if below else 2 * inset),
        bottom,
        scaled(green, 0.55),
    )
    for _ in range(420):
        x, y = (
            rng.uniform(left, right - (0 if below else inset)),
            rng.uniform(top + (inset if below else 0), bottom),
        )
        sketch.disc(x, y, 0.028, 0.020, scaled(green, rng.uniform(0.5, 1.5)))
    return _lit(sketch)


def _pole(rng: np.random.Generator, below: bool, rows: int, columns: int) -> Array:
    """Draw a pillar, or a thin pole that carries a plate."""
    sketch, (left, top, right, bottom) = _empty(below, rows, columns)
    middle, paint = (left + right) / 2, pick(PAINTS, rng)
    if rng.random() < 0.5:
        half = rng.uniform(0.075, 0.105)
        for share in np.linspace(-1.0, 1.0, 9)[:-1]:
            shade = scaled((0.62, 0.60, 0.57), 1.08 - 0.4 * (share + 0.1) ** 2)
            sketch.box(middle + share * half, top, middle + (share + 0.27) * half, bottom, shade)
        sketch.box(middle - half, 0.36, middle + 1.02 * half, 0.52, paint)
        return _lit(sketch)
    half, plate = rng.uniform(0.13, 0.16), rng.uniform(0.20, 0.42)
    sketch.box(middle - 0.025, top, middle + 0.025, bottom, METAL)
    sketch.box(middle - half, plate, middle + half, plate + 0.42, (0.93, 0.93, 0.92))
    sketch.box(middle - half + 0.012, plate + 0.012, middle + half - 0.012, plate + 0.408, paint)
    sketch.box(middle - half + 0.05, plate + 0.17, middle + half - 0.05, plate + 0.24, (0.93, 0.93, 0.92))
    return _lit(sketch)


def _wall(rng: np.random.Generator, below: bool, rows: int, columns: int) -> Array:
    sketch, (left, top, right, bottom) = _empty(below, rows, columns)
    brick = pick(WALLS, rng)
    sketch.box(left, top, right, bottom, brick)
    for row, y in enumerate(np.arange(top, bottom, 0.06)):
        sketch.box(left, y, right, y + 0.008, scaled(brick, 0.75))
        for x in np.arange(left + 0.07 * (row % 2), right, 0.14):
            sketch.box(x, y, min(x + 0.008, right), y + 0.06, scaled(brick, 0.78))
    if below:
        sketch.box(left, top, right, top + 0.03, scaled(brick, 1.25))
    else:
        sketch.box(right - 0.03, top, right, bottom, scaled(brick, 0.6))
    return _lit(sketch)


def _crate(rng: np.random.Generator, below: bool, rows: int, columns: int) -> Array:
    """Draw two crates or cartons that stand on each other."""
    sketch, (left, top, right, bottom) = _empty(below, rows, columns)
    shift = rng.uniform(-0.04, 0.04)
    for y, inset in ((top, rng.uniform(0.02, 0.08)), (top + 0.36, 0.0)):
        wood = pick(WOOD, rng)
        a, b = left + inset + shift, right - inset + shift
        sketch.box(a, y, b, min(y + 0.36, bottom), wood)
        for board in np.arange(y, y + 0.34, 0.09):
            sketch.box(a, board, b, board + 0.012, scaled(wood, 0.62))
        for x in (a, b - 0.04):
            sketch.box(x, y, x + 0.04, y + 0.36, scaled(wood, 1.15))
        sketch.line((a + 0.04, y + 0.34), (b - 0.04, y + 0.02), 0.03, scaled(wood, 0.8))
    sketch.box(left, top + 0.72, right, bottom, (0.35, 0.33, 0.31))
    return _lit(sketch)


def _cart(rng: np.random.Generator, below: bool, rows: int, columns: int) -> Array:
    """Draw a delivery bicycle: a big box between two wheels, with handlebar and saddle."""
    sketch, (left, top, right, _) = _empty(below, rows, columns)
    middle, paint, dark = (left + right) / 2, pick(PAINTS, rng), (0.10, 0.10, 0.11)
    half = rng.uniform(0.17, 0.22)
    for x in (middle - half - 0.02, middle + half + 0.02):
        sketch.ring(x, top + 0.52, 0.16, 0.022, dark)
        for angle in np.arange(0, np.pi, np.pi / 5):
            dx, dy = 0.15 * np.cos(angle), 0.15 * np.sin(angle)
            sketch.line((x - dx, top + 0.52 - dy), (x + dx, top + 0.52 + dy), 0.006, METAL)
    sketch.line((middle - half, top + 0.52), (middle - half - 0.06, top + 0.02), 0.024, dark)
    sketch.line((middle - half - 0.11, top + 0.02), (middle - half, top + 0.0), 0.026, dark)
    sketch.box(middle - half, top + 0.08, middle + half, top + 0.50, paint)
    sketch.box(middle - half, top + 0.08, middle + half, top + 0.12, scaled(paint, 0.6))
    sketch.box(middle - 0.6 * half, top + 0.21, middle + 0.6 * half, top + 0.33, scaled(pick(PAINTS, rng), 1.1))
    sketch.box(middle - half, top + 0.50, middle + half, top + 0.56, dark)
    return _lit(sketch)


def _pedestrian(rng: np.random.Generator, below: bool, rows: int, columns: int) -> Array:
    """Draw another person, who is nearer and therefore larger."""
    layer = Layer(rows, 2 * columns)
    who, scale = random_identity(rng), float(rng.uniform(1.0, 1.2)) * rows
    yaw = float(rng.uniform(-np.pi, np.pi))
    brush = Brush(layer, 0.5 * columns, float(rng.uniform(0.0, 0.10)) * rows, scale, float(rng.uniform(-1, 1)))
    draw_person(brush, who, walking(who, yaw, float(rng.uniform(0, 2 * np.pi)), 0.35))
    return np.dstack([layer.rgb, layer.alpha])


DRAW: dict[str, Callable[[np.random.Generator, bool, int, int], Array]] = {
    "car": _car,
    "bush": _bush,
    "pole": _pole,
    "wall": _wall,
    "crate": _crate,
    "cart": _cart,
    "pedestrian": _pedestrian,
}


def _empty(below: bool, rows: int, columns: int) -> tuple[Sketch, Box]:
    """Return a transparent sketch in frame heights and the half to draw in: left, top, right, bottom."""
    wide = columns / rows
    if below:
        return Sketch(2 * rows, columns, float(rows)), (0.0, 1.0, wide, 2.0)
    return Sketch(rows, 2 * columns, float(rows)), (0.0, 0.0, wide, 1.0)


def _lit(sketch: Sketch) -> Array:
    """Return the picture, darker towards its foot."""
    picture = sketch.pixels()
    shade = np.linspace(1.08, 0.72, picture.shape[0], dtype=np.float32)
    picture[..., :3] *= shade[:, None, None]
    return picture
