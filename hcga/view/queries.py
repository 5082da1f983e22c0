"""What the pages of retrieval say of queries: their list, and one with its ranked gallery."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hcga.errors import InputError
from hcga.revisions import Place
from hcga.view.places import Archive


def list_queries(archive: Archive, place: Place) -> list[dict[str, Any]]:
    """List all queries: those without a hit come first, the surest mistakes before others; then the latest hits.

    Returns
    -------
    list of dict
        row, pid, path, `first hit` (rank; nan if there is none), `similarity of the first`.
    """
    rankings, samples = archive.rankings(place), archive.samples(place.rev)
    hits = rankings[rankings["hit"]].groupby("query")["rank"].min()
    best = rankings.groupby("query", sort=False)["similarity"].first()
    table = pd.DataFrame({"first hit": hits.reindex(best.index), "similarity of the first": best})
    table = table.sort_values(["first hit", "similarity of the first"], ascending=False, na_position="first")
    listed = table.rename_axis("path").reset_index()
    rows = listed["path"].map(_row_of(samples))
    pids = samples["pid"].to_numpy()[rows]
    return [
        {str(key): of for key, of in entry.items()} for entry in listed.assign(row=rows, pid=pids).to_dict("records")
    ]


def describe_query(archive: Archive, place: Place, row: int) -> dict[str, Any]:
    """Collect what the page of a query shows.

    Parameters
    ----------
    archive : Archive
    place : Place
    row : int
        Of the query.

    Returns
    -------
    dict
        Values of query.html.

    Raises
    ------
    InputError
        The image is no query, or one without a match.
    """
    samples, rankings = archive.samples(place.rev), archive.rankings(place)
    listed, row_of = list(dict.fromkeys(rankings["query"])), _row_of(samples)
    if row >= len(samples) or samples["path"][row] not in set(listed):
        raise InputError(f"image {row} is no query with a match; look at the list of queries")
    path = samples["path"][row]
    here = listed.index(path)
    return {
        **_ranked(archive, place, row, rankings[rankings["query"] == path], row_of),
        "before": row_of[listed[here - 1]] if here else None,
        "after": row_of[listed[here + 1]] if here + 1 < len(listed) else None,
    }


def _ranked(archive: Archive, place: Place, row: int, ranked: pd.DataFrame, row_of: dict[str, int]) -> dict[str, Any]:
    """The query and its gallery images, with the similarity of each part."""
    from hcga.view.matching import match_parts

    rows = [row_of[name] for name in ranked["gallery"]]
    matching = archive.revision(place.rev).params.evaluate
    matched = match_parts(archive.store(place, "embed", "embeddings"), row, np.array(rows, dtype=np.int64), matching)
    found = ranked[["rank", "similarity", "hit"]].to_dict("records")
    entries = [
        {**archive.sample(place.rev, number), **entry, **of}
        for number, entry, of in zip(rows, matched.gallery, found, strict=True)
    ]
    query = {**archive.sample(place.rev, row), "seen": matched.seen}
    return {"query": query, "entries": entries, "parts": matched.parts}


def _row_of(samples: pd.DataFrame) -> dict[str, int]:
    return {path: row for row, path in enumerate(samples["path"])}
