"""Reading while something else computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def load_ahead(keys: Sequence[K], load: Callable[[K], T]) -> Iterator[tuple[K, T]]:
    """Give each key with what `load` makes of it; the next one is loaded in the meantime, by one thread, in order.

    Parameters
    ----------
    keys : sequence
    load : callable
        Its error is raised where its result would have come.

    Yields
    ------
    (key, result)
    """
    with ThreadPoolExecutor(1) as loader:
        coming = [loader.submit(load, key) for key in keys[:1]]
        for key, following in zip_longest(keys, keys[1:]):
            ready = coming.pop().result()
            if following is not None:
                coming.append(loader.submit(load, following))
            yield key, ready
