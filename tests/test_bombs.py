"""Small files that would take gigabytes: they are refused, or what they take is bounded."""

import struct
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile

from hcga import images
from hcga.errors import InputError
from hcga.images import describe_image, load_image, load_label_image, load_labels, load_picture, size_shown
from hcga.masks.external import translate_external
from hcga.masks.painted import read_mask
from hcga.masks.repair_files import find_repairs

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n(x) (w) file\n"


def png(width: int, height: int, colour: int = 2, beside: bytes = b"") -> bytes:
    """Give a PNG that says it is large; `beside` are more chunks."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), beside, chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def jpeg(path: Path, width: int, height: int) -> bytes:
    """Give a JPEG of less than a kilobyte that says it is large."""
    Image.new("RGB", (16, 16)).save(path, "JPEG")
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xc0")
    content[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """See that not a pixel is decoded."""

    def load(image: ImageFile.ImageFile) -> None:
        raise AssertionError(f"{image.size} is decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


READERS: list[Callable[[Path], object]] = [
    lambda path: load_image(path, 8, 8),
    load_picture,
    describe_image,
    size_shown,
    load_label_image,
    lambda path: load_labels(path, path),
    lambda path: read_mask(path, 4),
]


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("size", [(60_000, 60_000), (5001, 5000), (2**31 - 1, 8)])
@pytest.mark.parametrize("colour", [0, 2, 6], ids=["grey", "RGB", "RGBA"])
def test_images_and_masks_of_huge_size_are_refused_unread(tmp_path: Path, size: tuple[int, int], colour: int) -> None:
    bomb = tmp_path / "a.png"
    bomb.write_bytes(png(*size, colour))
    assert bomb.stat().st_size < 100
    said = rf"a\.png: {size[0]} x {size[1]} pixels; .* at most 25 megapixels .*replace"
    for read in READERS:
        with pytest.raises(InputError, match=said):
            read(bomb)


@pytest.mark.usefixtures("no_decoding")
def test_so_are_photographs(tmp_path: Path) -> None:
    bomb = tmp_path / "a.jpg"
    bomb.write_bytes(jpeg(bomb, 65_500, 65_500))
    with pytest.raises(InputError, match=r"65500 x 65500 pixels; .* at most 25 megapixels"):
        load_image(bomb, 8, 8)


@pytest.mark.usefixtures("no_decoding")
def test_so_are_tiles_that_are_larger_than_their_image(tmp_path: Path) -> None:
    bomb, wide = tmp_path / "a.tif", 12_000
    packed = zlib.compress(bytes(100))
    tags = [(256, 3, 16), (257, 3, 16), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    tags += [(322, 4, wide), (323, 4, wide), (324, 4, 8), (325, 4, len(packed))]
    entries = b"".join(struct.pack("<HHII", number, kind, 1, value) for number, kind, value in tags)
    start = 8 + len(packed)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    bomb.write_bytes(b"II*\0" + struct.pack("<I", start) + packed + directory)
    for read in READERS:
        with pytest.raises(InputError, match=r"a\.tif: 12000 x 12000 pixels; .* at most 25 megapixels"):
            read(bomb)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_text_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, kind: bytes) -> None:
    bomb, packed = tmp_path / "a.png", zlib.compress(bytes(8 * 2**20))
    about = b"part_classes\0\1\0\0\0" if kind == b"iTXt" else b"k\0\0"
    bomb.write_bytes(png(16, 16, 0, chunk(kind, about + packed)))
    for read in READERS:
        with pytest.raises(InputError, match=r"a\.png: cannot be decoded \(Decompressed data too large"):
            read(bomb)


@pytest.mark.usefixtures("no_decoding")
def test_masks_of_another_parser_and_repairs_are_refused_too(tmp_path: Path) -> None:
    samples = pd.DataFrame({"dataset": ["main"], "path": ["train/1_1.jpg"], "pid": [1]})
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/1_1.png").write_bytes(png(60_000, 60_000, 0))
    with pytest.raises(InputError, match=r"1_1\.png: 60000 x 60000 pixels"):
        translate_external(samples, tmp_path / "masks", "parts", (32, 32), 4)
    found, _ = find_repairs(tmp_path / "masks", samples, 4)
    with pytest.raises(InputError, match=r"1_1\.png: 60000 x 60000 pixels"):
        found[0].read()


def test_large_images_are_decoded_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LARGE", 100)
    files = [tmp_path / f"{number}.png" for number in range(8)]
    for file in files:
        Image.new("RGB", (16, 16)).save(file)
    lock, at_once, most = threading.Lock(), 0, 0
    load = ImageFile.ImageFile.load

    def slow_load(image: ImageFile.ImageFile) -> object:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.01)
        with lock:
            at_once -= 1
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", slow_load)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: load_image(file, 8, 8), files))
        assert most == 1
        list(pool.map(lambda file: read_mask(file, 4), files))  # which opens a file within another opening: no deadlock
    monkeypatch.setattr(images, "LARGE", 10_000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: load_image(file, 8, 8), files))
    assert most > 1, "small ones are decoded at once"


@pytest.mark.parametrize("content", [POSTSCRIPT, b"P6 16 16 255\n" + bytes(768), b"<svg xmlns='a'/>", b"%PDF-1.4"])
def test_no_other_program_is_given_an_image(tmp_path: Path, content: bytes) -> None:
    """Pillow would have Ghostscript run a file of PostScript, whatever its name."""
    file = tmp_path / "a.jpg"
    file.write_bytes(content)
    for read in READERS:
        with pytest.raises(InputError, match=r"a\.jpg: not an image in a format that is read"):
            read(file)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_damaged_file_ends_in_a_traceback(tmp_path: Path) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "a"
    pixels = rng.integers(0, 256, (12, 10, 3), np.uint8)
    for kind in images.FORMATS:
        Image.fromarray(pixels).save(file, kind)
        whole = file.read_bytes()
        for _ in range(40):
            content = bytearray(whole)
            for place in rng.integers(0, min(len(whole), 200), 3):
                content[place] = rng.choice([0, 1, 127, 255])
            file.write_bytes(content)
            with suppress(InputError):
                describe_image(file)
