"""An occluded variant of any data set: things are put in front of the people of some of its images."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from hcga.datasets.layouts.listing import ENDINGS
from hcga.datasets.readers import read_data_set
from hcga.datasets.synthetic.occluder import occlude
from hcga.errors import InputError
from hcga.files import fresh
from hcga.images import load_picture
from hcga.samples import DISTRACTOR

ANY_SIDE = ("below", "left", "right")
COLUMNS = ("image", "kind", "left", "top", "right", "bottom", "covered")
JPEG_QUALITY = 95


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
        What `occluders.csv` holds, one row an occluded image: image (path), kind, left, top, right, bottom (pixels of
        the file; right and bottom exclusive), covered (share of the picture).

    Raises
    ------
    InputError
        The target exists or lies in the root, there are no occluders, an image is of a split that is to stay as it is
        too or cannot be decoded, or see `read_data_set`. Nothing is left at the target.
    """
    if target.exists():
        raise InputError(f"{target}: is there already; name a folder to make")
    if root.resolve() in target.resolve().parents:
        raise InputError(f"{target}: lies in the data set {root}, which is not to be changed")
    table = read_data_set(layout, root)
    chosen = table[table["split"].isin(list(splits))]
    shared = sorted(set(chosen["path"]) & set(table["path"][~table["split"].isin(list(splits))]))
    if shared:
        raise InputError(f"{root / shared[0]}: is of several splits, not all of which are to be occluded; name all")
    pictures, sides = _find(occluders, table, root), ANY_SIDE if side == "any" else (side,)
    rows = []
    with fresh(target) as draft:
        shutil.copytree(root, draft, copy_function=shutil.copyfile)
        for path in tqdm(sorted(chosen["path"]), "occluding", unit="image", disable=None):
            rng = np.random.default_rng((seed, zlib.crc32(path.encode())))
            if rng.random() < share:
                rows.append((path, *_occlude_file(draft / path, pictures, rng, cover, sides)))
        listed = pd.DataFrame(rows, columns=list(COLUMNS))
        listed.to_csv(draft / "occluders.csv", index=False, lineterminator="\n")
    return listed


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
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not found:
        raise InputError(f"{folder}: holds no image to take occluders from")
    return found


def _occlude_file(
    file: Path, pictures: list[Path], rng: np.random.Generator, cover: tuple[float, float], sides: tuple[str, ...]
) -> tuple[str, int, int, int, int, float]:
    """Put one occluder into one file; return its kind, box and share."""
    pixels = np.asarray(load_picture(file))
    side = sides[int(rng.integers(len(sides)))]
    if pictures:
        kind, alpha, colours = _paste(pictures[int(rng.integers(len(pictures)))], rng, pixels.shape[:2], cover, side)
    else:
        drawn = occlude(rng, np.ones(pixels.shape[:2], bool), *cover, side)
        kind, alpha, colours = drawn.kind, drawn.alpha, 255 * drawn.rgb
    mixed = pixels * (1 - alpha[..., None]) + colours
    Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8)).save(file, quality=JPEG_QUALITY)  # ignored by PNG
    solid = alpha > 0.5
    down, across = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    box = (int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1) if len(down) else (0, 0, 0, 0)
    return kind, *box, round(float(solid.mean()), 3)


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
    grown = image.resize((max(columns, round(image.width * scale)), max(rows, round(image.height * scale))))
    top, left = (int(rng.integers(most + 1)) for most in (grown.height - rows, grown.width - columns))
    part = np.asarray(grown)[top : top + rows, left : left + columns]
    alpha, colours = np.zeros((height, width)), np.zeros((height, width, 3))
    down = slice(height - rows, height)
    across = slice(width - columns, width) if side == "right" else slice(0, columns)
    alpha[down, across], colours[down, across] = 1, part
    return picture.stem, alpha, colours
