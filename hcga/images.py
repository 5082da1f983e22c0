"""Image files to arrays: decoded and resized once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from hcga.errors import InputError


def load_image(path: Path, height: int, width: int) -> np.ndarray:
    """Decode an image file and resize it to the network's size.

    Parameters
    ----------
    path : Path
        Any format that Pillow reads; converted to RGB.
    height, width : int
        Pixels of the result; the aspect ratio is not kept (IV-A resizes all images alike).

    Returns
    -------
    (height, width, 3) uint8
        RGB, resized bilinearly with antialiasing.

    Raises
    ------
    InputError
        The file is no image or is truncated.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    except UnidentifiedImageError:
        raise InputError(f"{path}: not an image; delete or replace it") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be decoded ({error}); it may be truncated: replace it") from None


def load_labels(path: Path, height: int, width: int) -> np.ndarray:
    """Read a label image and resize it to the network's size by nearest neighbour.

    Returns
    -------
    (height, width) uint8
        The labels as they stand in the file (modes L and P).

    Raises
    ------
    InputError
        The file is missing, no image, truncated, or not a single-channel one.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P"):
                raise InputError(f"{path}: mode {image.mode}; a label image has one 8-bit channel (mode L or P)")
            return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such label image") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be decoded ({error}); replace it") from None
