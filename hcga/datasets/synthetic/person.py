"""A whole person: the parts in the order of their distance."""

from hcga.datasets.synthetic import body, head, luggage
from hcga.datasets.synthetic.canvas import Brush
from hcga.datasets.synthetic.identity import Identity
from hcga.datasets.synthetic.pose import Pose


def draw_person(brush: Brush, who: Identity, pose: Pose) -> None:
    """Paint a person from the farthest part to the nearest.

    Parameters
    ----------
    brush : Brush
        Its layer receives colours and the part labels of `hcga.datasets.synthetic.body`.
    who : Identity
        What the person looks like.
    pose : Pose
        Joints and viewing direction.
    """
    brush.shadow((0.0, 0.985), (0.24, 0.035), 0.45)
    bag_in_front = luggage.bag_depth(who, pose) > 0.03
    hair_in_front = pose.facing < -0.15
    if not bag_in_front:
        luggage.bag(brush, who, pose)
    _arms(brush, who, pose, near=False)
    if not hair_in_front:
        head.hanging_hair(brush, who, pose)
    body.legs(brush, who, pose)
    head.neck(brush, who, pose)
    body.trunk(brush, who, pose)
    luggage.straps(brush, who, pose)
    _arms(brush, who, pose, near=True)
    if bag_in_front:
        luggage.bag(brush, who, pose)
    if hair_in_front:
        head.hanging_hair(brush, who, pose)
    head.head(brush, who, pose)


def _arms(brush: Brush, who: Identity, pose: Pose, near: bool) -> None:
    """Paint the arms on one side of the trunk, each with what its hand holds."""
    for side in (0, 1):
        if (pose.depth(pose.shoulders[side, 0], 0.0) > -0.05) != near:
            continue
        if who.bag_kind == "handbag" and who.side == side:
            luggage.handbag(brush, who, pose)
        body.arm(brush, who, pose, side, 1.0 if near else body.FAR)
