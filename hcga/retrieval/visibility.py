"""Which parts of an image count as seen: Eq. (10) compares those that both images show (III-D).

Letters: N images, C part classes, background included.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr

from hcga.masks.parts import part_names
from hcga.occluders import Occlusion
from hcga.params import Matching
from hcga.samples import shows_identity
from hcga.stores import array, read_finite

VISIBLE_FROM = 0.5  # from here on a part is called visible, where that is a number


class PartStatistics(NamedTuple):
    """What the parsing head says of the parts of N images, each (N, C - 1) float32."""

    likely: np.ndarray  # share of the cells whose most likely class the part is
    guided: np.ndarray  # share of the cells that GAM leaves to the part, by Eq. 8 or 7; at 0 its vector is empty
    peak: np.ndarray  # the part's highest probability in any cell


def read_statistics(embeddings: zarr.Group, rows: np.ndarray) -> PartStatistics:
    """Read those of some rows, (n,) int64, of a store of embeddings; errors as of `read_finite`."""
    return PartStatistics(*(read_finite(array(embeddings, name), rows) for name in PartStatistics._fields))


def visible_parts(statistics: PartStatistics, params: Matching) -> np.ndarray:
    """Decide how far each part is visible.

    Parameters
    ----------
    statistics : PartStatistics
    params : Matching
        Its `visibility` is the rule. any: the part is the most likely class of some cell (the paper, authors' code).
        share: of at least `least_share` of the cells. confident: its probability is above `least_confidence` in some
        cell, by which GAM in inference (Eq. 8) would leave it one. soft: no decision but a number, its highest
        probability in any cell.

    Returns
    -------
    (N, C - 1) float32
        In [0, 1]; 0 or 1 but for soft.
    """
    return how_visible(statistics.likely, statistics.peak, params).astype(np.float32)


def how_visible(likely: Any, peak: Any, params: Matching) -> Any:
    """Decide as `visible_parts`, on arrays of numpy or tensors of PyTorch; bool but for soft."""
    rules = {
        "any": likely > 0,
        "share": likely >= params.least_share,
        "confident": peak > params.least_confidence,
        "soft": peak,
    }
    return rules[params.visibility]


def visibility_figures(
    visible: np.ndarray,
    guided: np.ndarray,
    covered: np.ndarray,
    samples: pd.DataFrame,
    occlusion: Occlusion,
    part_classes: int,
) -> dict[str, dict[str, float]]:
    """Mean visibility of the parts, in per cent, in test images of identities.

    Parameters
    ----------
    visible, guided : (N, C - 1) float32
        As in `visible_parts`.
    covered : (N, C - 1) bool
        From `hcga.masks.covered.parts_covered`.
    samples : DataFrame
        With columns pid and split, N rows.
    occlusion : Occlusion
        Of the N images.
    part_classes : int
        C.

    Returns
    -------
    dict of dict
        For `visibility_query`, `visibility_gallery`, and of both together, where it is known, `visibility_occluded`
        and `visibility_whole`: the mean of each part (the share of the images that show it) and of all, `mean`; and
        `empty`, the share of what is visible to which GAM leaves no cell, nan where no part is visible. For
        `visibility_covered` the mean of each part over the images in which it is covered, nan if there is none.
    """
    split, tested = samples["split"].to_numpy(), shows_identity(samples)
    groups = {
        "query": tested & (split == "query"),
        "gallery": tested & (split == "gallery"),
        "occluded": tested & occlusion.occluded,
        "whole": tested & occlusion.known & ~occlusion.occluded,
    }
    figures = {}
    for name, rows in groups.items():
        if rows.any():
            seen = visible[rows].astype(float)
            empty = 100 * seen[guided[rows] == 0].sum() / seen.sum() if seen.any() else float("nan")
            parts = dict(zip(part_names(part_classes)[1:], (100 * seen.mean(0)).tolist(), strict=True))
            figures[f"visibility_{name}"] = {**parts, "mean": 100 * float(seen.mean()), "empty": float(empty)}
    if groups["occluded"].any():
        behind = covered & tested[:, None]
        sums, counts = np.where(behind, visible, 0).sum(0, dtype=float), behind.sum(0)
        means = 100 * np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        figures["visibility_covered"] = dict(zip(part_names(part_classes)[1:], means.tolist(), strict=True))
    return figures
