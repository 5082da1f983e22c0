"""An occluded variant of any data set: things are put in front of the people of some of its images."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from hcga.datasets.layouts.market1501 import FOLDERS
from hcga.datasets.readers import read_data_set
from hcga.datasets.synthetic.occluder import SOLID, occlude
from hcga.datasets.truth import truth_file
from hcga.errors import InputError
from hcga.files import fresh
from hcga.folders import is_image, visible
from hcga.images import LARGEST, load_picture, opened
from hcga.links import refuse_what_cannot_be_copied
from hcga.runs.progress import track
from hcga.samples import DISTRACTOR

ANY_SIDE = ("below", "left", "right")
COLUMNS = ("image", "kind", "left", "top", "right", "bottom", "covered")
JPEG_QUALITY = 95
ATTEMPTS = 100  # drawn things until one covers what it shall
TOLERANCE = 0.01  # of the cover: things move in steps


def occlude_data_set(
    layout: str,
    root: Path,
    target: Path,
    *,
    splits: Sequence[str],
    share: float,
    cover: tuple[float, float],
    side: str,
    occluders: Path | str,
    seed: int,
) -> pd.DataFrame:
    """Copy a data set and occlude some of its images.

    Parameters
    ----------
    layout : str
        A key of `hcga.datasets.readers.LAYOUTS`.
    root : Path
        The data set; only read.
    target : Path
        Folder to make: the same files, of which the occluded ones differ, and `occluders.csv`.
    splits : sequence of str
        Whose images are occluded.
    share : float
        Chance of each of their images, in [0, 1].
    cover : (float, float)
        Range from which the covered share of the picture is drawn, in (0, 1).
    side : {'any', 'below', 'left', 'right'}
        Where the occluder comes from.
    occluders : Path or {'drawn', 'distractors'}
        A folder of images, of which a part is pasted; drawn things (cars, bushes, walls, people, ...); or the set's own
        gallery images of identity 0.
    seed : int
        Each image's occluder follows from it and the image's path.

    Returns
    -------
    DataFrame
        What `occluders.csv` says of this call, one row an occluded image: image (path), kind, left, top, right, bottom
        (pixels of the file; right and bottom exclusive), covered (share of the picture). The file has also what one in
        the source says. Label images of true masks get background where the occluder is.

    Raises
    ------
    InputError
        The target exists or lies in the root, there are no occluders or no images to occlude, an image is of a split
        that is to stay as it is too or cannot be decoded, there is a link to a folder or out of the set, drawn things
        do not cover as much from that side, or see `read_data_set`. Nothing is left at the target.
    """
    if target.exists():
        raise InputError(f"{target}: is there already; name a folder to make")
    if root.resolve() in target.resolve().parents:
        raise InputError(f"{target}: lies in the data set {root}, which is not to be changed")
    table = read_data_set(layout, root)
    wanted = table["split"].isin(list(splits))
    if not wanted.any():
        raise InputError(f"{root}: has no images of split {' or '.join(splits)} to occlude; name one it has")
    places = _places(layout, table[wanted], set(table["path"][~wanted]), root)
    pictures, sides = _find(occluders, table, root), ANY_SIDE if side == "any" else (side,)
    refuse_what_cannot_be_copied(root)
    known, rows = _known_occluders(root / "occluders.csv"), []
    with fresh(target) as draft:
        shutil.copytree(root, draft, copy_function=shutil.copyfile, ignore_dangling_symlinks=True)
        for path, place in track(sorted(places.items()), "occluding", len(places), "image"):
            rng = np.random.default_rng((seed, zlib.crc32(path.encode())))
            if rng.random() < share:
                shutil.copyfile(root / path, draft / place)
                kind, hidden = _occlude_file(draft / place, pictures, rng, cover, sides)
                rows.append((place, kind, *_box(hidden), round(float(hidden.mean()), 3)))
                for folder in visible(root):
                    _correct_truth(truth_file(root, folder.name, path), truth_file(draft, folder.name, place), hidden)
        listed = pd.DataFrame(rows, columns=list(COLUMNS))
        pd.concat([*known, listed]).to_csv(draft / "occluders.csv", index=False, lineterminator="\n")
    return listed


def _places(layout: str, chosen: pd.DataFrame, others: set[str], root: Path) -> dict[str, str]:
    """Where the occluded copy of each image goes: to its own place, unless a split that is to stay has it too.

    The name lists of Occluded-DukeMTMC take a query from the gallery only if it is not among the queries.
    """
    places = {}
    for path, split in zip(chosen["path"], chosen["split"], strict=True):
        own = f"{FOLDERS[split]}/{Path(path).name}" if layout == "occluded_dukemtmc" else path
        if path in others and own in others:
            raise InputError(f"{root / path}: is of several splits, not all of which are to be occluded; name all")
        places[path] = own if path in others else path
    return places


def _find(occluders: Path | str, table: pd.DataFrame, root: Path) -> list[Path]:
    """Images to paste; none for drawn things."""
    if occluders == "drawn":
        return []
    if occluders == "distractors":
        found = [root / path for path in sorted(table["path"][table["pid"] == DISTRACTOR])]
        if not found:
            raise InputError(f"{root}: has no distractors (identity 0); take other occluders")
        return found
    folder = Path(occluders)
    found = sorted(path for path in folder.rglob("*") if is_image(path))
    if not found:
        raise InputError(f"{folder}: holds no image to take occluders from")
    return found


def _occlude_file(
    file: Path, pictures: list[Path], rng: np.random.Generator, cover: tuple[float, float], sides: tuple[str, ...]
) -> tuple[str, np.ndarray]:
    """Put one occluder into one file; return its kind, and where it is, (H, W) bool."""
    pixels = np.asarray(load_picture(file))
    side = sides[int(rng.integers(len(sides)))]
    if pictures:
        kind, alpha, colours = _paste(pictures[int(rng.integers(len(pictures)))], rng, pixels.shape[:2], cover, side)
    else:
        kind, alpha, colours = _draw(rng, pixels.shape[:2], cover, side)
    mixed = pixels * (1 - alpha[..., None]) + colours
    Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8)).save(file, quality=JPEG_QUALITY)  # ignored by PNG
    return kind, alpha > SOLID


def _draw(
    rng: np.random.Generator, size: tuple[int, int], cover: tuple[float, float], side: str
) -> tuple[str, np.ndarray, np.ndarray]:
    """A drawn thing that covers what it shall: its name, opacity (H, W), colours (H, W, 3); see `_paste`."""
    for _ in range(ATTEMPTS):
        drawn = occlude(rng, np.ones(size, bool), *cover, side)
        if cover[0] - TOLERANCE <= drawn.covered <= cover[1] + TOLERANCE:
            return drawn.kind, drawn.alpha, 255 * drawn.rgb
    raise InputError(
        f"--cover {cover[0]} {cover[1]}: of {ATTEMPTS} drawn things none covers that much from {side}; take another "
        "range, or images as --occluders"
    )


def _box(hidden: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is hidden; right and bottom exclusive."""
    down, across = np.flatnonzero(hidden.any(1)), np.flatnonzero(hidden.any(0))
    return (int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1) if len(down) else (0, 0, 0, 0)


