"""Make the index of a gallery, and measure its recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hcga.errors import InputError
from hcga.outputs import require_output
from hcga.stores import open_store
from hcga.using.embedded import Embedded
from hcga.using.index import MATCHING, Index, build_index
from hcga.using.model import Model
from hcga.using.search import own_rows, rank_gallery
from hcga.using.store import Gallery, read_embedded

FIRST = 10  # images of the exact lists that are to be among the candidates
DRAWN = 100  # gallery images that are the queries where nobody gives any
CANDIDATES = (30, 100, 300, 1000, 3000)  # with which it is measured


def require_index_file(path: Path, target: Path) -> None:
    """Refuse to index what is no .zarr store, and to write an index where something else is; `InputError`."""
    if path.suffix != ".zarr":
        raise InputError(f"{path}: an index is of a .zarr store; make one with `hcga embed`")
    require_output(target, ".zarr")
    if target.resolve().is_relative_to(path.resolve()):
        raise InputError(f"--output {target}: lies in the store that is to be indexed; give a name beside it")
    if target.exists() and not _is_index(target):
        raise InputError(f"--output {target}: is there and is no index; remove it or give another name")


def measured_index(gallery: Gallery, model: Model, files: Sequence[Path] = ()) -> Index:
    """Build the index of a gallery and measure its recall.

    Parameters
    ----------
    gallery : Gallery
    model : Model
        That has made it.
    files : sequence of Path, optional
        Images to measure the recall with; some of the gallery's if there are none.

    Raises
    ------
    InputError
        faiss is not there, the store is damaged, or an image cannot be decoded.
    """
    index = build_index(gallery, model.card.use.matching)
    if files:
        asked = model.embed_files(files)
        queries, own = asked.embedded, own_rows([[file] for file in asked.files], gallery)
    else:
        rows = drawn(len(gallery.names))
        queries, own = read_embedded(gallery.store, rows), rows[:, None].tolist()
    return index._replace(recall=measure_recall(index, gallery, queries, own), queries=len(queries) if files else 0)


def drawn(images: int) -> np.ndarray:
    """Rows of a gallery that are queries where nobody gives any."""
    return np.sort(np.random.default_rng(1).choice(images, min(images, DRAWN), replace=False))


def measure_recall(index: Index, gallery: Gallery, queries: Embedded, own: Sequence[Sequence[int]]) -> dict[int, float]:
    """Say how much of what an exact search finds is among candidates; these are then compared exactly.

    Parameters
    ----------
    index : Index
    gallery : Gallery
    queries : Embedded
        Of Q images.
    own : sequence of sequences of int
        Rows of the gallery that each query is itself, and which are left out of its list.

    Returns
    -------
    dict
        Number of candidates to recall@10: the share of the first `FIRST` images of the exact lists among them.
    """
    images = len(gallery.names)
    exact = rank_gallery(queries, own, gallery, index.matching, FIRST).rows
    counts = [count for count in CANDIDATES if count < images] or [images]
    found = index.candidates(queries, counts[-1])
    pairs = [(rows[rows >= 0], of_query) for rows, of_query in zip(exact, found, strict=True)]
    wanted = sum(len(rows) for rows, _ in pairs)
    hits = {count: sum(np.isin(rows, of_query[:count]).sum() for rows, of_query in pairs) for count in counts}
    return {count: float(hits[count] / wanted) if wanted else 1.0 for count in counts}


def _is_index(target: Path) -> bool:
    try:
        return isinstance(open_store(target).attrs.get(MATCHING), dict)
    except InputError:
        return False
