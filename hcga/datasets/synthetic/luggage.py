"""Bags: they are carried, so they belong to the upper body's part."""

from hcga.datasets.synthetic.body import UPPER
from hcga.datasets.synthetic.canvas import Brush
from hcga.datasets.synthetic.identity import Identity
from hcga.datasets.synthetic.pose import Pose

BACK = -0.118
"""Depth of the middle of a backpack."""


def bag_depth(who: Identity, pose: Pose) -> float:
    """Return how far the bag lies in front of the trunk, as the viewer sees it; positive is nearer."""
    if who.bag_kind == "backpack":
        return pose.depth(0.0, BACK)
    return pose.depth(_hip(who), 0.0) + 0.02


def bag(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint the bag itself, not its straps; a handbag is painted with its arm."""
    if who.bag_kind == "backpack":
        x, half = pose.at(0.0, 0.0, BACK)[0], pose.extent(0.094, 0.058)
        rows = ((0.195, 0.62), (0.215, 0.92), (0.33, 1.0), (0.43, 1.0), (0.45, 0.86))
        brush.profile([(y, x - s * half, x + s * half) for y, s in rows], who.bag, UPPER)
        if pose.facing < -0.3:
            brush.profile(
                [(0.335, x - 0.7 * half, x + 0.7 * half), (0.425, x - 0.7 * half, x + 0.7 * half)],
                who.bag.dimmed(0.8),
                UPPER,
            )
    elif who.bag_kind == "shoulder bag":
        x, half = pose.at(_hip(who), 0.0, 0.0)[0], pose.extent(0.038, 0.062)
        brush.profile([(0.42, x - half, x + half), (0.55, x - 1.1 * half, x + 1.1 * half)], who.bag, UPPER)
        brush.profile([(0.42, x - half, x + half), (0.47, x - half, x + half)], who.bag.dimmed(0.78), UPPER)


def straps(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint the straps on the trunk."""
    cloth = who.bag.dimmed(0.85)
    if who.bag_kind == "backpack":
        for x in (-0.068, 0.068):
            if pose.depth(x, 0.06) > 0.0:
                top, low = pose.at(x * who.build, 0.185, 0.03), pose.at(1.2 * x * who.build, 0.37, 0.06)
                brush.limb(top, low, (0.013, 0.011), cloth, UPPER)
    elif who.bag_kind == "shoulder bag":
        z = 0.055 if pose.facing > 0 else -0.055
        from_, to = pose.at(-0.5 * _hip(who), 0.18, z * 0.4), pose.at(0.85 * _hip(who), 0.45, z)
        brush.limb(from_, to, (0.011, 0.011), cloth, UPPER)


def handbag(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint a bag that hangs from the hand."""
    x, y = pose.seen(pose.wrists[who.side])
    y, half = y + 0.03, pose.extent(0.038, 0.060)
    cloth = who.bag.dimmed(0.7)
    brush.limb((x, y), (x - 0.6 * half, y + 0.065), (0.007, 0.007), cloth, UPPER)
    brush.limb((x, y), (x + 0.6 * half, y + 0.065), (0.007, 0.007), cloth, UPPER)
    brush.profile([(y + 0.06, x - 0.85 * half, x + 0.85 * half), (y + 0.165, x - half, x + half)], who.bag, UPPER)


def _hip(who: Identity) -> float:
    """Return where beside the hip a bag hangs."""
    return (-0.125 if who.side == 0 else 0.125) * who.build
