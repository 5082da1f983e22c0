from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hcga.datasets.files import examine_files, examine_labels
from hcga.errors import InputError
from hcga.images import describe_image, load_image, load_labels

RNG = np.random.default_rng(0)
KNOWN = "BMP, GIF, JPEG, PNG, TIFF, WEBP"
PIXELS = RNG.integers(0, 256, (20, 10, 3), np.uint8)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    path = save(Image.fromarray(PIXELS[..., 0]), tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(path, 20, 10), PIXELS[..., :1].repeat(3, 2))
    assert describe_image(path) == ("L", 20, 10)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = PIXELS[..., 0].astype(np.uint16) * 256 + 17
    path = save(Image.fromarray(deep), tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(path, 20, 10), PIXELS[..., :1].repeat(3, 2))
    assert describe_image(path)[0] == "I;16"


def test_transparent_pixels_become_grey(tmp_path: Path) -> None:
    alpha = np.full((20, 10, 1), 255, np.uint8)
    alpha[:5] = 0
    path = save(Image.fromarray(np.concatenate([PIXELS, alpha], 2)), tmp_path / "a.png")
    loaded = load_image(path, 20, 10)
    assert (loaded[:5] == 128).all()
    np.testing.assert_array_equal(loaded[5:], PIXELS[5:])


def test_a_palette_becomes_rgb(tmp_path: Path) -> None:
    flat = np.zeros((20, 10, 3), np.uint8)
    flat[:10] = (200, 30, 60)
    path = save(Image.fromarray(flat).quantize(4), tmp_path / "a.png")
    np.testing.assert_allclose(load_image(path, 20, 10).astype(int), flat, atol=2)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    flat = np.full((20, 10, 3), (200, 30, 60), np.uint8)
    path = save(Image.fromarray(flat).convert("CMYK"), tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(load_image(path, 20, 10).astype(int), flat, atol=6)
    assert describe_image(path)[0] == "CMYK"


def test_an_exif_rotation_is_carried_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    path = save(Image.fromarray(PIXELS), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_image(path, 10, 20), np.rot90(PIXELS, -1))
    assert describe_image(path) == ("RGB rotated", 10, 20)


def one_pixel(path: Path) -> None:
    Image.new("RGB", (1, 1)).save(path)


def huge(path: Path) -> None:
    Image.new("1", (20_000, 6_000)).save(path)


def bomb(path: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(path)


def floating(path: Path) -> None:
    Image.fromarray(RNG.random((20, 10)).astype(np.float32)).save(path, "TIFF")


def wide_integers(path: Path) -> None:
    Image.fromarray(np.full((20, 10), 70_000, np.int32)).save(path, "TIFF")


def truncated(path: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (99, 99, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.mkdir()


DEFECTS: dict[Callable[[Path], None], str] = {
    one_pixel: "1 x 1 pixels; at least 8 along a side",
    huge: "20000 x 6000 pixels; .*at most 25 megapixels",
    bomb: "30000 x 30000 pixels",
    floating: "32-bit pixels, whose range is not known",
    wide_integers: "32-bit pixels, whose range is not known",
    truncated: "cannot be decoded .*it may be truncated",
    nothing: "not an image",
    folder: "a folder; name an image file",
}


@pytest.mark.parametrize("spoil", DEFECTS, ids=lambda spoil: spoil.__name__)
def test_what_cannot_be_used_is_named(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "a.png"
    spoil(path)
    for read in (lambda: load_image(path, 8, 8), lambda: describe_image(path)):
        with pytest.raises(InputError, match=rf"a\.png: {DEFECTS[spoil]}"):
            read()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        load_image(tmp_path / "a.png", 8, 8)


def test_files_are_summed_up(tmp_path: Path) -> None:
    files = [save(Image.fromarray(PIXELS.repeat(3, 0)), tmp_path / f"{number}.png") for number in range(3)]
    assert examine_files(files, False) == ("3 images decoded: 3 RGB; 60 x 10 pixels (height x width)", [], [])
    grey, bad = save(Image.fromarray(PIXELS[..., 0]), tmp_path / "grey.png"), tmp_path / "bad.png"
    nothing(bad)
    summary, findings, spoilt = examine_files([*files, grey, bad], False)
    assert spoilt == [4]
    assert summary == "4 images decoded: 3 RGB, 1 L; 20 x 10 to 60 x 10 pixels (height x width)"
    assert [finding.severity for finding in findings] == ["error", "warning", "warning"]
    assert findings[0].text == f"{bad}: not an image in a format that is read ({KNOWN}); delete or replace it"
    assert findings[1].text == f"1 images of mode L become RGB: {grey}"
    assert findings[2].text == f"1 images are lower than 32 pixels: {grey}"
    assert examine_files([bad], False).summary == "no image could be decoded"
    (left_out,) = examine_files([bad], True).findings
    assert left_out == (
        "warning",
        f"left out: {bad}: not an image in a format that is read ({KNOWN}); delete or replace it",
    )


@pytest.mark.parametrize(("orientation", "turned"), [(0, False), (1, False), (2, True), (8, True), (9, False)])
def test_an_image_is_turned_by_the_orientations_there_are(tmp_path: Path, orientation: int, turned: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (
        describe_image(save(Image.fromarray(PIXELS), tmp_path / "a.png", exif=exif))[0] == "RGB" + " rotated" * turned
    )


def test_an_animation_is_told(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 40), (90 * number, 0, 0)) for number in range(3)]
    path = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert describe_image(path)[0].endswith(" animated")


def test_label_images_are_examined_where_they_are(tmp_path: Path) -> None:
    image = save(Image.fromarray(PIXELS), tmp_path / "a.png")
    good = save(Image.new("L", (10, 20)), tmp_path / "good.png")
    small = save(Image.new("L", (9, 18)), tmp_path / "small.png")
    summary, findings = examine_labels([(good, image), (tmp_path / "none.png", image), (small, image)])
    assert summary == "true masks: 2 of 3 images have one"
    assert findings == [("error", f"{small}: 18 x 9 pixels, but {image} has 20 x 10; make them alike")]
    two = save(Image.new("L", (10, 20), 2), tmp_path / "two.png")
    one = save(Image.new("L", (10, 20), 1), tmp_path / "one.png")
    assert examine_labels([(two, image), (one, image)]) == (
        "true masks: 2 of 2 images have one, of 3 part classes",
        [],
    )
    (gap,) = examine_labels([(two, image)])[1]
    assert gap.text.startswith(f"{two}: label 2, but no image has label 1; parts are numbered")
    assert examine_labels([(tmp_path / "none.png", image)]) == ("true masks: 0 of 1 images have one", [])
    (none,) = examine_labels([(good, image)])[1]
    assert none.text.startswith("truth: no label image has a part; parts are numbered")


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_label_image_has_the_size_of_the_image_as_shown(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = save(Image.fromarray(PIXELS), tmp_path / "a.png", exif=exif)
    upright, lying = (save(Image.new("L", size), tmp_path / f"{size[0]}.png") for size in ((10, 20), (20, 10)))
    good, bad = (lying, upright) if orientation == 6 else (upright, lying)
    assert load_labels(good, image).shape == ((10, 20) if orientation == 6 else (20, 10))
    with pytest.raises(InputError, match=r"pixels, but .* has"):
        load_labels(bad, image)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read from its beginning")
def test_a_disk_that_fails_is_no_bad_image() -> None:
    """Else `prepare.on_bad_image: skip` would leave the image out, and another run would have it."""
    with pytest.raises(OSError, match="Input/output error"):
        load_image(Path("/proc/self/mem"), 20, 10)
