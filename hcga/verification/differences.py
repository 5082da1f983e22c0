"""How two versions of what a stage writes differ: which array, column or figure, in how many values, by how much."""

from __future__ import annotations

import filecmp
import re
from pathlib import Path
from typing import NamedTuple

from hcga.errors import InputError
from hcga.verification.measures import MEASURES, NO_MEASURE, Measured, measure_bytes

# In figures and attributes of embeddings, and in the card of a model.
CIRCUMSTANCE = re.compile(r"(attribute )?run(\.(?!seed$)|$)|metadata hcga\.environment(\.|$)")


class Difference(NamedTuple):
    """Something that is other than it was recorded.

    What `extent` is depends on the values. Of floats it is the largest difference as a share of the largest absolute
    value recorded in the same array, column or figure. Of whole numbers, such as labels, masks and pixels, and
    of texts in a column it is the share of the values that differ. Where other bytes hold the same values it is 0, of
    all else, such as another shape or a missing file, infinite.
    """

    file: str
    part: str  # array, column or figure; empty for the file as a whole
    how: str  # in words
    extent: float

    @property
    def circumstance(self) -> bool:
        """Whether it is where something was computed or with which code, which is written down but decides nothing."""
        return bool(CIRCUMSTANCE.match(self.part))


def compare(before: Path, after: Path, name: str) -> list[Difference]:
    """Compare two files or folders.

    Parameters
    ----------
    before : Path
        As recorded.
    after : Path
        As written again.
    name : str
        How to call them.

    Returns
    -------
    list of Difference
        Those of the largest extent first; none if all bytes are equal.
    """
    if before.is_dir() and after.is_dir() and not (before / "zarr.json").is_file():
        names = sorted({path.relative_to(side).parts[0] for side in (before, after) for path in side.rglob("*")})
        found = [one for below in names for one in compare(before / below, after / below, f"{name}/{below}")]
    elif not (before.exists() and after.exists()):
        found = [Difference(name, "", "is new" if after.exists() else "is no longer written", NO_MEASURE)]
    else:
        found = [] if _same(before, after) else [Difference(name, *one) for one in _measure(before, after)]
    return sorted(found, key=lambda difference: -difference.extent)


def _same(before: Path, after: Path) -> bool:
    """Whether two files, or all files below two folders, have the same bytes."""
    sides = [sorted(path.relative_to(side) for path in side.rglob("*") if path.is_file()) for side in (before, after)]
    pairs = [(before / file, after / file) for file in sides[0]] if before.is_dir() else [(before, after)]
    return sides[0] == sides[1] and all(filecmp.cmp(first, second, shallow=False) for first, second in pairs)


def _measure(before: Path, after: Path) -> list[Measured]:
    """Find out what is behind other bytes."""
    kind = "store" if before.is_dir() and after.is_dir() else before.suffix
    try:
        found = list(MEASURES.get(kind, measure_bytes)(before, after))
    except (InputError, OSError, ValueError) as error:
        return [Measured("", f"cannot be compared: {error}", NO_MEASURE)]
    return found or [Measured("", "other bytes with the same values", 0.0)]
