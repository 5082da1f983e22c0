"""Search: for each query the images of a gallery that are most alike, exactly, however large the gallery is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hcga.errors import InputError
from hcga.retrieval.ranking import top
from hcga.retrieval.similarity import Similarities
from hcga.retrieval.stored import StoredEmbeddings
from hcga.stores import array, read_rows
from hcga.terms import Seen, Term, features_compared
from hcga.using.crops import find_crops, locate
from hcga.using.embedded import NAMES, Embedded
from hcga.using.model import Model, OnBadImage
from hcga.using.parquet import folder_told, unpack_parquet
from hcga.using.store import ANEW, Gallery, folder_beside, open_gallery, write_store_of

SEEN = 0.5  # from here on a part is called visible, where that is a number


class Entry(NamedTuple):
    """A gallery image in a ranked list."""

    rank: int  # from 1
    name: str
    file: Path | None  # where its picture is, if that is known
    similarity: float
    seen: list[Seen]
    terms: list[Term]


class Ranked(NamedTuple):
    """A query and what is most like it."""

    file: Path
    seen: list[Seen]
    entries: list[Entry]
    left_out: int  # gallery images that are the query's own file


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
    if pictures and not pictures.is_dir():
        raise InputError(f"--pictures {pictures}: no such folder; name the one that was embedded")
    if path.suffix == ".zarr":
        gallery = open_gallery(path, model)
        yield gallery._replace(folder=pictures or gallery.folder)
        return
    with tempfile.TemporaryDirectory(prefix="hcga-") as scratch:
        store = Path(scratch) / "gallery.zarr"
        if path.is_dir():
            crops = find_crops([path])
            problems = write_store_of(model, crops, store, on_bad_image).problems
            yield open_gallery(store, model)._replace(folder=crops.root, problems=problems)
        else:
            unpack_parquet(path, model, store)
            yield open_gallery(store, model)._replace(folder=pictures or folder_beside(path, folder_told(path)))


def search(model: Model, files: Sequence[Path], queries: Embedded, gallery: Gallery, count: int) -> list[Ranked]:
    """Rank a gallery for queries; memory does not grow with its size but for names.

    Parameters
    ----------
    model : Model
    files : sequence of Path
        Of the Q queries; what in the gallery is the same file is left out of a query's list.
    queries : Embedded
        Of Q images.
    gallery : Gallery
    count : int
        Images to list for each query.

    Returns
    -------
    list of Ranked
        One a query.

    Raises
    ------
    InputError
        The store is damaged.
    """
    matching, images = model.card.use.matching, len(gallery.names)
    stored = StoredEmbeddings(gallery.store, np.arange(images), matching)
    own = [_own_row(file, gallery) for file in files]
    owners = np.zeros(images, np.int64)  # as identities at one camera, for the protocol of `hcga.retrieval.ranking`
    for query, row in enumerate(own, 1):
        if row is not None:
            owners[row] = query
    asked = np.arange(1, len(files) + 1)
    try:
        similarities = Similarities(queries.compared_by(matching), stored, matching.features, matching.similarity)
        found = top(similarities, asked, owners, np.zeros_like(asked), np.zeros_like(owners), count)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the gallery cannot be ranked: {error}; {ANEW}") from None
    return [
        _describe(model, file, queries.take(slice(query, query + 1)), gallery, rows[rows >= 0], values, own[query])
        for query, (file, rows, values) in enumerate(zip(files, found.rows, found.similarity, strict=True))
    ]


def tabulate(model: Model, ranked: Ranked) -> pd.DataFrame:
    """One row an entry: rank, similarity, cosine of each feature (nan where not both show it), what it shows, path."""
    names = features_compared(model.card.use.matching.features, model.card.part_classes - 1)
    rows = [
        {
            "rank": entry.rank,
            "similarity": entry.similarity,
            **{term.feature: term.cosine if term.weight else float("nan") for term in entry.terms},
            "shows": ", ".join(shown(entry.seen)),
            "image": entry.name,
        }
        for entry in ranked.entries
    ]
    return pd.DataFrame(rows, columns=["rank", "similarity", *names, "shows", "image"])


def shown(seen: Sequence[Seen]) -> list[str]:
    """Names of the parts that count as visible; those to which GAM leaves no cell are called empty."""
    return [f"{one.part} (empty)" if one.empty else one.part for one in seen if one.far >= SEEN]


def _describe(
    model: Model,
    file: Path,
    query: Embedded,
    gallery: Gallery,
    rows: np.ndarray,
    values: np.ndarray,
    own: int | None,
) -> Ranked:
    chosen = Embedded(*(read_rows(array(gallery.store, name), rows) for name in NAMES))
    matched = model.match(query, chosen)
    names = [gallery.names[row] for row in rows]
    files = locate(gallery.folder, names) if gallery.folder else [None] * len(names)
    listed = zip(names, files, values.tolist(), matched.seen[1:], matched.gallery, strict=False)
    entries = [Entry(rank, *entry) for rank, entry in enumerate(listed, 1)]
    return Ranked(file, matched.seen[0], entries, int(own is not None))


def _own_row(file: Path, gallery: Gallery) -> int | None:
    """Row of the gallery that is a file itself."""
    if gallery.folder is None or not file.resolve().is_relative_to(gallery.folder.resolve()):
        return None
    name = file.resolve().relative_to(gallery.folder.resolve()).as_posix()
    return gallery.names.index(name) if name in gallery.names else None
