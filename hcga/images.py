"""Image files to arrays: decoded and resized once."""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hcga.errors import InputError
from hcga.resources import blame_machine

SMALLEST, LARGEST = 8, 25_000_000  # pixels: along a side; in all
LARGE = 1_000_000  # pixels; of images beyond, one at a time is decoded: each takes up to 16 bytes a pixel
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # Pillow knows others, and hands some to other programs
UNREADABLE = (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error)  # what Pillow says of bad files
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")  # one channel of 16 bits
TILE = (322, 323)  # TIFF tags: width and height of its tiles
TURNED = range(2, 9)  # EXIF orientations other than upright
Image.MAX_IMAGE_PIXELS = None  # Pillow would warn or refuse at other sizes; `_opened` does before a pixel is decoded
GREY = (128, 128, 128)  # what shines through transparent pixels
_one_large = threading.RLock()


def load_image(path: Path, height: int, width: int) -> np.ndarray:
    """Decode an image file and resize it to the network's size.

    Parameters
    ----------
    path : Path
        BMP, GIF, JPEG, PNG, TIFF or WebP, whatever its name ends in. An EXIF rotation is carried out, 16 bits become 8,
        grey, palette and CMYK become RGB, transparent pixels grey.
    height, width : int
        Pixels of the result; the aspect ratio is not kept (IV-A resizes all images alike).

    Returns
    -------
    (height, width, 3) uint8
        RGB, resized bilinearly with antialiasing.

    Raises
    ------
    InputError
        The file is missing, no image or truncated, has a side of less than 8 pixels, more than 25 megapixels, or
        floating-point or 32-bit pixels.
    """
    with opened(path) as image:
        return np.asarray(_to_rgb(path, image).resize((width, height), Image.Resampling.BILINEAR))


def load_picture(path: Path) -> Image.Image:
    """Decode an image file as `load_image` does, at its own size."""
    with opened(path) as image:
        return _to_rgb(path, image)


def describe_image(path: Path) -> tuple[str, int, int]:
    """Decode an image file as `load_image` does, and tell its mode, and its height and width in pixels, as shown.

    The mode is Pillow's name; what else there is is added: `RGB rotated` by EXIF, `P animated`, of which the first
    frame is taken. Errors as of `load_image`.
    """
    with opened(path) as image:
        turned = " rotated" if image.getexif().get(0x0112) in TURNED else ""
        moving = " animated" if getattr(image, "n_frames", 1) > 1 else ""
        width, height = _to_rgb(path, image).size
        return image.mode + turned + moving, height, width


def load_labels(path: Path, shown: Path) -> np.ndarray:
    """Read the label image of an image.

    Parameters
    ----------
    path : Path
    shown : Path
        The image that it labels.

    Returns
    -------
    (H, W) uint8
        The labels as they stand in the file (modes L and P).

    Raises
    ------
    InputError
        As of `load_image`, or the label image has not one channel of 8 bits, or not the size of the image.
    """
    labels = load_label_image(path)
    if labels.shape != (size := size_shown(shown)[::-1]):
        here, there = (f"{high} x {wide}" for high, wide in (labels.shape, size))
        raise InputError(f"{path}: {here} pixels, but {shown} has {there}; make them alike")
    return labels


def load_label_image(path: Path) -> np.ndarray:
    """Read a label image of any size: (H, W) uint8; errors as of `load_labels`."""
    with opened(path) as image:
        if image.mode not in ("L", "P"):
            raise InputError(f"{path}: mode {image.mode}; a label image has one 8-bit channel (mode L or P)")
        return np.asarray(image)


def resize_labels(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize labels (H, W) uint8 to (height, width) by nearest neighbour."""
    return np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))


def size_shown(path: Path) -> tuple[int, int]:
    """Width and height in pixels of an image as it is shown, by its header alone."""
    with opened(path) as image:
        lying = image.getexif().get(0x0112) in (5, 6, 7, 8)
        return (image.height, image.width) if lying else image.size


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image of bearable size; whatever goes wrong until the end of the block names the file."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = _decoded(image)
            if min(image.size) < SMALLEST or width * height > LARGEST:
                raise InputError(
                    f"{path}: {width} x {height} pixels; at least {SMALLEST} along a side and at most "
                    f"{LARGEST // 10**6} megapixels are wanted: delete or replace it"
                )
            with _one_large if width * height > LARGE else nullcontext():
                yield image
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; replace it") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder; name an image file") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: not an image in a format that is read ({', '.join(FORMATS)}); delete or replace it"
        ) from None
    except UNREADABLE as error:
        blame_machine(error)
        raise InputError(f"{path}: cannot be decoded ({error}); it may be truncated: replace it") from None


def _decoded(image: Image.Image) -> tuple[int, int]:
    """Width and height of what is decoded at once: of the image, or of a tile of a TIFF that is larger than that."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    tile = [tags.get(number, 0) for number in TILE]
    return max(image.size, (tile[0], tile[1]), key=math.prod)


def _to_rgb(path: Path, image: Image.Image) -> Image.Image:
    if image.mode in ("F", "I"):
        raise InputError(f"{path}: 32-bit pixels, whose range is not known; convert it to 8 bits")
    image = ImageOps.exif_transpose(image)
    if image.mode in DEEP:
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*GREY, 255)), image).convert("RGB")
    return image.convert("RGB")
