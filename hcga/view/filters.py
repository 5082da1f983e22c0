"""Which images of an address: those of a camera, those with or without an occluder, or some by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hcga.errors import InputError
from hcga.samples import identities, rows_of_identity
from hcga.view.places import Archive

FILTERS = ("camera", "occluded")


def images_left(archive: Archive, rev: str, asked: Mapping[str, str]) -> np.ndarray:
    """Tell for each image of a revision whether it is a training image that the filters leave.

    Parameters
    ----------
    archive : Archive
    rev : str
    asked : mapping of str to str
        Of the address: `camera`, a number; `occluded`, yes or no. Either may be missing or empty.

    Returns
    -------
    (N,) bool

    Raises
    ------
    InputError
        No training image is from that camera, `occluded` is neither yes nor no, or the data set knows of no occlusion.
    """
    samples = archive.samples(rev)
    left = (samples["split"] == "train").to_numpy()
    camera, occluded = asked.get("camera"), asked.get("occluded")
    if camera:
        left = left & (samples["camid"].astype(str).to_numpy() == camera)
        if not left.any():
            known = ", ".join(map(str, cameras(archive, rev)))
            raise InputError(f"camera is {camera!r}; the training images are from {known}")
    if occluded:
        if occluded not in ("yes", "no"):
            raise InputError(f"occluded is {occluded!r}; it can be yes or no")
        occlusion = archive.occlusion(rev)
        if not occlusion.known.any():
            raise InputError("occlusion is not known: no data set of this run has an occluders.csv")
        left = left & occlusion.known & (occlusion.occluded == (occluded == "yes"))
    return left


def cameras(archive: Archive, rev: str) -> list[int]:
    """Cameras of a revision's training images, ascending."""
    samples = archive.samples(rev)
    return sorted(samples["camid"][samples["split"] == "train"].unique().tolist())


def rows_left(archive: Archive, rev: str, pid: int, asked: Mapping[str, str]) -> np.ndarray:
    """Rows of an identity that the filters leave, (n,) int64; there may be none."""
    rows = rows_of_identity(identities(archive.samples(rev)), pid)
    return rows[images_left(archive, rev, asked)[rows]]


def chosen_rows(rows: np.ndarray, pid: int, chosen: Sequence[str]) -> np.ndarray:
    """Choose some of an identity's rows (n,) int64 by their numbers, in the order of these.

    Raises
    ------
    InputError
        One of them is not among the rows.
    """
    row_of = {str(row): row for row in rows}
    for number in chosen:
        if number not in row_of:
            raise InputError(f"image {number} is none of identity {pid}; its images: {', '.join(row_of)}")
    return np.array([row_of[number] for number in chosen], dtype=np.int64)


def filters_in_words(asked: Mapping[str, str]) -> str:
    """Say what the filters ask for, such as `from camera 3 with an occluder`; empty without any."""
    words = []
    if asked.get("camera"):
        words.append(f"from camera {asked['camera']}")
    if asked.get("occluded"):
        words.append("with an occluder" if asked["occluded"] == "yes" else "without an occluder")
    return " ".join(words)
