"""Which parts of an image count as seen: Eq. (10) compares those that both images show (III-D).

Letters: N images, C part classes, background included.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hcga.masks import part_names


def visible_parts(likely: np.ndarray, guided: np.ndarray, rule: str) -> np.ndarray:
    """Decide which parts are visible.

    Parameters
    ----------
    likely : (N, C - 1) float32
        Share of an image's cells whose most likely class the part is.
    guided : (N, C - 1) float32
        Share of an image's cells that GAM leaves to the part, Eq. (8).
    rule : {'any', 'guided'}
        any: the part is the most likely class of some cell (the paper, authors' code). guided: GAM leaves it some cell.
        Where it leaves none, the part vector is that of an empty map, the same for every image; `any` compares it
        nevertheless.

    Returns
    -------
    (N, C - 1) bool
    """
    return {"any": likely, "guided": guided}[rule] > 0


def visibility_figures(
    visible: np.ndarray, guided: np.ndarray, samples: pd.DataFrame, part_classes: int
) -> dict[str, dict[str, float]]:
    """Count the visible parts of each test split, in per cent.

    Parameters
    ----------
    visible : (N, C - 1) bool
    guided : (N, C - 1) float32
        As in `visible_parts`.
    samples : DataFrame
        With column split, N rows.
    part_classes : int
        C.

    Returns
    -------
    dict of dict
        For `visibility_query` and `visibility_gallery`: each part's share of the images that show it, and `empty`, the
        share of the visible parts to which GAM leaves no cell; nan where no part is visible.
    """
    figures = {}
    for split in ("query", "gallery"):
        rows = (samples["split"] == split).to_numpy()
        shares = 100 * visible[rows].mean(0)
        empty = (guided[rows] == 0)[visible[rows]]
        figures[f"visibility_{split}"] = {
            **dict(zip(part_names(part_classes)[1:], shares.tolist(), strict=True)),
            "empty": 100 * float(empty.mean()) if len(empty) else float("nan"),
        }
    return figures
