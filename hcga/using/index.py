"""A first stage of search in large galleries: which images are worth an exact look, by one vector of each.

A query is compared with one vector of every image, that of the person or of the whole image, at 8 bits a number; faiss
computes. What it has learnt is kept as plain arrays of a zarr store: it unpacks no file that somebody else has made.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import zarr
from pydantic import Field, TypeAdapter, ValidationError

from hcga.errors import InputError, brief
from hcga.progress import track
from hcga.retrieval.similarity import scale_to_unit
from hcga.store_writing import write_store
from hcga.stores import array, attribute, folder_of, open_store, read_all, read_rows
from hcga.using.embedded import Embedded
from hcga.using.model import Model
from hcga.using.store import MODEL, Gallery, require_model

GALLERY, VECTOR, RECALL = "gallery", "vector", "recall"  # attributes
NAMED = ("image", "foreground")  # vectors of which one is compared
AGAIN = "make it anew with `hcga index`"
LEARNT_FROM = 2**16  # vectors, from which the range of each number is learnt
BLOCK = 2**14  # vectors at a time
SHARES = TypeAdapter(dict[int, Annotated[float, Field(ge=0, le=1)]])
TAIL = 2**16  # bytes at the end of a shard: where zarr notes the lengths of all that is packed in it


class Index(NamedTuple):
    """What finds candidates in a gallery of G images; q channels."""

    vectors: Any  # faiss.IndexScalarQuantizer
    name: str  # of the vector: image or foreground
    recall: dict[int, float]  # by number of candidates, see `hcga.using.indexing.measure_recall`

    def candidates(self, queries: Embedded, count: int) -> np.ndarray:
        """Find the gallery images whose vectors are most like each query's, as far as 8 bits tell them apart.

        Parameters
        ----------
        queries : Embedded
            Of Q images.
        count : int

        Returns
        -------
        (Q, count) int64
            Rows of the gallery, the most alike first; -1 where it has no more.
        """
        rows: np.ndarray = self.vectors.search(scale_to_unit(getattr(queries, self.name)), count)[1]
        return rows


def learn_index(gallery: Gallery, model: Model) -> Index:
    """Make the index of a gallery; it takes q bytes of memory an image.

    Raises
    ------
    InputError
        faiss is not there, or the store is damaged.
    """
    name = "image" if model.card.use.matching.features == "I" else "foreground"
    stored = array(gallery.store, name)
    images, channels = stored.shape
    vectors = _empty(channels)
    drawn = np.random.default_rng(0).choice(images, min(images, LEARNT_FROM), replace=False)
    vectors.train(_units(stored, np.sort(drawn)))
    for start in track(range(0, images, BLOCK), "indexing", math.ceil(images / BLOCK), "block"):
        vectors.add(_units(stored, np.arange(start, min(start + BLOCK, images))))
    return Index(vectors, name, {})


def save_index(index: Index, gallery: Gallery, model: Model, path: Path) -> None:
    """Write an index as a store; what is at the path is replaced."""
    faiss = _faiss()
    kept = {"ranges": index.vectors.sq.trained, "codes": index.vectors.codes}
    arrays = {name: faiss.vector_to_array(values).reshape(-1, index.vectors.d) for name, values in kept.items()}
    recall = {str(count): share for count, share in index.recall.items()}
    about = {MODEL: model.digest, GALLERY: content_of(gallery.store), VECTOR: index.name, RECALL: recall}
    write_store(path, arrays, **about)


def open_index(path: Path, gallery: Gallery, model: Model) -> Index:
    """Read an index that `save_index` has written.

    Raises
    ------
    InputError
        faiss is not there; the store is none, is damaged, or is of another gallery or model.
    """
    faiss = _faiss()
    store = open_store(path)
    require_model(path, attribute(store, MODEL, str), model)
    if attribute(store, GALLERY, str) != content_of(gallery.store):
        raise InputError(f"{path}: of another gallery than {folder_of(gallery.store)}, or of an earlier one; {AGAIN}")
    name, ranges, codes = attribute(store, VECTOR, str), array(store, "ranges"), array(store, "codes")
    try:
        recall = SHARES.validate_python(attribute(store, RECALL, dict))
    except ValidationError as error:
        raise InputError(f"{path}: {RECALL}: {brief(error.errors()[0]['msg'])}; {AGAIN}") from None
    shape = array(gallery.store, name).shape if name in NAMED else ()
    if (codes.shape, str(codes.dtype), ranges.shape, str(ranges.dtype)) != (shape, "uint8", (2, *shape[1:]), "float32"):
        raise InputError(f"{path}: its arrays do not belong together; {AGAIN}")
    vectors = _empty(shape[1])
    faiss.copy_array_to_vector(read_all(ranges).ravel(), vectors.sq.trained)
    vectors.is_trained = True
    for start in range(0, shape[0], BLOCK):
        vectors.add_sa_codes(read_rows(codes, np.arange(start, min(start + BLOCK, shape[0]))))
    return Index(vectors, name, recall)


def content_of(store: zarr.Group) -> str:
    """Digest of what tells a store from others: the names, sizes and ends of its files.

    The end of a shard has the lengths of all its packed chunks, so that another store of the same size differs.
    """
    digest = hashlib.sha256()
    root = folder_of(store)
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(root).as_posix()} {size}\n".encode())
        with file.open("rb") as opened:
            opened.seek(max(0, size - TAIL))
            digest.update(opened.read())
    return digest.hexdigest()


def _empty(channels: int) -> Any:
    faiss = _faiss()
    return faiss.IndexScalarQuantizer(channels, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)


def _units(vectors: zarr.Array[Any], rows: np.ndarray) -> np.ndarray:
    return scale_to_unit(read_rows(vectors, rows).astype(np.float32, copy=False))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InputError(f"{error}: an index needs faiss; pip install -e '.[faiss]', or search without") from None
    return faiss
