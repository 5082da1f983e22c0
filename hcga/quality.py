"""How good each identity's masks are, as far as one can tell: the worst first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import zarr

from hcga.masks import agreement, confusion, intersection_over_union
from hcga.samples import identities
from hcga.stores import array, read_rows


def rate_identities(
    table: pd.DataFrame,
    samples: pd.DataFrame,
    masks: np.ndarray,
    parsed: zarr.Array[Any] | np.ndarray,
    truth: zarr.Group,
) -> pd.DataFrame:
    """Add to the per-identity table of co-parsing what the network and the truth say of the masks.

    Parameters
    ----------
    table : DataFrame
        One row an identity, column pid.
    samples : DataFrame
        The arranged sample table.
    masks : (n, h, w) uint8
        Pseudo-masks of the training images.
    parsed : (N, h, w) uint8
        Most likely classes by the parsing head that these masks have taught.
    truth : zarr.Group
        Array `truth` (N, H, W) uint8, or none.

    Returns
    -------
    DataFrame
        With `agreement_head` and, where there is truth, `iou_foreground`, per cent, behind the other figures; sorted:
        identities without a foreground or a part first, then by the last of these figures, the lowest first.
    """
    rows_of = identities(samples)
    rated = table.copy()
    place = list(rated).index("warnings") if "warnings" in rated else rated.shape[1]
    heads = [agreement(masks[rows_of[pid]], read_rows(parsed, rows_of[pid])) for pid in table["pid"]]
    rated.insert(place, "agreement_head", np.round(heads, 3))
    worst_by = "agreement_head"
    if "truth" in truth:
        true = array(truth, "truth")
        counts = [confusion(true, masks[rows_of[pid]], rows_of[pid]) for pid in table["pid"]]
        found = [intersection_over_union(of, 2, 0)["foreground"] for of in counts]  # of parts nothing is asked
        rated.insert(place + 1, "iou_foreground", np.round(found, 3))
        worst_by = "iou_foreground"
    rated["sound"] = [not _lacks_a_part(text) for text in rated.get("warnings", [""] * len(rated))]
    return rated.sort_values(["sound", worst_by, "pid"], ignore_index=True).drop(columns="sound")


def _lacks_a_part(warnings: object) -> bool:
    """Whether co-parsing's warnings, a text or nan, say `no foreground` or `no` and the name of a part."""
    return any(text.startswith("no ") and "pair" not in text for text in str(warnings).split("; "))
