"""A first stage of search in large galleries: which images are worth an exact look, by one vector of each.

A query is compared with one vector of every image, that of the person or of the whole image, at 8 bits a number; faiss
computes. What it has learnt is kept as plain arrays of a zarr store: it unpacks no file that somebody else has made.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import zarr
from pydantic import Field, TypeAdapter, ValidationError

from hcga.errors import InputError, brief, remedy
from hcga.files import outline
from hcga.params import Matching
from hcga.retrieval.similarity import scale_to_unit
from hcga.runs.progress import track
from hcga.store_writing import write_store
from hcga.stores import array, attribute, folder_of, open_store, read_finite, read_rows
from hcga.using.embedded import Embedded
from hcga.using.model import Model
from hcga.using.store import ANEW, MODEL, Gallery, require_model

GALLERY, MATCHING, RECALL, QUERIES = "gallery", "matching", "recall", "queries"  # attributes
AGAIN = "make it anew with `hcga index`"
TRAINED_ON = 2**16  # vectors, from which the range of each number is learnt
BLOCK = 2**14  # vectors at a time
SHARES = TypeAdapter(dict[int, Annotated[float, Field(ge=0, le=1)]])


class Index(NamedTuple):
    """What finds candidates in a gallery of G images; q channels."""

    vectors: Any  # faiss.IndexScalarQuantizer
    matching: Matching  # for which it was made: it decides which vector is compared, and what recall means
    gallery: str  # outline of the store, see `hcga.files.outline`
    recall: dict[int, float]  # by number of candidates, see `hcga.using.indexing.measure_recall`
    queries: int  # of somebody's own that it was measured with; 0 if they were images of the gallery

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
        rows: np.ndarray = self.vectors.search(scale_to_unit(getattr(queries, vector_of(self.matching))), count)[1]
        return rows


def vector_of(matching: Matching) -> str:
    """Name of the vector by which candidates are found."""
    return "image" if matching.features == "I" else "foreground"


def build_index(gallery: Gallery, matching: Matching) -> Index:
    """Build the index of a gallery, its recall unknown.

    It takes q bytes of memory an image, twice that for a moment while it grows, and 1.4 MB a channel besides.

    Raises
    ------
    InputError
        faiss is not there, or the store is damaged.
    """
    before = outline(folder_of(gallery.store))
    with remedy(ANEW):
        stored = array(gallery.store, vector_of(matching))
        images, channels = stored.shape
        vectors = _empty(channels)
        drawn = np.random.default_rng(0).choice(images, min(images, TRAINED_ON), replace=False)
        blocks = np.array_split(np.sort(drawn), math.ceil(len(drawn) / BLOCK))
        vectors.train(np.concatenate([_units(stored, rows) for rows in blocks]))
        for start in track(range(0, images, BLOCK), "indexing", math.ceil(images / BLOCK), "block"):
            vectors.add(_units(stored, np.arange(start, min(start + BLOCK, images))))
    return Index(vectors, matching, before, {}, 0)


def save_index(index: Index, model: Model, path: Path) -> None:
    """Write an index as a store; what is at the path is replaced."""
    faiss = _faiss()
    kept = {"ranges": index.vectors.sq.trained, "codes": index.vectors.codes}
    views = {name: faiss.rev_swig_ptr(values.data(), values.size()) for name, values in kept.items()}  # no copies
    arrays = {name: values.reshape(-1, index.vectors.d) for name, values in views.items()}
    recall = {str(count): share for count, share in index.recall.items()}
    matching = index.matching.model_dump()
    about = {MODEL: model.digest, GALLERY: index.gallery, MATCHING: matching, RECALL: recall, QUERIES: index.queries}
    write_store(path, arrays, **about)


def open_index(path: Path, gallery: Gallery, model: Model) -> Index:
    """Read an index that `save_index` has written.

    Raises
    ------
    InputError
        faiss is not there; the store is none, is damaged, or is of another gallery, model or matching.
    """
    with remedy(AGAIN):
        return _read(path, open_store(path), gallery, model)


def _read(path: Path, store: zarr.Group, gallery: Gallery, model: Model) -> Index:
    faiss, matching = _faiss(), model.card.use.matching
    require_model(path, attribute(store, MODEL, str), model, AGAIN)
    told = attribute(store, GALLERY, str)
    if told != outline(folder_of(gallery.store)):
        raise InputError(f"{path}: of another gallery than {folder_of(gallery.store)}, or of an earlier one; {AGAIN}")
    if attribute(store, MATCHING, dict) != matching.model_dump():
        raise InputError(f"{path}: made for embeddings that are compared otherwise than by the model's card; {AGAIN}")
    ranges, codes = array(store, "ranges"), array(store, "codes")
    try:
        recall = SHARES.validate_python(attribute(store, RECALL, dict))
    except ValidationError as error:
        raise InputError(f"{path}: {RECALL}: {brief(error.errors()[0]['msg'])}; {AGAIN}") from None
    shape = array(gallery.store, vector_of(matching)).shape
    if (codes.shape, str(codes.dtype), ranges.shape, str(ranges.dtype)) != (shape, "uint8", (2, *shape[1:]), "float32"):
        raise InputError(f"{path}: its arrays do not belong together; {AGAIN}")
    vectors = _empty(shape[1])
    faiss.copy_array_to_vector(read_finite(ranges, np.arange(2)).ravel(), vectors.sq.trained)
    vectors.is_trained = True
    for start in range(0, shape[0], BLOCK):
        vectors.add_sa_codes(read_rows(codes, np.arange(start, min(start + BLOCK, shape[0]))))
    return Index(vectors, matching, told, recall, attribute(store, QUERIES, int))


def _empty(channels: int) -> Any:
    faiss = _faiss()
    return faiss.IndexScalarQuantizer(channels, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)


def _units(vectors: zarr.Array[Any], rows: np.ndarray) -> np.ndarray:
    return scale_to_unit(read_finite(vectors, rows))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InputError(f"{error}: an index needs faiss; pip install -e '.[faiss]', or search without") from None
    return faiss
