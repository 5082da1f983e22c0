"""Find each query's hits in its ranked gallery, from one block of the similarity matrix after another.

Letters: Q queries, G gallery images, B queries of one block, H hits of all queries together. The protocol is that of
`hcga.retrieval.ranking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcga.cores import available_cores
from hcga.retrieval.blocks import Block, Columns, Labels, Mates, Matrix, Watcher, within

#: Entries of the similarity matrix that are ranked at a time: bounds the memory to about 30 bytes an entry.
_BLOCK_ENTRIES = 2**22
#: Gallery images that are there at a time, where the matrix can give some of its columns.
_BLOCK_COLUMNS = 2**14
_IGNORED = np.iinfo(np.int64).max  # sorts behind every image
_ROW = 2**32 - 1  # the bits of a key that are the gallery row


@dataclass(frozen=True, eq=False)
class Top:
    """The first k ranked gallery images of each query, ignored ones dropped.

    Attributes
    ----------
    rows : (Q, k) int64
        Row number in the gallery; -1 where the ranked list is shorter than k.
    hits : (Q, k) bool
        Whether the image shows the query's identity; False where `rows` is -1.
    similarity : (Q, k) float64
        NaN where `rows` is -1.
    """

    rows: NDArray[np.int64]
    hits: NDArray[np.bool_]
    similarity: NDArray[np.float64]


class Found(NamedTuple):
    """What the ranking of queries gave; H hits."""

    query: NDArray[np.int64]  # (H,), sorted
    position: NDArray[np.int64]  # (H,), rank from 1, ascending within a query
    top: Top


def find_hits(similarity: Matrix, labels: Labels, listed: int, watchers: Sequence[Watcher] = ()) -> Found:
    """Rank block after block, and show each block to others that want to see it."""
    if listed < 1:
        raise ValueError(f"k must be at least 1, not {listed}")
    queries, images = similarity.shape
    width = _BLOCK_COLUMNS if isinstance(similarity, Columns) else max(1, images)
    blocks = [slice(start, min(start + width, images)) for start in range(0, images, width)]
    search = _Search(labels, queries, listed)
    if len(blocks) > 1:
        for columns in filter(search.has_hits, blocks):
            search.go_through(similarity, columns, search.collect)
        search.sort_hits()

    def look(block: Block) -> None:
        for watcher in (search.count, *watchers):
            watcher(block)

    for columns in blocks:
        search.go_through(similarity, columns, look)
    return search.result()


class _Search:
    """Where the hits of each query are in its ranked gallery, learnt from one block of the matrix after another."""

    def __init__(self, labels: Labels, queries: int, listed: int) -> None:
        self._labels = labels
        mates = Mates(labels)
        self._own_camera, self._sought = mates.own_camera, mates.sought
        self._hits: list[NDArray[np.int64] | None] = [None] * queries  # their keys, once they are known
        self._collected: list[list[NDArray[np.int64]]] = [[] for _ in range(queries)]
        self._positions = [np.zeros(len(rows), np.int64) for rows in self._sought]
        self._top_keys = np.full((queries, listed), _IGNORED)
        self._top_values = np.full((queries, listed), np.nan)

    def has_hits(self, columns: slice) -> bool:
        """Whether any query's identity is among some gallery images."""
        return any(len(within(rows, columns)) for rows in self._sought)

    def go_through(self, similarity: Matrix, columns: slice, task: Watcher) -> None:
        """Call `task` with blocks of rows, on all cores."""
        queries, images = similarity.shape
        part = similarity.columns(columns) if isinstance(similarity, Columns) else similarity
        step = max(1, _BLOCK_ENTRIES // (columns.stop - columns.start))
        with ThreadPoolExecutor(available_cores()) as pool:
            for start in range(0, queries, step):
                block = part[start : start + step]
                # max is NaN as soon as one entry is: no array of flags.
                if block.size and np.isnan(block.max()):
                    raise ValueError(f"similarity holds NaN in {np.isnan(block).sum()} of {block.size} entries")
                if block.dtype != np.float32 and block.shape[1] != images:
                    raise ValueError(f"similarity must be float32 to be ranked in blocks of columns, not {block.dtype}")
                share = -(-len(block) // available_cores())
                tasks = [
                    pool.submit(task, Block(block[first : first + share], start + first, columns))
                    for first in range(0, len(block), share)
                ]
                for done in tasks:
                    done.result()

    def collect(self, block: Block) -> None:
        """Keep the keys of hits in a block."""
        for query, values in enumerate(block.similarity, block.start):
            rows = within(self._sought[query], block.columns)
            self._collected[query].append(_keys(values[rows - block.columns.start], rows))

    def sort_hits(self) -> None:
        """Say that all hits have been collected."""
        self._hits = [np.sort(np.concatenate([np.zeros(0, np.int64), *keys])) for keys in self._collected]

    def count(self, block: Block) -> None:
        """Count which images of a block come before each hit, and keep the first of all."""
        similarity, start, columns = block
        offset = columns.start
        keys = _keys(similarity, np.arange(offset, columns.stop))
        keys[:, self._labels.gallery_pids[columns] == -1] = _IGNORED
        for row, of_query in enumerate(keys, start):
            hits = self._hits[row]
            if hits is None:  # these columns are all there are
                hits = np.sort(of_query[self._sought[row]])
            of_query[within(self._own_camera[row], columns) - offset] = _IGNORED
            of_query.sort()
            self._positions[row] += np.searchsorted(of_query, hits, side="right")
        self._keep_first(keys[:, : self._top_keys.shape[1]], similarity, start, offset)

    def _keep_first(self, keys: NDArray[np.int64], similarity: NDArray[Any], start: int, offset: int) -> None:
        """Merge the first keys of some columns, sorted, with the first of those before."""
        there = np.where(keys == _IGNORED, offset, keys & _ROW) - offset
        values = np.take_along_axis(similarity, there, 1)
        those = slice(start, start + len(keys))
        joined = np.concatenate([self._top_keys[those], keys], axis=1)
        joined_values = np.concatenate([self._top_values[those], values], axis=1)
        first = np.argsort(joined, axis=1)[:, : self._top_keys.shape[1]]
        self._top_keys[those] = np.take_along_axis(joined, first, 1)
        self._top_values[those] = np.take_along_axis(joined_values, first, 1)

    def result(self) -> Found:
        """What all blocks together gave."""
        nothing = np.zeros(0, np.int64)
        query = np.repeat(np.arange(len(self._positions)), [len(of_query) for of_query in self._positions])
        there = self._top_keys != _IGNORED
        rows = np.where(there, self._top_keys & _ROW, -1)
        hits = np.zeros(rows.shape, np.bool_)
        owner = np.broadcast_to(self._labels.query_pids[:, None], rows.shape)
        hits[there] = self._labels.gallery_pids[rows[there]] == owner[there]
        top_ = Top(rows, hits, np.where(there, self._top_values, np.nan))
        return Found(query, np.concatenate([nothing, *self._positions]), top_)


def _keys(similarity: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integers (..., G) that sort like decreasing similarity, ties by gallery row; the low 32 bits are the row.

    numpy sorts plain integers some ten times faster than it finds a stable order. A float32 becomes the int32 that
    sorts like it: for negative floats the bits below the sign run the other way. Other types are numbered by their
    order among all of a query's.
    """
    if similarity.dtype != np.float32:
        keys = np.empty(similarity.shape, np.int64)
        order = np.argsort(-similarity.astype(np.float64), axis=-1, kind="stable")
        np.put_along_axis(keys, order, (np.arange(similarity.shape[-1]) << 32)[None], axis=-1)
        return keys | rows
    distance = np.float32(0) - similarity  # not -x: 0.0 and -0.0 are a tie and must get the same bits
    bits = distance.view(np.int32)
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)
    keys = bits.astype(np.int64)
    keys <<= 32
    keys |= rows
    return keys
