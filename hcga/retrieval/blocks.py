"""A similarity matrix block by block, and where in a block the images of each query's identity are.

Letters: Q queries, G gallery images, B queries and g gallery images of one block. The protocol is that of
`hcga.retrieval.ranking`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Matrix(Protocol):
    """What has rows that can be asked for: an array, or what computes them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Queries and gallery images."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Some rows."""


@runtime_checkable
class Columns(Matrix, Protocol):
    """A float32 matrix that gives some of its columns as a matrix, such as `Similarities`."""

    def columns(self, columns: slice) -> Matrix:
        """Those of some gallery images."""


class Block(NamedTuple):
    """A part of a similarity matrix."""

    similarity: NDArray[Any]  # (B, g)
    start: int  # the first query
    columns: slice  # the gallery images


Watcher = Callable[[Block], None]  # sees each block once, on several threads at a time


class Labels(NamedTuple):
    """Who is who, checked."""

    query_pids: NDArray[Any]
    gallery_pids: NDArray[Any]
    query_camids: NDArray[Any]
    gallery_camids: NDArray[Any]

    @staticmethod
    def checked(shape: tuple[int, ...], *labels: ArrayLike) -> Labels:
        """Check labels, in the order of the fields, against the shape of a matrix; `ValueError` if they do not fit."""
        if len(shape) != 2:
            raise ValueError(f"similarity must have 2 dimensions, not {len(shape)}: shape {shape}")
        known = Labels(*(np.asarray(label) for label in labels))
        for name, array, length in zip(known._fields, known, (*shape, *shape), strict=True):
            if array.shape != (length,):
                raise ValueError(f"{name} has shape {array.shape}, but similarity {shape} asks for ({length},)")
        if (known.query_pids <= 0).any():
            raise ValueError(
                "query pids must be positive (0 is a distractor, -1 junk), but the smallest is "
                f"{known.query_pids.min()}"
            )
        return known


class Mates:
    """Where in the gallery the images of each query's identity are.

    Attributes
    ----------
    own_camera, sought : list of (n,) int64
        Of each query: their rows under its own camera, which are ignored, and under others; ascending.
    """

    def __init__(self, labels: Labels) -> None:
        order = np.argsort(labels.gallery_pids, kind="stable")
        ends = [
            np.searchsorted(labels.gallery_pids, labels.query_pids, side, sorter=order) for side in ("left", "right")
        ]
        self.own_camera: list[NDArray[np.int64]] = []
        self.sought: list[NDArray[np.int64]] = []
        for query, (first, last) in enumerate(zip(*ends, strict=True)):
            rows = order[first:last]
            same = labels.gallery_camids[rows] == labels.query_camids[query]
            self.own_camera.append(rows[same])
            self.sought.append(rows[~same])


def within(rows: NDArray[np.int64], columns: slice) -> NDArray[np.int64]:
    """Those of ascending gallery rows that are in a block of columns."""
    first, last = np.searchsorted(rows, (columns.start, columns.stop))
    return rows[first:last]


def places(mates: list[NDArray[np.int64]], block: Block) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns within a block of gallery rows that are listed for each query."""
    of_queries = mates[block.start : block.start + len(block.similarity)]
    found = [within(rows, block.columns) - block.columns.start for rows in of_queries]
    return np.repeat(np.arange(len(found)), [len(rows) for rows in found]), np.concatenate(found)
