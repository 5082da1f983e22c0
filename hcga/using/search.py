"""Search: for each query the images of a gallery that are most alike, exactly, or among candidates of an index."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.errors import InputError, remedy
from hcga.params import Matching
from hcga.retrieval.ranking import top
from hcga.retrieval.similarity import Similarities
from hcga.retrieval.stored import StoredEmbeddings
from hcga.terms import Seen, Term, features_compared
from hcga.using.building import build_gallery
from hcga.using.calibration import EVEN, describe_prior
from hcga.using.crops import find_crops, locate
from hcga.using.embedded import Embedded
from hcga.using.index import Index
from hcga.using.model import Model, OnBadImage
from hcga.using.parquet import folder_told, unpack_parquet
from hcga.using.store import ANEW, Gallery, folder_beside, open_gallery, read_embedded, require_pictures_folder


class Entry(NamedTuple):
    """A gallery image in a ranked list."""

    rank: int  # from 1
    name: str
    file: Path | None  # where its picture is, if that is known
    similarity: float
    probability: float | None  # of the same person, where the model is calibrated and the query is one image
    seen: list[Seen]
    terms: list[Term]


class Listed(NamedTuple):
    """The first k gallery images of each of Q queries."""

    rows: np.ndarray  # (Q, k) int64; -1 where there are no more
    similarity: np.ndarray  # (Q, k) float64; nan there


class Ranked(NamedTuple):
    """A query and what is most like it."""

    files: list[Path]  # one, or several of one person
    seen: list[Seen]
    entries: list[Entry]
    left_out: int  # gallery images that are among them
    prior: float | None  # of the probabilities; None for even odds, as none was given


@contextmanager
def opened_gallery(path: Path, model: Model, pictures: Path | None, on_bad_image: OnBadImage) -> Iterator[Gallery]:
    """Open a store, or embed a folder into one that goes when the block ends.

    Parameters
    ----------
    path : Path
        A store that `hcga embed` has written, or a folder of images.
    model : Model
    pictures : Path or None
        Where the files are that a store names, if it does not say so itself.
    on_bad_image : {'error', 'skip'}

    Raises
    ------
    InputError
        See `open_gallery`, `unpack_parquet` and `find_crops`.
    """
    if not path.exists():
        raise InputError(
            f"--gallery {path}: no such file or folder; give a folder of images or a store of `hcga embed`"
        )
    require_pictures_folder(pictures)
    if path.suffix == ".zarr":
        yield open_gallery(path, model, pictures)
        return
    with tempfile.TemporaryDirectory(prefix="hcga-") as scratch:
        store = Path(scratch) / "gallery.zarr"
        if path.is_dir():
            crops = find_crops([path])
            problems = build_gallery(model, crops, store, on_bad_image).problems
            yield open_gallery(store, model, crops.root)._replace(problems=problems)
        else:
            unpack_parquet(path, model, store)
            yield open_gallery(store, model, pictures or folder_beside(path, folder_told(path)))


def search(
    model: Model,
    files: Sequence[Sequence[Path]],
    queries: Embedded,
    gallery: Gallery,
    count: int,
    prior: float | None = None,
    index: Index | None = None,
    candidates: int = 0,
) -> list[Ranked]:
    """Rank a gallery for queries; memory does not grow with its size but for names.

    Parameters
    ----------
    model : Model
    files : sequence of sequences of Path
        Of the Q queries, one each, or several of one person; what in the gallery is among them is left out of their
        list.
    queries : Embedded
        Of Q images or people.
    gallery : Gallery
    count : int
        Images to list for each query.
    prior : float, optional
        Of the probabilities, if the model has a calibration; even odds if not given. Queries of several images have no
        probability: a calibration is learnt on pairs of single images.
    index : Index, optional
        Chooses what is compared; all if not given.
    candidates : int
        How many it chooses for each query, besides what the query is itself; `count` if that is more.

    Returns
    -------
    list of Ranked
        One a query.

    Raises
    ------
    InputError
        The store is damaged, or the prior is not in (0, 1).
    """
    own, chosen = own_rows(files, gallery), None
    if index:
        chosen = index.candidates(queries, min(max(candidates, count) + max(map(len, own)), len(gallery.names)))
    found = rank_gallery(queries, own, gallery, model.card.use.matching, count, chosen)
    lists = []
    for query, (of_query, rows, values) in enumerate(zip(files, found.rows, found.similarity, strict=True)):
        one, there = queries.take(slice(query, query + 1)), rows >= 0
        likely = _probabilities(model, values[there], len(of_query), prior)
        seen, entries = _describe(model, one, gallery, rows[there], values[there], likely)
        lists.append(Ranked(list(of_query), seen, entries, len(own[query]), prior))
    return lists


def rank_gallery(
    queries: Embedded,
    own: Sequence[Sequence[int]],
    gallery: Gallery,
    matching: Matching,
    count: int,
    candidates: np.ndarray | None = None,
) -> Listed:
    """Find the first rows of a gallery for each query.

    Parameters
    ----------
    queries : Embedded
        Of Q images or people.
    own : sequence of sequences of int
        Rows of the gallery that each query is itself, and which it does not find.
    gallery : Gallery
    matching : Matching
    count : int
    candidates : (Q, n) int64 or None
        Rows that are compared with each query, see `Index.candidates`; all if None.

    Returns
    -------
    Listed

    Raises
    ------
    InputError
        The store is damaged.
    """
    if candidates is None:
        return _first(queries, own, gallery.store, np.arange(len(gallery.names)), matching, count)
    tops: list[Listed] = []
    for query, (of_query, found) in enumerate(zip(own, candidates, strict=True)):
        rows = np.unique(found[found >= 0])
        one, here = queries.take(slice(query, query + 1)), np.flatnonzero(np.isin(rows, of_query)).tolist()
        tops.append(_first(one, [here], gallery.store, rows, matching, count))
    return Listed(*(np.concatenate(each) for each in zip(*tops, strict=True)))


def _first(
    queries: Embedded,
    own: Sequence[Sequence[int]],
    store: zarr.Group,
    rows: np.ndarray,
    matching: Matching,
    count: int,
) -> Listed:
    """Rank some rows of a store; `own` counts among them."""
    most = max(map(len, own), default=0)
    asked, others = np.ones(len(own), np.int64), np.zeros(len(rows), np.int64)  # nobody of the gallery is known
    try:
        with remedy(ANEW):
            stored = StoredEmbeddings(store, rows, matching)
            similarities = Similarities(queries.compared_by(matching), stored, matching.features, matching.similarity)
            found = top(similarities, asked, others, asked, others, count + most)
    except ValueError as error:
        raise InputError(f"the gallery cannot be ranked: {error}; {ANEW}") from None
    itself = np.stack([np.isin(listed, of_query) for listed, of_query in zip(found.rows, own, strict=True)])
    kept = np.argsort(itself, axis=1, kind="stable")[:, :count]
    there, values = (np.take_along_axis(each, kept, 1) for each in (found.rows, found.similarity))
    there[np.take_along_axis(itself, kept, 1)] = -1
    return Listed(np.append(rows, -1)[there], np.where(there >= 0, values, np.nan))


def tabulate(model: Model, ranked: Ranked) -> pd.DataFrame:
    """One row an entry: rank, similarity, probability and prior if the query has them, cosines and so on.

    A cosine is nan where not both images show the part; what the image shows and its path end the row.
    """
    names = features_compared(model.card.use.matching.features, model.card.part_classes - 1)
    rows = [
        {
            "rank": entry.rank,
            "similarity": entry.similarity,
            "probability": entry.probability,
            "prior": ranked.prior or EVEN,
            **{term.feature: term.cosine if term.weight else float("nan") for term in entry.terms},
            "shows": ", ".join(shown(entry.seen)),
            "image": entry.name,
        }
        for entry in ranked.entries
    ]
    decided = ["probability", "prior"] if _decides(model, len(ranked.files)) else []
    return pd.DataFrame(rows, columns=["rank", "similarity", *decided, *names, "shows", "image"])


def odds(lists: Sequence[Ranked]) -> str:
    """Say what prior the probabilities of ranked lists have; nothing where there are none."""
    likely = any(entry.probability is not None for ranked in lists for entry in ranked.entries)
    return describe_prior(lists[0].prior) if likely else ""


def shown(seen: Sequence[Seen]) -> list[str]:
    """Names of the parts that count as visible; those to which GAM leaves no cell are called empty."""
    return [f"{one.part} (empty)" if one.empty else one.part for one in seen if one.shown]


def _decides(model: Model, images: int) -> bool:
    """Whether a query of so many images has probabilities."""
    return model.card.use.calibration is not None and images == 1


def _probabilities(model: Model, values: np.ndarray, images: int, prior: float | None) -> list[float | None]:
    if not _decides(model, images):
        return [None] * len(values)
    return model.calibration.probability(values, prior).tolist()


def _describe(
    model: Model,
    query: Embedded,
    gallery: Gallery,
    rows: np.ndarray,
    values: np.ndarray,
    likely: Sequence[float | None],
) -> tuple[list[Seen], list[Entry]]:
    """What a query shows, and the list of what was found."""
    matched = model.match(query, read_embedded(gallery.store, rows))
    names = [gallery.names[row] for row in rows]
    files = locate(gallery.folder, names) if gallery.folder else [None] * len(names)
    listed = zip(names, files, values.tolist(), likely, matched.seen[1:], matched.gallery, strict=True)
    return matched.seen[0], [Entry(rank, *entry) for rank, entry in enumerate(listed, 1)]


def own_rows(files: Sequence[Sequence[Path]], gallery: Gallery) -> list[list[int]]:
    """Rows of a gallery that queries are themselves, by the files of each; none where it is not known where it lies."""
    if gallery.folder is None:
        return [[] for _ in files]
    root = gallery.folder.resolve()
    queries: dict[str, list[int]] = {}
    for query, of_query in enumerate(files):
        for file in {path.resolve() for path in of_query}:
            if file.is_relative_to(root):
                queries.setdefault(file.relative_to(root).as_posix(), []).append(query)
    own: list[list[int]] = [[] for _ in files]
    for row, name in enumerate(gallery.names):
        for query in queries.get(name, ()):
            own[query].append(row)
    return own
