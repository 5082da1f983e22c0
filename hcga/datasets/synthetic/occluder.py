"""Things that stand in front of a person, and how far they are pushed into the picture."""

from dataclasses import dataclass

import numpy as np

from hcga.datasets.synthetic.fabric import Array
from hcga.datasets.synthetic.obstacles import DRAW

SIDES = {
    "car": ("below",),
    "bush": ("below", "left", "right"),
    "pole": ("left", "right"),
    "wall": ("below", "left", "right"),
    "crate": ("below",),
    "cart": ("below",),
    "pedestrian": ("left", "right"),
}
"""From where each kind enters the picture."""

CHANCES = (0.18, 0.16, 0.12, 0.12, 0.12, 0.12, 0.18)
"""How often each kind is drawn, in the order of `SIDES`."""

SOLID = 0.5
"""Opacity from which a pixel counts as hidden."""


@dataclass(frozen=True)
class Occlusion:
    """An occluder in its place.

    Parameters
    ----------
    kind : str
        A key of `SIDES`.
    rgb : (H, W, 3) float32
        Colour multiplied by `alpha`.
    alpha : (H, W) float32
        Opacity.
    covered : float
        Share of the person's pixels that it hides.
    """

    kind: str
    rgb: Array
    alpha: Array
    covered: float


def occlude(rng: np.random.Generator, person: Array, low: float, high: float, side: str | None = None) -> Occlusion:
    """Draw an occluder and push it in until it hides a share of the person next to one in [low, high].

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides kind, looks and share.
    person : (H, W) bool
        Where the person is seen.
    low, high : float
        Range from which the share is drawn; a thin thing may hide less.
    side : {'below', 'left', 'right'}, optional
        From where it comes; any side that fits the thing if not given.
    """
    chances = np.array(
        [chance if side in (None, *SIDES[kind]) else 0 for kind, chance in zip(SIDES, CHANCES, strict=True)]
    )
    kind = tuple(SIDES)[int(rng.choice(len(SIDES), p=chances / chances.sum()))]
    side = side or SIDES[kind][int(rng.integers(len(SIDES[kind])))]
    picture = DRAW[kind](rng, side == "below", *person.shape)
    mirror = -1 if side == "right" else 1
    placed, covered = _push(picture, side == "below", person[:, ::mirror], float(rng.uniform(low, high)))
    placed = placed[:, ::mirror]
    return Occlusion(kind, placed[..., :3], placed[..., 3], covered)


def _push(picture: Array, below: bool, person: Array, target: float) -> tuple[Array, float]:
    """Return the frame-sized cut of `picture` whose cover is nearest to `target`, and that cover.

    Parameters
    ----------
    picture : (2H, W, 4) or (H, 2W, 4) float32
        The obstacle in the lower half (`below`) or in the left half.
    below : bool
        Whether it moves up from below rather than in from the left.
    person : (H, W) bool
        Where the person is seen.
    target : float
        Share of the person to hide.
    """
    height, width = person.shape
    size = height if below else width
    solid, total = picture[..., 3] > SOLID, max(int(person.sum()), 1)

    def cover(offset: int) -> float:
        cut = solid[offset : offset + height] if below else solid[:, offset : offset + width]
        return int(np.count_nonzero(cut & person)) / total

    best = min(range(0, size + 1, max(size // 48, 1)), key=lambda offset: abs(cover(offset) - target))
    return (picture[best : best + height] if below else picture[:, best : best + width]), cover(best)
