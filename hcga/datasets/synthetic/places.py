"""The sorts of place that cameras look at."""

from collections.abc import Callable

import numpy as np

from hcga.datasets.synthetic.fabric import Colour, scaled
from hcga.datasets.synthetic.sketch import PAINTS, WALLS, Sketch, draw_car, pick

WIDTH, HEIGHT = 2.4, 1.15
"""Size of a place in frame heights."""

GROUNDS: tuple[Colour, ...] = ((0.48, 0.47, 0.46), (0.60, 0.57, 0.52), (0.40, 0.41, 0.44), (0.66, 0.63, 0.60))


def _street(sketch: Sketch, rng: np.random.Generator) -> None:
    """House front with windows above a pavement, a kerb and a road."""
    _facade(sketch, rng, 0.60)
    _pavement(sketch, rng, 0.60, 0.84)
    sketch.box(0, 0.84, WIDTH, 0.87, (0.72, 0.71, 0.69))
    sketch.box(0, 0.87, WIDTH, HEIGHT, (0.30, 0.30, 0.32))
    for x in np.arange(rng.uniform(0, 0.3), WIDTH, 0.55):
        sketch.box(x, 0.99, x + 0.3, 1.02, (0.80, 0.79, 0.75))


def _posters(sketch: Sketch, rng: np.random.Generator) -> None:
    """Brick wall with posters."""
    wall = pick(WALLS, rng)
    sketch.box(0, 0, WIDTH, 0.66, wall)
    for row, y in enumerate(np.arange(0, 0.66, 0.055)):
        sketch.box(0, y, WIDTH, y + 0.007, scaled(wall, 0.78))
        for x in np.arange(0.065 * (row % 2), WIDTH, 0.13):
            sketch.box(x, y, x + 0.007, y + 0.055, scaled(wall, 0.80))
    x = rng.uniform(0.0, 0.2)
    while x < WIDTH:
        wide, top = rng.uniform(0.14, 0.30), rng.uniform(0.05, 0.16)
        paper, ink = pick(PAINTS, rng), pick(PAINTS, rng)
        sketch.box(x, top, x + wide, 0.46, paper)
        sketch.box(x + 0.02, top + 0.03, x + wide - 0.02, top + 0.12, scaled(ink, 1.1))
        for y in np.arange(top + 0.16, 0.42, 0.05):
            sketch.box(x + 0.03, y, x + wide - 0.03 - rng.uniform(0, 0.05), y + 0.018, scaled(ink, 0.8))
        x += wide + rng.uniform(0.10, 0.40)
    _pavement(sketch, rng, 0.66, HEIGHT)


def _park(sketch: Sketch, rng: np.random.Generator) -> None:
    """Sky, distant trees, grass and a path."""
    sketch.box(0, 0, WIDTH, 0.4, (0.72, 0.80, 0.88))
    for x in np.arange(-0.05, WIDTH, 0.06):
        green = scaled((0.24, 0.38, 0.20), rng.uniform(0.7, 1.25))
        sketch.disc(x, rng.uniform(0.26, 0.40), 0.10, rng.uniform(0.10, 0.20), green)
    sketch.box(0, 0.42, WIDTH, HEIGHT, (0.36, 0.48, 0.24))
    for _ in range(220):
        x, y = rng.uniform(0, WIDTH), rng.uniform(0.43, HEIGHT)
        sketch.disc(x, y, 0.035, 0.009, scaled((0.36, 0.48, 0.24), rng.uniform(0.75, 1.2)))
    sketch.polygon([(0, 0.76), (WIDTH, 0.70), (WIDTH, 0.94), (0, 1.02)], (0.70, 0.62, 0.50))
    for x in np.arange(rng.uniform(0.05, 0.3), WIDTH, 0.48) + rng.uniform(-0.1, 0.1, 1):
        bark, foot = (0.30, 0.23, 0.17), rng.uniform(0.50, 0.68)
        sketch.polygon([(x - 0.03, 0), (x + 0.03, 0), (x + 0.045, foot), (x - 0.045, foot)], bark)
        for _ in range(16):
            green = scaled((0.20, 0.36, 0.16), rng.uniform(0.7, 1.4))
            sketch.disc(x + rng.normal(0, 0.10), abs(rng.normal(0, 0.10)), 0.07, 0.05, green)


