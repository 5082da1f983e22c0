"""What the page of changes shows: identities that moved most."""

from __future__ import annotations

from typing import Any

from hcga.comparison import compare_masks
from hcga.view.places import Archive, Place


def describe_changes(archive: Archive, first: Place, second: Place) -> dict[str, Any]:
    """Collect what the page shows of the masks of two places.

    Parameters
    ----------
    archive : Archive
    first, second : Place

    Returns
    -------
    dict
        Values of changes.html.

    Raises
    ------
    InputError
        One of them has no masks, or their masks are not of the same size.
    """
    before, after = (archive.revision(place.rev) for place in (first, second))
    table = compare_masks(before, after, first.round, second.round)
    return {
        "first": first,
        "second": second,
        "table": table,
    }
