"""Head: neck, hair, face, hat."""

from hcga.datasets.synthetic.body import HEAD
from hcga.datasets.synthetic.canvas import Brush
from hcga.datasets.synthetic.fabric import Fabric
from hcga.datasets.synthetic.identity import Identity
from hcga.datasets.synthetic.pose import Pose

DARK = Fabric((0.10, 0.08, 0.08), weave=0.0)
LIPS = Fabric((0.62, 0.30, 0.28), weave=0.0)
CENTRE = 0.080
"""Row of the middle of the head."""


def neck(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint the neck, which belongs to the head's part."""
    brush.limb(pose.at(0, 0.12, 0.0), pose.at(0, 0.172, -0.008), (0.030, 0.034), who.skin.dimmed(0.86), HEAD)


def hanging_hair(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint the hair that hangs below the chin; behind the trunk when the person faces the viewer."""
    if pose.facing > 0:
        _tied(brush, who, pose)
    if who.hairstyle == "long":
        low, x = 0.245, pose.at(0, 0, -0.03)[0]
    elif who.hairstyle == "bob":
        low, x = 0.150, pose.at(0, 0, -0.012)[0]
    else:
        return
    half = pose.extent(0.060, 0.050) * who.head
    knots = [
        (0.06, x - 0.9 * half, x + 0.9 * half),
        (0.13, x - half, x + half),
        (low, x - 0.72 * half, x + 0.72 * half),
    ]
    brush.profile(knots, who.hair, HEAD)


def head(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint skull, hair, face and hat."""
    big = who.head
    skull = pose.at(0, CENTRE - 0.006, -0.008)
    hair = who.skin if who.hairstyle == "bald" else who.hair
    puff = {"afro": 1.28, "bob": 1.08, "long": 1.06, "cropped": 0.98, "bald": 0.96}.get(who.hairstyle, 1.04)
    brush.disc(skull, (pose.extent(0.056, 0.066) * big * puff, 0.072 * big * (0.5 + 0.5 * puff)), hair, HEAD)
    if pose.facing > -0.42:
        _face(brush, who, pose)
    if pose.facing <= 0:
        _tied(brush, who, pose)
    _hat(brush, who, pose)


def _face(brush: Brush, who: Identity, pose: Pose) -> None:
    big = who.head
    y = CENTRE + (0.004 if who.hairstyle == "bald" else 0.016)
    brush.disc(pose.at(0, y, 0.024), (pose.extent(0.049, 0.044) * big, 0.056 * big), who.skin, HEAD)
    if who.beard:
        chin = pose.at(0, y + 0.036 * big, 0.030)
        brush.disc(chin, (pose.extent(0.036, 0.022) * big, 0.020 * big), who.hair, HEAD)
    if abs(pose.facing) < 0.75:
        ear = pose.at(0, y + 0.002, -0.012)
        brush.disc(ear, (0.012, 0.018), who.skin.dimmed(0.85), HEAD)
    for x in (-0.021, 0.021):
        if pose.depth(x, 0.045) > 0.002:
            _eye(brush, who, pose, x * big, y - 0.006 * big)
    if pose.facing > -0.2:
        nose = pose.at(0, y + 0.012 * big, 0.062 + 0.008 * (1 - abs(pose.facing)))
        brush.disc(nose, (0.009, 0.012), who.skin.dimmed(0.88), HEAD)
        left, right = pose.at(-0.016, y + 0.032 * big, 0.056), pose.at(0.016, y + 0.032 * big, 0.056)
        brush.limb(left, right, (0.0045, 0.0045), LIPS, HEAD)


def _eye(brush: Brush, who: Identity, pose: Pose, x: float, y: float) -> None:
    at = pose.at(x, y, 0.052)
    if who.glasses:
        brush.disc(at, (0.017, 0.013), DARK, HEAD)
    else:
        brush.disc(at, (0.0085, 0.0065), DARK, HEAD)
        brush.disc((at[0], at[1] - 0.014), (0.013, 0.0045), who.hair.dimmed(0.8), HEAD)


def _tied(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint a ponytail or bun, which the head hides from the front."""
    if who.hairstyle == "ponytail":
        brush.limb(pose.at(0, 0.06, -0.07), pose.at(0, 0.19, -0.088), (0.020, 0.013), who.hair.dimmed(0.9), HEAD)
    elif who.hairstyle == "bun" and who.hat_kind == "none":
        brush.disc(pose.at(0, 0.022, -0.052), (0.030, 0.028), who.hair.dimmed(0.88), HEAD)


def _hat(brush: Brush, who: Identity, pose: Pose) -> None:
    if who.hat_kind == "none":
        return
    x = pose.at(0, 0, -0.004)[0]
    half = pose.extent(0.060, 0.070) * who.head
    low = 0.052 if who.hat_kind == "cap" else 0.060
    rows = ((-0.002, 0.35), (0.008, 0.68), (0.025, 0.92), (low, 1.0))
    brush.profile([(y, x - s * half, x + s * half) for y, s in rows], who.hat, HEAD)
    if who.hat_kind == "beanie":
        brush.profile(
            [(low - 0.022, x - 1.06 * half, x + 1.06 * half), (low, x - 1.06 * half, x + 1.06 * half)],
            who.hat.dimmed(0.75),
            HEAD,
        )
    elif pose.facing > -0.4:
        tips = pose.at(-0.036, low + 0.002, 0.085), pose.at(0.036, low + 0.002, 0.085)
        for tip in tips:
            brush.limb(pose.at(0, low - 0.004, 0.05), tip, (0.012, 0.009), who.hat.dimmed(0.7), HEAD)
