"""Where a walking person's joints are, and how they appear from one side."""

from dataclasses import dataclass

import numpy as np

from hcga.datasets.synthetic.canvas import Point
from hcga.datasets.synthetic.fabric import Array
from hcga.datasets.synthetic.identity import Identity

HIP_ROW, SHOULDER_ROW = 0.505, 0.222
THIGH, SHANK = 0.235, 0.225
UPPER_ARM, FOREARM = 0.158, 0.142


@dataclass(frozen=True)
class Pose:
    """Joints in three dimensions and the direction they are seen from.

    Coordinates are in body heights: x to the person's left, y down from the top of the head, z forward. Each
    joint array is (2, 3) float64: the person's right side, then the left. A person facing the viewer has the
    left side at the right of the picture.

    Parameters
    ----------
    yaw : float
        0 faces the viewer, pi/2 walks to the right of the picture, pi turns the back, -pi/2 walks to the
        left.
    hips, knees, ankles, shoulders, elbows, wrists : (2, 3) float64
        Joints.
    """

    yaw: float
    hips: Array
    knees: Array
    ankles: Array
    shoulders: Array
    elbows: Array
    wrists: Array

    def at(self, x: float, y: float, z: float) -> Point:
        """Return where a point of the body appears in the picture."""
        return float(x * np.cos(self.yaw) + z * np.sin(self.yaw)), float(y)

    def seen(self, joint: Array) -> Point:
        """Return where a joint, (3,), appears in the picture."""
        return self.at(joint[0], joint[1], joint[2])

    def depth(self, x: float, z: float) -> float:
        """Return how far a point lies in front of the body's axis, as the viewer sees it."""
        return float(z * np.cos(self.yaw) - x * np.sin(self.yaw))

    def extent(self, half_width: float, half_depth: float) -> float:
        """Return the apparent half width of an upright elliptic cylinder."""
        return float(np.hypot(half_width * np.cos(self.yaw), half_depth * np.sin(self.yaw)))

    @property
    def facing(self) -> float:
        """1 for a person who faces the viewer, 0 from the side, -1 from behind."""
        return float(np.cos(self.yaw))


def walking(identity: Identity, yaw: float, phase: float, stride: float) -> Pose:
    """Return a walking pose.

    Parameters
    ----------
    identity : Identity
        Gives the widths of shoulders and hips.
    yaw : float
        See `Pose`.
    phase : float
        Phase of the gait in radians.
    stride : float
        Amplitude of the legs' swing in radians, about 0 (standing) to 0.5.
    """
    sides = np.array([-1.0, 1.0])
    swing = phase + np.array([0.0, np.pi])
    thigh = stride * np.sin(swing)
    shank = thigh - 0.08 - 1.3 * stride * np.maximum(np.cos(swing), 0.0)
    hips = _joints(0.047 * identity.build * identity.hips * sides, HIP_ROW, 0.0)
    knees = _hang(hips, THIGH, thigh, 0.01 * sides)
    ankles = _hang(knees, SHANK, shank, -0.012 * sides)
    arm = -0.9 * stride * np.sin(swing)
    shoulders = _joints(0.107 * identity.build * identity.shoulders * sides, SHOULDER_ROW, -0.005)
    elbows = _hang(shoulders, UPPER_ARM, arm - 0.08, 0.028 * sides)
    wrists = _hang(elbows, FOREARM, arm + 0.25 + 0.5 * stride, -0.006 * sides)
    return Pose(yaw, hips, knees, ankles, shoulders, elbows, wrists)


def _joints(x: Array, y: float, z: float) -> Array:
    return np.stack([x, np.full(2, y), np.full(2, z)], axis=1)


def _hang(above: Array, length: float, angle: Array, aside: Array) -> Array:
    """Return the lower ends of two bones that swing forward by `angle`."""
    bone = np.stack([aside, length * np.cos(angle), length * np.sin(angle)], axis=1)
    return np.asarray(above + bone)
