"""The list of identities: sorted and filtered as its address says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hcga.errors import InputError
from hcga.runs.revisions import Place
from hcga.view.filters import images_left
from hcga.view.places import Archive

SORTING = ("sort", "order")


def list_identities(archive: Archive, place: Place, asked: Mapping[str, str]) -> pd.DataFrame:
    """What is known of the identities with images that the filters leave.

    Parameters
    ----------
    archive : Archive
    place : Place
    asked : mapping of str to str
        Of the address: filters, see `images_left`; `sort`, a column; `order`, up or down.

    Raises
    ------
    InputError
        No such column or order.
    """
    table = _sort(archive.table(place), asked)
    return table[table["pid"].isin(_pids_left(archive, place.rev, asked))]


def neighbours(archive: Archive, place: Place, asked: Mapping[str, str], pid: int) -> tuple[int | None, int | None]:
    """The identities before and after one in the list of a place, though the filters may not leave the one itself."""
    listed = _sort(archive.table(place), asked)["pid"].to_numpy()
    left = np.isin(listed, _pids_left(archive, place.rev, asked))
    here = next(iter(np.flatnonzero(listed == pid)), -1)
    before, after = listed[: max(here, 0)][left[: max(here, 0)]], listed[here + 1 :][left[here + 1 :]]
    return (int(before[-1]) if len(before) else None), (int(after[0]) if len(after) else None)


def _sort(table: pd.DataFrame, asked: Mapping[str, str]) -> pd.DataFrame:
    column, order = asked.get("sort"), asked.get("order") or "up"
    if order not in ("up", "down"):
        raise InputError(f"order is {order!r}; it can be up or down")
    if not column:
        return table
    if column not in table:
        raise InputError(f"no column {column!r}; known: {', '.join(map(str, table))}")
    return table.sort_values(column, ascending=order == "up", kind="stable", na_position="last")


def _pids_left(archive: Archive, rev: str, asked: Mapping[str, str]) -> np.ndarray:
    return archive.samples(rev)["pid"].to_numpy()[images_left(archive, rev, asked)]
