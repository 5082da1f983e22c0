"""Camera backgrounds, drawn once each and larger than a frame; images are cut from them."""

import numpy as np

from hcga.datasets.synthetic.fabric import Array, smoothed
from hcga.datasets.synthetic.places import HEIGHT, KINDS, WIDTH
from hcga.datasets.synthetic.sketch import Sketch


def draw_scene(rng: np.random.Generator, kind: int, frame_rows: int) -> Array:
    """Draw one background.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides layout and colours.
    kind : int
        Which sort of place; counted round in `KINDS`.
    frame_rows : int
        Height of a frame in pixels.

    Returns
    -------
    (HEIGHT * frame_rows, WIDTH * frame_rows, 3) uint8
    """
    rows, columns = round(HEIGHT * frame_rows), round(WIDTH * frame_rows)
    sketch = Sketch(rows, columns, float(frame_rows), ground=(0.5, 0.5, 0.5))
    KINDS[kind % len(KINDS)](sketch, rng)
    sketch.blurred(0.006)
    rough = smoothed(rng.standard_normal((rows, columns)), 1.0) * 0.10
    slow = smoothed(rng.standard_normal((rows // 8 + 1, columns // 8 + 1)), 2.0) * 0.5
    patches = np.kron(slow, np.ones((8, 8)))[:rows, :columns]
    slope = np.linspace(-1.0, 1.0, columns)[None, :] * rng.uniform(-0.12, 0.12)
    shade = (1.0 + rough + smoothed(patches, 4.0) + slope).astype(np.float32)
    lit = np.clip(sketch.pixels()[..., :3] * shade[..., None], 0.0, 1.0)
    return np.asarray(255.0 * lit + 0.5, dtype=np.uint8)
