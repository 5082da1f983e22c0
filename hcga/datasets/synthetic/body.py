"""Legs, trunk and arms with the clothes on them."""

import numpy as np

from hcga.datasets.synthetic.canvas import Brush, Point
from hcga.datasets.synthetic.fabric import Fabric
from hcga.datasets.synthetic.identity import Identity
from hcga.datasets.synthetic.pose import Pose

HEAD, UPPER, LOWER = 1, 2, 3
"""Part labels: head with hair, hat and neck; upper body with arms, hands, bags; lower body with shoes."""

HEM = {"t-shirt": 0.515, "long sleeve": 0.525, "jacket": 0.545, "coat": 0.56, "dress": 0.53}
FAR = 0.80
"""Brightness of limbs on the far side of the body."""


def legs(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint both legs, the far one first, then what covers the hips."""
    near = [pose.depth(hip[0], ankle[2]) for hip, ankle in zip(pose.hips, pose.ankles, strict=True)]
    for rank, side in enumerate(np.argsort(near, kind="stable")):
        _leg(brush, who, pose, int(side), FAR if rank == 0 else 1.0)
    b = who.build * who.hips
    if who.top_kind == "dress":
        _skirt(brush, pose, 0.10 * b, 0.145 * b, 0.70, who.top)
    elif who.bottom_kind == "skirt":
        _skirt(brush, pose, 0.098 * b, 0.135 * b, 0.69, who.bottom)
    else:
        knots = [_ring(pose, y, w * b, d * b, -0.008) for y, w, d in ((0.44, 0.095, 0.065), (0.55, 0.104, 0.075))]
        brush.profile(knots, who.bottom, LOWER)
    if who.top_kind == "coat":
        _skirt(brush, pose, 0.118 * b, 0.13 * b, 0.75, who.top)


def trunk(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint the trunk with what is worn on it."""
    brush.profile(_outline(who, pose), who.top, UPPER)
    if pose.facing > 0.2:
        _front(brush, who, pose)


def arm(brush: Brush, who: Identity, pose: Pose, side: int, bright: float) -> None:
    """Paint one arm and its hand."""
    b = 0.6 + 0.4 * who.build
    shoulder, elbow, wrist = (pose.seen(j[side]) for j in (pose.shoulders, pose.elbows, pose.wrists))
    skin, top = who.skin.dimmed(bright), who.top.dimmed(bright)
    hand = (wrist[0] + 0.1 * (wrist[0] - elbow[0]), wrist[1] + 0.018)
    brush.disc(hand, (0.021, 0.027), skin, UPPER)
    if who.top_kind in ("t-shirt", "dress"):
        brush.limb(elbow, wrist, (0.029 * b, 0.022 * b), skin, UPPER)
        brush.limb(shoulder, elbow, (0.034 * b, 0.029 * b), skin, UPPER)
        brush.limb(shoulder, _between(shoulder, elbow, 0.6), (0.043 * b, 0.041 * b), top, UPPER)
        return
    thick = 1.12 if who.top_kind in ("jacket", "coat") else 1.0
    brush.limb(elbow, wrist, (0.036 * b * thick, 0.027 * b * thick), top, UPPER)
    brush.limb(shoulder, elbow, (0.043 * b * thick, 0.036 * b * thick), top, UPPER)


def _leg(brush: Brush, who: Identity, pose: Pose, side: int, bright: float) -> None:
    b = 0.5 + 0.5 * who.build
    hip, knee, ankle = (pose.seen(j[side]) for j in (pose.hips, pose.knees, pose.ankles))
    _shoe(brush, pose, pose.ankles[side], who.shoes.dimmed(bright))
    bare = who.top_kind == "dress" or who.bottom_kind != "trousers"
    cloth = (who.skin if bare else who.bottom).dimmed(bright)
    slim = 0.86 if bare else 1.0
    brush.limb(knee, ankle, (0.046 * b * slim, 0.033 * b * slim), cloth, LOWER)
    brush.limb(hip, knee, (0.064 * b * slim, 0.046 * b * slim), cloth, LOWER)
    if who.bottom_kind == "shorts" and who.top_kind != "dress":
        brush.limb(hip, _between(hip, knee, 0.72), (0.066 * b, 0.060 * b), who.bottom.dimmed(bright), LOWER)


def _shoe(brush: Brush, pose: Pose, ankle: np.ndarray, shoes: Fabric) -> None:
    x, y, z = ankle
    heel, toe = pose.at(x, y + 0.014, z - 0.015), pose.at(x, y + 0.018 + 0.012 * pose.facing, z + 0.062)
    brush.limb(heel, toe, (0.024, 0.019), shoes, LOWER)


def _skirt(brush: Brush, pose: Pose, waist: float, hem: float, bottom: float, fabric: Fabric) -> None:
    rows = ((0.46, waist, 0.7 * waist), (0.54, 1.08 * waist, 0.8 * waist), (bottom, hem, 0.92 * hem))
    brush.profile([_ring(pose, y, w, d, 0.0) for y, w, d in rows], fabric, LOWER)


def _ring(pose: Pose, y: float, width: float, depth: float, z: float) -> tuple[float, float, float]:
    """Return one row of an outline around the body's axis."""
    middle, half = pose.at(0.0, y, z)[0], pose.extent(width, depth)
    return y, middle - half, middle + half


def _outline(who: Identity, pose: Pose) -> list[tuple[float, float, float]]:
    """Return the outline of the trunk, from the collar to the hem."""
    b, hem = who.build, HEM[who.top_kind]
    thick = 1.07 if who.top_kind in ("jacket", "coat") else 1.0
    chest, hips = b * who.shoulders * thick, b * who.hips * thick
    rings = (
        (0.163, 0.042, 0.040, 0.0),
        (0.176, 0.066 * chest, 0.050, 0.0),
        (0.190, 0.104 * chest, 0.056 * b, 0.0),
        (0.212, 0.119 * chest, 0.064 * b, 0.0),
        (0.270, 0.114 * chest, 0.080 * b * thick, 0.006),
        (0.400, 0.046 * chest + 0.042 * hips, 0.070 * b * thick, 0.004),
        (hem, 0.106 * hips, 0.078 * b * thick, -0.004),
    )
    return [_ring(pose, y, w, d, z) for y, w, d, z in rings]


def _front(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint what is on the chest only: collar, opening, print."""
    x = pose.at(0.0, 0.0, 0.065 * who.build)[0]
    hem = HEM[who.top_kind]
    if who.top_kind in ("jacket", "coat"):
        half = (0.034 if who.open_front else 0.006) * pose.facing
        knots = [(0.172, x - 0.8 * half, x + 0.8 * half), (hem - 0.005, x - 1.2 * half, x + 1.2 * half)]
        brush.profile(knots, who.inner if who.open_front else who.top.dimmed(0.5), UPPER)
        return
    brush.disc((x, 0.172), (0.030 * pose.facing, 0.020), who.skin.dimmed(0.93), HEAD)
    width = {"none": 0.0, "disc": 0.042, "block": 0.055, "band": 0.11}[who.chest_print] * pose.facing
    if who.chest_print == "disc":
        brush.disc((x, 0.29), (width, 0.042), who.emblem, UPPER)
    elif who.chest_print != "none":
        tall = 0.03 if who.chest_print == "block" else 0.022
        brush.profile([(0.285 - tall, x - width, x + width), (0.285 + tall, x - width, x + width)], who.emblem, UPPER)


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
