"""What a page says of masks and figures that are of an earlier run, with other params or inputs."""

from __future__ import annotations

from collections.abc import Sequence

from hcga.runs.revisions import Place
from hcga.runs.staleness import is_stale
from hcga.view.places import Archive


def stale_notes(archive: Archive, masks_of: Sequence[Place], figures_of: Sequence[Place]) -> list[str]:
    """Say which places' masks, or only their figures and matching, are not what `dvc repro` there would make.

    Parameters
    ----------
    archive : Archive
    masks_of, figures_of : sequence of Place
        Whose masks, and whose figures or matching, a page shows.
    """
    masks = _stale(archive, "coparse", masks_of)
    figures = [place for place in _stale(archive, "evaluate", figures_of) if place not in masks]
    found = {"the masks, and what is made with them, are": masks, "figures and matching are": figures}
    return [
        f"{', '.join(map(str, places))}: {what} of an earlier run, with other params or inputs; `dvc repro` there "
        "makes them anew"
        for what, places in found.items()
        if places
    ]


def _stale(archive: Archive, stage: str, places: Sequence[Place]) -> list[Place]:
    return [place for place in places if is_stale(archive.revision(place.rev), stage, place.round)]