def _correct_truth(source: Path, target: Path, hidden: np.ndarray) -> None:
    """Copy the label image of an image, if it has one, and make background of what is hidden."""
    if not source.is_file():
        return
    with opened(source) as image:
        if image.mode not in ("L", "P"):  # a picture that has the place of a label image
            return
        labels, palette = np.array(image), image.getpalette()
    if labels.shape != hidden.shape:
        raise InputError(f"{source}: {labels.shape}, but its image is {hidden.shape} (height, width); correct it")
    labels[hidden] = 0
    corrected = Image.fromarray(labels)
    if palette:
        corrected.putpalette(palette)
    corrected.save(target)


def _known_occluders(file: Path) -> list[pd.DataFrame]:
    """What the source knows of its own occluders, if anything."""
    if not file.is_file():
        return []
    try:
        return [pd.read_csv(file, dtype=str)]
    except ValueError as error:
        raise InputError(f"{file}: no table ({error}); move or remove it") from None


def _paste(
    picture: Path, rng: np.random.Generator, size: tuple[int, int], cover: tuple[float, float], side: str
) -> tuple[str, np.ndarray, np.ndarray]:
    """A part of a picture, of the shape of a strip along one side: its name, opacity (H, W), colours (H, W, 3)."""
    height, width = size
    share = float(rng.uniform(*cover))
    rows = round(share * height) if side == "below" else height
    columns = width if side == "below" else round(share * width)
    rows, columns = max(rows, 1), max(columns, 1)
    image = load_picture(picture)
    scale = max(rows / image.height, columns / image.width) * float(rng.uniform(1, 1.5))
    size = (max(columns, round(image.width * scale)), max(rows, round(image.height * scale)))
    if size[0] * size[1] > LARGEST:
        raise InputError(f"{picture}: too long or too large to be put before an image of {height} x {width}; remove it")
    grown = image.resize(size)
    top, left = (int(rng.integers(most + 1)) for most in (grown.height - rows, grown.width - columns))
    part = np.asarray(grown)[top : top + rows, left : left + columns]
    alpha, colours = np.zeros((height, width)), np.zeros((height, width, 3))
    down = slice(height - rows, height)
    across = slice(width - columns, width) if side == "right" else slice(0, columns)
    alpha[down, across], colours[down, across] = 1, part
    return picture.stem, alpha, colours
