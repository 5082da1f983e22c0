"""Takes the planned images: background, passers-by, the person, an occluder, and the camera over all."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hcga.datasets.synthetic.camera import Camera, expose, random_camera
from hcga.datasets.synthetic.canvas import Brush, Layer
from hcga.datasets.synthetic.fabric import Array
from hcga.datasets.synthetic.identity import Identity, random_identity
from hcga.datasets.synthetic.occluder import SOLID, Occlusion, occlude
from hcga.datasets.synthetic.person import draw_person
from hcga.datasets.synthetic.plan import SCENES, Shot
from hcga.datasets.synthetic.pose import Pose, walking
from hcga.datasets.synthetic.scene import draw_scene
from hcga.datasets.synthetic.seeds import STRANGER, Role, generator

FINE = 2
"""Drawn pixels for one image pixel, in each direction."""

COVERED = (0.3, 0.6)
"""Share of the person that an occluder aims to hide."""


@dataclass(frozen=True)
class Picture:
    """One finished image.

    Parameters
    ----------
    image : (H, W, 3) uint8
        Colours.
    truth : (H, W) uint8
        Visible parts of the person: 0 none, 1 head, 2 upper body, 3 lower body.
    occlusion : tuple, optional
        Kind; (left, top, right, bottom) in image pixels, ends exclusive; share of the person hidden.
    """

    image: Array
    truth: Array
    occlusion: tuple[str, tuple[int, int, int, int], float] | None


@dataclass(frozen=True)
class Sequence:
    """What the images of one sequence share."""

    yaw: float
    phase: float
    pace: float
    stride: float
    scale: float
    left: float
    top: float
    light: float
    stranger: float
    walks: float


class Studio:
    """Draws the images of one set.

    Parameters
    ----------
    seed : int
        Seed of the set.
    height, width : int
        Size of the images.
    """

    def __init__(self, seed: int, height: int, width: int) -> None:
        self.seed, self.height, self.width = seed, height, width
        self._scene = lru_cache(maxsize=None)(self._draw_scene)
        self._camera = lru_cache(maxsize=None)(self._draw_camera)

    def take(self, shot: Shot, occluded: float) -> Picture:
        """Make one image; `occluded` is the chance of something in front of the person."""
        rng = generator(self.seed, Role.IMAGE, shot.person, shot.camera, shot.index)
        sequence = self._sequence(shot)
        camera = self._camera(shot.camera)
        view = self._background(shot, sequence, rng)
        view = self._stranger(shot, sequence, camera).over(view)
        person = self._person(shot, sequence, camera, rng)
        view, label = person.over(view), person.label
        occlusion = self._occlusion(shot, occluded, label > 0)
        if occlusion is not None:
            view = view * (1.0 - occlusion.alpha)[..., None] + occlusion.rgb
            label = np.where(occlusion.alpha > SOLID, 0, label)
        image = expose(camera, _shrink(view), sequence.light, rng)
        return Picture(image, _vote(label), None if occlusion is None else _record(occlusion))

    def _background(self, shot: Shot, sequence: Sequence, rng: np.random.Generator) -> Array:
        """Cut the frame out of the scene, a few pixels beside the sequence's other frames."""
        rows, columns = FINE * self.height, FINE * self.width
        scene = self._scene(shot.camera, shot.sequence)
        shift = rng.uniform(-0.015, 0.015, 2) * rows
        top = round(sequence.top * (scene.shape[0] - rows) + shift[0])
        left = round(sequence.left * (scene.shape[1] - columns) + shift[1])
        top, left = np.clip([top, left], 0, [scene.shape[0] - rows, scene.shape[1] - columns])
        cut = scene[top : top + rows, left : left + columns]
        return np.asarray(cut, dtype=np.float32) / np.float32(255.0)

    def _person(self, shot: Shot, sequence: Sequence, camera: Camera, rng: np.random.Generator) -> Layer:
        """Draw the subject, framed as by a detector."""
        who = self._identity(shot.person)
        scale, middle, top = (
            sequence.scale * (1 + rng.normal(0, 0.02)),
            rng.normal(0, 0.025),
            rng.normal(0.035, 0.018),
        )
        cut = rng.random()
        if cut < 0.10:
            scale *= rng.uniform(1.10, 1.28)
        elif cut < 0.15:
            top -= rng.uniform(0.04, 0.09)
        pose = walking(
            who,
            sequence.yaw + rng.normal(0, 0.06),
            sequence.phase + shot.index * sequence.pace + rng.normal(0, 0.15),
            sequence.stride,
        )
        return self._draw(who, pose, (0.5 * self.width / self.height + middle, top, scale), camera.light)

    def _stranger(self, shot: Shot, sequence: Sequence, camera: Camera) -> Layer:
        """Draw the passer-by behind the subject, or nobody."""
        if abs(sequence.stranger) > 1.0:
            return Layer(FINE * self.height, FINE * self.width)
        who = self._identity(STRANGER + shot.person, shot.camera)
        pose = walking(who, np.pi / 2 * np.sign(sequence.walks), sequence.phase + 1.3 * shot.index, 0.38)
        half = 0.5 * self.width / self.height
        middle = half + 1.1 * half * sequence.stranger + 0.06 * shot.index * sequence.walks
        scale = 0.5 + 0.3 * abs(sequence.walks)
        return self._draw(who, pose, (middle, 0.86 - 0.86 * scale, scale), camera.light)

    def _draw(self, who: Identity, pose: Pose, place: tuple[float, float, float], light: float) -> Layer:
        """Draw a person at `place`: x of the middle, y of the top, and size, in frame heights."""
        unit = FINE * self.height
        layer = Layer(unit, FINE * self.width)
        middle, top, scale = place
        draw_person(Brush(layer, middle * unit, top * unit, scale * unit, light), who, pose)
        return layer

    def _occlusion(self, shot: Shot, chance: float, person: Array) -> Occlusion | None:
        rng = generator(self.seed, Role.OCCLUSION, shot.person, shot.camera, shot.index)
        if rng.random() >= chance or not person.any():
            return None
        return occlude(rng, person, *COVERED)

    def _identity(self, *person: int) -> Identity:
        return random_identity(generator(self.seed, Role.IDENTITY, *person))

    def _draw_camera(self, camera: int) -> Camera:
        return random_camera(generator(self.seed, Role.CAMERA, camera))

    def _draw_scene(self, camera: int, sequence: int) -> Array:
        kind = SCENES * (camera - 1) + sequence - 1
        return draw_scene(generator(self.seed, Role.SCENE, camera, sequence), kind, FINE * self.height)

    def _sequence(self, shot: Shot) -> Sequence:
        rng = generator(self.seed, Role.SEQUENCE, shot.person, shot.camera)
        views = np.array([0.0, 0.5, 1.0, -0.5]) * np.pi
        seen = rng.random() < 0.35
        return Sequence(
            yaw=float(views[int(rng.choice(4, p=(0.28, 0.24, 0.28, 0.20)))] + rng.normal(0, 0.25)),
            phase=float(rng.uniform(0, 2 * np.pi)),
            pace=float(rng.uniform(0.5, 1.1)),
            stride=float(rng.uniform(0.22, 0.44)),
            scale=float(rng.uniform(0.88, 0.97)),
            left=float(rng.random()),
            top=float(rng.random()),
            light=float(np.exp(rng.normal(0, 0.14))),
            stranger=float(rng.choice([-1, 1]) * (rng.uniform(0.5, 1.0) if seen else 2.0)),
            walks=float(rng.choice([-1, 1]) * rng.uniform(0.1, 1.0)),
        )


def _shrink(view: Array) -> Array:
    """Return the mean of each FINE x FINE block: (FINE*H, FINE*W, 3) float32 to (H, W, 3) float32."""
    total = sum(view[i::FINE, j::FINE] for i in range(FINE) for j in range(FINE))
    return np.asarray(total, dtype=np.float32) / np.float32(FINE * FINE)


def _vote(label: Array) -> Array:
    """Return the most frequent label of each FINE x FINE block, (H, W) uint8; the lower label wins a tie."""
    blocks = [label[i::FINE, j::FINE] for i in range(FINE) for j in range(FINE)]
    votes = [sum((block == part).astype(np.uint8) for block in blocks) for part in range(4)]
    return np.asarray(np.argmax(np.stack(votes), axis=0), dtype=np.uint8)


def _record(occlusion: Occlusion) -> tuple[str, tuple[int, int, int, int], float]:
    """Return kind, box in image pixels and share of an occlusion."""
    rows, columns = np.nonzero(occlusion.alpha > SOLID)
    box = columns.min() // FINE, rows.min() // FINE, columns.max() // FINE + 1, rows.max() // FINE + 1
    left, top, right, bottom = (int(v) for v in box)
    return occlusion.kind, (left, top, right, bottom), occlusion.covered
