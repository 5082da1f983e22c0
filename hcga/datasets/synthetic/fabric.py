"""Materials: a colour, perhaps a second one, and the pattern that mixes them."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.filters import gaussian

Array = NDArray[Any]
Colour = tuple[float, float, float]

PATTERNS = ("plain", "hoops", "pinstripes", "checks", "mottled")

TILE = 64
TEXELS = 150.0


def smoothed(noise: Array, sigma: float) -> Array:
    """Return noise blurred by a Gaussian of `sigma` pixels that wraps around the edges."""
    return np.asarray(gaussian(noise, sigma, mode="wrap"))  # type: ignore[no-untyped-call]


@cache
def _tile() -> Array:
    """Return the periodic noise of all fabrics, (64, 64) float32 of mean 0 and deviation 1."""
    noise = np.random.default_rng(0).standard_normal((TILE, TILE))
    both = smoothed(noise, 3.0) * 6.0 + smoothed(noise.T, 0.8)
    return np.asarray((both - both.mean()) / both.std(), dtype=np.float32)


@dataclass(frozen=True)
class Fabric:
    """The look of a surface.

    Parameters
    ----------
    base, second : tuple of float
        Red, green, blue in [0, 1]; `second` is the colour of stripes, checks or spots.
    pattern : str
        One of `PATTERNS`.
    pitch : float
        Period of the pattern, in body heights.
    weave : float
        Strength of folds and texture.
    """

    base: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    pitch: float = 0.05
    weave: float = 0.05

    def colour(self, across: Array, along: Array) -> Array:
        """Return the colour at points of the surface.

        Parameters
        ----------
        across, along : arrays that broadcast to (H, W) float32
            Position on the surface, in body heights.

        Returns
        -------
        array that broadcasts to (H, W, 3) float32
        """
        base = np.asarray(self.base, dtype=np.float32)
        if self.pattern == "plain" and self.weave == 0.0:
            return base[None, None, :]
        tile = _tile()[_texel(along), _texel(across)]
        if self.pattern == "plain":
            return base * (1.0 + np.float32(self.weave) * tile)[..., None]
        mix = self._mix(across, along, tile)[..., None]
        mixed = base + mix * (np.asarray(self.second, dtype=np.float32) - base)
        return np.asarray(mixed * (1.0 + np.float32(self.weave) * tile)[..., None])

    def dimmed(self, factor: float) -> "Fabric":
        """Return the same fabric in the shade."""
        return replace(self, base=scaled(self.base, factor), second=scaled(self.second, factor))

    def _mix(self, across: Array, along: Array, tile: Array) -> Array:
        """Return the share of the second colour, in [0, 1]."""
        turn = np.float32(2.0 * np.pi / self.pitch)
        if self.pattern == "hoops":
            return _soft(np.sin(along * turn)) + 0.0 * across
        if self.pattern == "pinstripes":
            return _soft(np.sin(across * turn) - 0.3) + 0.0 * along
        if self.pattern == "checks":
            return np.asarray(0.5 * _soft(np.sin(along * turn)) + 0.5 * _soft(np.sin(across * turn)))
        return _soft(tile)


def scaled(colour: Colour, factor: float) -> Colour:
    """Return a lighter or darker colour, within [0, 1]."""
    red, green, blue = (min(max(factor * c, 0.0), 1.0) for c in colour)
    return red, green, blue


def _texel(position: Array) -> Array:
    return np.asarray((position * np.float32(TEXELS)).astype(np.int32) & (TILE - 1))


def _soft(wave: Array) -> Array:
    """Return a smoothed step at 0."""
    return np.asarray(np.clip(wave * np.float32(2.0) + np.float32(0.5), 0.0, 1.0))
