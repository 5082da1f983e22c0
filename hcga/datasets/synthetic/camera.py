"""How a camera turns light into an image: exposure, colour cast, tone curve, sharpness, noise."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from hcga.datasets.synthetic.fabric import Array


@dataclass(frozen=True)
class Camera:
    """A camera's constants.

    Parameters
    ----------
    gain : (3,) float
        Exposure and colour cast of red, green, blue.
    gamma, contrast, saturation : float
        Tone curve and colourfulness; 1 changes nothing.
    haze : float
        Light added to the darkest tones.
    blur : float
        Deviation of the blur in thousandths of the image height.
    noise : float
        Deviation of the noise, of full scale 1.
    resolution : float
        Share of the rows and columns that the sensor resolves.
    light : float
        Where the light comes from, -1 (left) to 1 (right).
    """

    gain: tuple[float, float, float]
    gamma: float
    contrast: float
    saturation: float
    haze: float
    blur: float
    noise: float
    resolution: float
    light: float


def random_camera(rng: np.random.Generator) -> Camera:
    """Set up a random camera."""
    exposure, warm, tint = (
        float(np.exp(rng.normal(0, 0.20))),
        rng.uniform(-0.17, 0.17),
        rng.uniform(-0.06, 0.06),
    )
    return Camera(
        gain=(exposure * (1 + warm), exposure * (1 + tint), exposure * (1 - warm)),
        gamma=float(rng.uniform(0.72, 1.35)),
        contrast=float(rng.uniform(0.72, 1.12)),
        saturation=float(rng.uniform(0.5, 1.1)),
        haze=float(rng.uniform(0.0, 0.08)),
        blur=float(rng.uniform(0.5, 5.0)),
        noise=float(rng.uniform(0.006, 0.022)),
        resolution=float(rng.uniform(0.6, 1.0)),
        light=float(rng.uniform(-1.0, 1.0)),
    )


def expose(camera: Camera, scene: Array, light: float, rng: np.random.Generator) -> Array:
    """Return the image that a camera takes.

    Parameters
    ----------
    camera : Camera
        Its constants.
    scene : (H, W, 3) float32
        Colours in [0, 1].
    light : float
        Brightness of the scene at that time; 1 is usual.
    rng : numpy.random.Generator
        Draws the jitter of this one image and its noise.

    Returns
    -------
    (H, W, 3) uint8
    """
    gain = np.asarray(camera.gain) * light * np.exp(rng.normal(0, 0.05)) * (1 + rng.normal(0, 0.015, 3))
    seen = np.clip(scene * gain.astype(np.float32), 1e-4, 1.0) ** np.float32(camera.gamma * np.exp(rng.normal(0, 0.05)))
    grey = seen.mean(axis=2, keepdims=True)
    seen = grey + np.float32(camera.saturation) * (seen - grey)
    seen = np.float32(0.45) + np.float32(camera.contrast) * (seen - np.float32(0.45)) + np.float32(camera.haze)
    sharp = _soften(camera, np.asarray(np.clip(seen * 255.0, 0, 255), dtype=np.uint8)).astype(np.float32)
    noise = rng.standard_normal(sharp.shape, dtype=np.float32) * np.float32(255 * camera.noise)
    return np.asarray(np.clip(sharp + noise + 0.5, 0, 255), dtype=np.uint8)


def _soften(camera: Camera, image: Array) -> Array:
    """Return the image, (H, W, 3) uint8, as blurred and as coarse as the camera makes it."""
    height, width = image.shape[:2]
    picture = Image.fromarray(image).filter(ImageFilter.GaussianBlur(camera.blur * height / 1000))
    coarse = max(round(width * camera.resolution), 1), max(round(height * camera.resolution), 1)
    picture = picture.resize(coarse, Image.Resampling.BILINEAR).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture)
