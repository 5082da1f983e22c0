"""What the pages of retrieval say of queries: their list, and one with its ranked gallery."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hcga.errors import InputError
from hcga.runs.revisions import Place
from hcga.runs.staleness import changed_params
from hcga.samples import image_names
from hcga.view.legends import parts_of
from hcga.view.matching import match_features, rank_of_first_match
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
    listed = table.rename_axis("image").reset_index()
    rows = listed["image"].map(_row_of(samples))
    pids = samples["pid"].to_numpy()[rows]
    listed = listed.assign(row=rows, pid=pids, path=samples["path"].to_numpy()[rows])
    return [{str(key): of for key, of in entry.items()} for entry in listed.to_dict("records")]


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
    listed = [int(entry["row"]) for entry in list_queries(archive, place)]
    if row not in listed:
        raise InputError(f"image {row} is no query with a match; look at the list of queries")
    here = listed.index(row)
    return {
        **_ranked(archive, place, row),
        "before": listed[here - 1] if here else None,
        "after": listed[here + 1] if here + 1 < len(listed) else None,
    }


def row_of_image(archive: Archive, place: Place, name: str) -> int:
    """Row of an image in a place's revision, by its name; `InputError` if it is not there."""
    rows = _row_of(archive.samples(place.rev))
    if name not in rows:
        raise InputError(f"{name} is not among the images of {place.rev}; look at the list of its queries")
    return rows[name]


def _ranked(archive: Archive, place: Place, row: int) -> dict[str, Any]:
    """The query and its gallery images, with what each feature contributes."""
    revision, query = archive.revision(place.rev), archive.sample(place.rev, row)
    rankings, samples = archive.rankings(place), archive.samples(place.rev)
    row_of, name = _row_of(samples), image_names(samples).iloc[row]
    ranked = rankings[rankings["query"] == name]
    rows = [row_of[name] for name in ranked["gallery"]]
    params, embeddings = revision.params.evaluate, archive.store(place, "embed", "embeddings")
    matched = match_features(embeddings, row, np.array(rows, dtype=np.int64), params)
    found = ranked[["rank", "similarity", "hit"]].to_dict("records")
    late = None if ranked["hit"].any() else rank_of_first_match(embeddings, samples, row, params)
    parsing = bool(embeddings.attrs.get("parsing"))
    return {
        "query": {**query, "name": name, "seen": matched.seen[0]},
        "entries": [
            {**archive.sample(place.rev, number), **entry, "seen": seen, "terms": terms}
            for number, entry, seen, terms in zip(rows, found, matched.seen[1:], matched.gallery, strict=True)
        ],
        "late": late,
        "empty": any(one.empty for of in matched.seen for one in of),
        "parts": parts_of(archive, place, "head") if parsing else [],
        "matching": params,
        "changed": [name for name in changed_params(revision) if name.startswith("evaluate.")],
    }


def _row_of(samples: pd.DataFrame) -> dict[str, int]:
    return {path: row for row, path in enumerate(image_names(samples))}
