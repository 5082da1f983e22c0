"""PK sampling: batches of P identities with K images each (IV-A: 16 x 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np


def pk_batches(
    rows_of: Mapping[int, np.ndarray], identities: int, images: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Draw one epoch of batches.

    Each identity's rows are shuffled and cut into groups of K; an identity with fewer than K images draws with
    repetition, a remainder of fewer than K is left out. Batches take one group each of P identities drawn from
    those that have groups left, until fewer than P have (the sampler of the field, as in the authors' code).

    Parameters
    ----------
    rows_of : mapping of int to (n,) int64
        pid to rows. With fewer than P identities, all of them make a batch.
    identities : int
        P.
    images : int
        K.
    rng : numpy Generator

    Yields
    ------
    (P * K,) int64
        Rows; those of one identity stand together.
    """
    groups = {pid: _groups(rows, images, rng) for pid, rows in rows_of.items()}
    at_once = min(identities, len(groups))
    while len(groups) >= at_once:
        chosen = rng.choice(list(groups), at_once, replace=False)
        yield np.concatenate([groups[pid].pop() for pid in chosen])
        groups = {pid: left for pid, left in groups.items() if left}


def _groups(rows: np.ndarray, images: int, rng: np.random.Generator) -> list[np.ndarray]:
    if len(rows) < images:
        return [rng.choice(rows, images)]
    shuffled = rng.permutation(rows)
    return list(shuffled[: len(rows) // images * images].reshape(-1, images))
