"""Make the index of a gallery, and measure what it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hcga.errors import InputError
from hcga.stores import open_store
from hcga.using.index import RECALL, Index, learn_index, save_index
from hcga.using.model import Model
from hcga.using.search import rank_gallery
from hcga.using.store import Gallery, open_gallery, read_embedded

ASKED, FIRST = 100, 10  # queries that measure the recall, and how many images of their exact lists count
CANDIDATES = (30, 100, 300, 1000, 3000)  # with which it is measured


def index_gallery(path: Path, model: Model, target: Path) -> Index:
    """Write the index of a store of embeddings, with its recall.

    Parameters
    ----------
    path : Path
        Store that `hcga embed` has written with this model, .zarr.
    model : Model
    target : Path
        Ends in .zarr. An index that stands there is replaced, anything else is not.

    Raises
    ------
    InputError
        faiss is not there, the target cannot be written, or the store is none, is damaged or of another model.
    """
    if target.suffix != ".zarr" or not target.parent.is_dir():
        raise InputError(f"--output {target}: give a name that ends in .zarr in a folder that exists")
    if target.exists() and not _is_index(target):
        raise InputError(f"--output {target}: is there and is no index; remove it or give another name")
    gallery = open_gallery(path, model)
    index = learn_index(gallery, model)
    index = index._replace(recall=measure_recall(index, gallery, model))
    save_index(index, gallery, model, target)
    return index


def measure_recall(index: Index, gallery: Gallery, model: Model) -> dict[int, float]:
    """Say how much of what an exact search finds is among candidates, which are then compared exactly.

    Some gallery images are the queries; each is left out of its own list.

    Returns
    -------
    dict
        Number of candidates to the share of the first `FIRST` images of the exact lists that are among them.
    """
    images = len(gallery.names)
    asked = np.sort(np.random.default_rng(1).choice(images, min(images, ASKED), replace=False))
    queries = read_embedded(gallery.store, asked)
    exact = rank_gallery(queries, asked[:, None].tolist(), gallery, model.card.use.matching, FIRST).rows
    counts = [count for count in CANDIDATES if count < images] or [images]
    found = index.candidates(queries, counts[-1])
    pairs = [(rows[rows >= 0], of_query) for rows, of_query in zip(exact, found, strict=True)]
    wanted = max(1, sum(len(rows) for rows, _ in pairs))
    hits = {count: sum(np.isin(rows, of_query[:count]).sum() for rows, of_query in pairs) for count in counts}
    return {count: float(hits[count] / wanted) for count in counts}


def _is_index(target: Path) -> bool:
    try:
        return isinstance(open_store(target).attrs.get(RECALL), dict)
    except InputError:
        return False