def _shop(sketch: Sketch, rng: np.random.Generator) -> None:
    """Shop windows with goods, a sign above and doors between."""
    wall = scaled(pick(WALLS, rng), 0.9)
    sketch.box(0, 0, WIDTH, 0.72, wall)
    x = -rng.uniform(0, 0.3)
    while x < WIDTH:
        wide, sign = rng.uniform(0.6, 0.85), pick(PAINTS, rng)
        sketch.box(x, 0.02, x + wide, 0.14, sign)
        for letter in np.arange(x + 0.08, x + wide - 0.12, 0.07):
            sketch.box(letter, 0.05, letter + rng.uniform(0.02, 0.05), 0.11, (0.93, 0.92, 0.86))
        sketch.box(x + 0.03, 0.18, x + wide - 0.26, 0.62, (0.30, 0.36, 0.40))
        for _ in range(7):
            goods, at = pick(PAINTS, rng), rng.uniform(x + 0.06, x + wide - 0.36)
            sketch.box(at, rng.uniform(0.32, 0.52), at + rng.uniform(0.04, 0.1), 0.60, goods)
        sketch.polygon([(x + 0.08, 0.18), (x + 0.16, 0.18), (x + 0.06, 0.5), (x + 0.03, 0.5)], (0.48, 0.55, 0.60))
        sketch.box(x + wide - 0.22, 0.18, x + wide - 0.02, 0.72, scaled(sign, 0.7))
        sketch.box(x + wide - 0.19, 0.21, x + wide - 0.05, 0.62, (0.38, 0.44, 0.48))
        x += wide + 0.05
    _pavement(sketch, rng, 0.72, HEIGHT)


def _car_park(sketch: Sketch, rng: np.random.Generator) -> None:
    """Parked cars before a hedge, marked bays in front."""
    sketch.box(0, 0, WIDTH, 0.25, (0.76, 0.80, 0.84))
    for x in np.arange(0, WIDTH, 0.05):
        sketch.disc(x, 0.27, 0.07, rng.uniform(0.08, 0.15), scaled((0.22, 0.32, 0.20), rng.uniform(0.8, 1.2)))
    sketch.box(0, 0.33, WIDTH, HEIGHT, pick(GROUNDS, rng))
    x = -rng.uniform(0, 0.5)
    while x < WIDTH:
        draw_car(sketch, x, 0.32, 0.72, pick(PAINTS, rng))
        x += rng.uniform(0.78, 0.95)
        sketch.polygon([(x - 0.02, 0.66), (x + 0.01, 0.66), (x - 0.08, 1.1), (x - 0.14, 1.1)], (0.86, 0.86, 0.83))


def _plaza(sketch: Sketch, rng: np.random.Generator) -> None:
    """Glass building with pillars over tiles in perspective."""
    glass = scaled((0.42, 0.52, 0.58), rng.uniform(0.8, 1.2))
    sketch.box(0, 0, WIDTH, 0.56, glass)
    for x in np.arange(0, WIDTH, 0.17):
        sketch.box(x, 0, x + 0.015, 0.56, (0.25, 0.27, 0.29))
        sketch.box(x + 0.015, 0, x + 0.17, 0.56, scaled(glass, rng.uniform(0.75, 1.25)))
    for y in (0.18, 0.38):
        sketch.box(0, y, WIDTH, y + 0.012, (0.25, 0.27, 0.29))
    for x in np.arange(rng.uniform(0.1, 0.5), WIDTH, 0.62):
        sketch.box(x, 0, x + 0.07, 0.60, (0.76, 0.75, 0.72))
        sketch.box(x + 0.05, 0, x + 0.07, 0.60, (0.56, 0.55, 0.53))
    _pavement(sketch, rng, 0.56, HEIGHT)


def _facade(sketch: Sketch, rng: np.random.Generator, bottom: float) -> None:
    """Draw a house front with a row of windows and some doors."""
    wall = pick(WALLS, rng)
    sketch.box(0, 0, WIDTH, bottom, wall)
    sketch.box(0, bottom - 0.10, WIDTH, bottom, scaled(wall, 0.7))
    door = scaled(pick(PAINTS, rng), 0.7)
    for column, x in enumerate(np.arange(rng.uniform(0, 0.2), WIDTH, 0.36)):
        if column % 3 == 2:
            sketch.box(x, 0.06, x + 0.19, bottom, (0.85, 0.84, 0.80))
            sketch.box(x + 0.02, 0.09, x + 0.17, bottom, door)
            continue
        sketch.box(x, 0.05, x + 0.20, 0.40, (0.86, 0.85, 0.82))
        sketch.box(x + 0.02, 0.07, x + 0.18, 0.38, scaled((0.30, 0.36, 0.42), rng.uniform(0.7, 1.5)))
        sketch.box(x + 0.095, 0.07, x + 0.105, 0.38, (0.86, 0.85, 0.82))
        sketch.box(x + 0.02, 0.20, x + 0.18, 0.21, (0.86, 0.85, 0.82))


def _pavement(sketch: Sketch, rng: np.random.Generator, top: float, bottom: float) -> None:
    """Draw slabs whose joints run towards a point behind the middle."""
    ground = pick(GROUNDS, rng)
    sketch.box(0, top, WIDTH, bottom, ground)
    y, step = top, 0.03
    while y < bottom:
        sketch.box(0, y, WIDTH, y + 0.005, scaled(ground, 0.82))
        y, step = y + step, step * 1.35
    for x in np.arange(-1.0, WIDTH + 1.0, 0.16):
        sketch.line((WIDTH / 2 + 0.6 * (x - WIDTH / 2), top), (x, bottom), 0.005, scaled(ground, 0.82))


KINDS: tuple[Callable[[Sketch, np.random.Generator], None], ...] = (
    _street,
    _park,
    _shop,
    _car_park,
    _posters,
    _plaza,
)
