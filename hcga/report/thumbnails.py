"""Pictures inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

QUALITY = 80


def embed_picture(pixels: np.ndarray) -> str:
    """Encode a picture, (H, W, 3) uint8, as an address that holds it: `data:image/webp;base64,...`."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def embed_row(pictures: np.ndarray) -> str:
    """Encode pictures, (n, H, W, 3) uint8, side by side, a mid grey line between them."""
    gap = max(1, pictures.shape[2] // 32)
    framed = np.pad(pictures, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=128)
    return embed_picture(np.concatenate(list(framed), axis=1)[:, :-gap])
