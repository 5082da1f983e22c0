"""Writes a synthetic set in the layout of Market-1501, with true parts and a list of occluders."""

import csv
from pathlib import Path

from PIL import Image

from hcga.datasets.synthetic.plan import GALLERY, QUERY, TRAIN, Shot, plan_set
from hcga.datasets.synthetic.studio import Picture, Studio

MIN_HEIGHT, MIN_WIDTH = 32, 16
MAX_IDENTITIES, MAX_CAMERAS, MAX_DISTRACTORS = 4999, 99, 9999
COLUMNS = ("image", "kind", "left", "top", "right", "bottom", "covered")
JPEG_QUALITY = 95


def synthesise(
    root: Path,
    *,
    seed: int,
    train_identities: int,
    test_identities: int,
    images_per_identity: int,
    cameras: int,
    height: int,
    width: int,
    distractors: int,
    query_occlusion: float,
    other_occlusion: float,
) -> None:
    """Draw a set of pedestrians and write it below `root`.

    The images are in `bounding_box_train`, `query` and `bounding_box_test`, named as Market-1501 names them.
    `truth/<folder>/<stem>.png` is the label image of each: 0 background, occluders and other people; 1 head
    with hair, hat and neck; 2 upper body with arms, hands and bags; 3 lower body with shoes. What hangs below
    the hips, such as the skirt of a coat or dress, is lower body.

    `occluders.csv` has one row for each occluded image: its path below `root`, the kind of thing, its box in
    image pixels (right and bottom exclusive) and the share of the person's pixels in the frame that it hides.
    The same arguments give the same files, byte for byte.

    Parameters
    ----------
    root : Path
        Folder to fill; must be missing or empty.
    seed : int
        Everything that is drawn follows from it.
    train_identities, test_identities : int
        Numbers of identities; their pids are even and odd.
    images_per_identity : int
        At least 4, so that two cameras see each person at least twice.
    cameras : int
        At least 2; each identity is seen by two to four of them.
    height, width : int
        Image size in pixels.
    distractors : int
        Gallery images with pid 0, each of somebody else who is no identity of the set.
    query_occlusion, other_occlusion : float
        Chance that something stands in front of the person, in query images and in all others.

    Raises
    ------
    FileExistsError
        If `root` is a file or not empty.
    ValueError
        If an argument is out of range.
    """
    for name, value, low, high in (
        ("seed", seed, 0, None),
        ("train_identities", train_identities, 0, MAX_IDENTITIES),
        ("test_identities", test_identities, 0, MAX_IDENTITIES),
        ("images_per_identity", images_per_identity, 4, None),
        ("cameras", cameras, 2, MAX_CAMERAS),
        ("height", height, MIN_HEIGHT, None),
        ("width", width, MIN_WIDTH, 2 * height),
        ("distractors", distractors, 0, MAX_DISTRACTORS),
        ("query_occlusion", query_occlusion, 0, 1),
        ("other_occlusion", other_occlusion, 0, 1),
    ):
        _check(name, value, low, high)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} exists and is not an empty folder")
    shots = plan_set(
        seed=seed,
        train_identities=train_identities,
        test_identities=test_identities,
        images_per_identity=images_per_identity,
        cameras=cameras,
        distractors=distractors,
    )
    _write_all(root, shots, Studio(seed, height, width), query_occlusion, other_occlusion)


def _check(name: str, value: float, low: float, high: float | None) -> None:
    """Refuse a value outside of [low, high]."""
    if not (value >= low and (high is None or value <= high)):
        limit = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {limit}, got {value}")


def _write_all(root: Path, shots: list[Shot], studio: Studio, query: float, other: float) -> None:
    """Write all images and the list of occluders; `query` and `other` are the chances of an occluder."""
    for folder in (TRAIN, QUERY, GALLERY):
        (root / folder).mkdir(parents=True)
        (root / "truth" / folder).mkdir(parents=True)
    rows: list[tuple[str | int, ...]] = []
    for shot in shots:
        rows += _write(root, shot, studio.take(shot, query if shot.folder == QUERY else other))
    with (root / "occluders.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def _write(root: Path, shot: Shot, picture: Picture) -> list[tuple[str | int, ...]]:
    """Write one image with its labels; return its row of the list of occluders, if it has one."""
    name = f"{shot.folder}/{shot.stem}.jpg"
    Image.fromarray(picture.image).save(root / name, quality=JPEG_QUALITY)
    Image.fromarray(picture.truth).save(root / "truth" / shot.folder / f"{shot.stem}.png")
    if picture.occlusion is None:
        return []
    kind, box, covered = picture.occlusion
    return [(name, kind, *box, f"{covered:.3f}")]
