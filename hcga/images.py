"""Image files to arrays: decoded and resized once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hcga.errors import InputError

SMALLEST, LARGEST = 8, 100_000_000  # pixels: along a side; in all
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # one channel of 16 bits
Image.MAX_IMAGE_PIXELS = None  # Pillow would warn or refuse at other sizes; `_opened` does before a pixel is decoded
GREY = (128, 128, 128)  # what shines through transparent pixels


def load_image(path: Path, height: int, width: int) -> np.ndarray:
    """Decode an image file and resize it to the network's size.

    Parameters
    ----------
    path : Path
        Any format that Pillow reads. An EXIF rotation is carried out, 16 bits become 8, grey, palette and CMYK become
        RGB, transparent pixels grey.
    height, width : int
        Pixels of the result; the aspect ratio is not kept (IV-A resizes all images alike).

    Returns
    -------
    (height, width, 3) uint8
        RGB, resized bilinearly with antialiasing.

    Raises
    ------
    InputError
        The file is missing, no image or truncated, has a side of less than 8 pixels, more than 100 megapixels, or
        floating-point pixels.
    """
    with _opened(path) as image:
        return np.asarray(_to_rgb(path, image).resize((width, height), Image.Resampling.BILINEAR))


def load_picture(path: Path) -> Image.Image:
    """Decode an image file as `load_image` does, at its own size."""
    with _opened(path) as image:
        return _to_rgb(path, image)


def describe_image(path: Path) -> tuple[str, int, int]:
    """Decode an image file as `load_image` does, and tell its mode, and its height and width in pixels, as shown.

    The mode is Pillow's name; an EXIF rotation is added: `RGB rotated`. Errors as of `load_image`.
    """
    with _opened(path) as image:
        rotated = " rotated" if image.getexif().get(0x0112, 1) != 1 else ""
        width, height = _to_rgb(path, image).size
        return image.mode + rotated, height, width


def load_labels(path: Path, height: int, width: int) -> np.ndarray:
    """Read a label image and resize it to the network's size by nearest neighbour.

    Returns
    -------
    (height, width) uint8
        The labels as they stand in the file (modes L and P).

    Raises
    ------
    InputError
        As of `load_image`, or the image has not one channel of 8 bits.
    """
    with _opened(path) as image:
        if image.mode not in ("L", "P"):
            raise InputError(f"{path}: mode {image.mode}; a label image has one 8-bit channel (mode L or P)")
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image of bearable size; whatever goes wrong until the end of the block names the file."""
    try:
        with Image.open(path) as image:
            if min(image.size) < SMALLEST or image.width * image.height > LARGEST:
                raise InputError(
                    f"{path}: {image.width} x {image.height} pixels; at least {SMALLEST} along a side and at most "
                    f"{LARGEST // 10**6} megapixels are wanted: delete or replace it"
                )
            yield image
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; replace it") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not an image; delete or replace it") from None
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be decoded ({error}); it may be truncated: replace it") from None


def _to_rgb(path: Path, image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise InputError(f"{path}: floating-point pixels, whose range is not known; convert it to 8 bits")
    image = ImageOps.exif_transpose(image)
    if image.mode in DEEP:
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*GREY, 255)), image).convert("RGB")
    return image.convert("RGB")
