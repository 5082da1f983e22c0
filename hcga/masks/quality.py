"""How good masks are, as far as one can tell: those of a round, and each identity's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import zarr

from hcga.masks.covered import share_inside
from hcga.masks.degeneracy import count_lacking, turned_inside_out
from hcga.masks.parts import UNLABELLED, agreement, confusion, foreground_share, intersection_over_union
from hcga.occluders import Occlusion
from hcga.samples import identities
from hcga.stores import array, attribute, read_rows

MIDDLE = 0.6  # of the columns: a mask that anybody could guess


def evaluate_masks(
    masks: np.ndarray,
    parsed: zarr.Array[Any],
    truth: zarr.Group,
    table: pd.DataFrame,
    occlusion: Occlusion,
    part_classes: int,
) -> dict[str, dict[str, float]]:
    """Measure pseudo-masks and parsing head.

    Parameters
    ----------
    masks : (n, h, w) uint8
        Pseudo-masks of the training rows, which come first.
    parsed : zarr.Array (N, h, w) uint8
        Most likely classes by the parsing head, of all images.
    truth : zarr.Group
        As `hcga.preparation.write_truth` writes it.
    table : DataFrame
        The per-identity table of co-parsing.
    occlusion : Occlusion
        Of all images.
    part_classes : int
        C.

    Returns
    -------
    dict of dict
        `masks`: share of foreground, agreement with the round before, share of the cells inside known occluders that
        are foreground, numbers of images without a mask, of those repaired by hand, of those that look inside out and
        of those whose mask lacks something (see `hcga.masks.degeneracy`), and where there is truth IoU against it, also
        of the guess that the middle 60 % of the columns of every image are foreground, `iou_guess`, and the same share
        inside occluders of the truth, `truth_inside_occluders`.
        `parsing_head`: agreement with the pseudo-masks on the training images; on the test images share of the cells
        inside known occluders that are foreground; IoU on both.
    """
    known = table.dropna(subset="agreement_previous")
    agreed = float((known["agreement_previous"] * known["images"]).sum())
    of_train = read_rows(parsed, np.arange(len(masks)))
    trained_on = occlusion.boxes["row"] < len(masks)
    boxes, test_boxes = occlusion.boxes[trained_on], occlusion.boxes[~trained_on]
    figures = {
        "masks": {
            "foreground_share": foreground_share(masks),
            "agreement_previous": agreed / int(known["images"].sum()) if len(known) else float("nan"),
            "inside_occluders": share_inside(masks, boxes),
            "images_without": int((masks == UNLABELLED).all(axis=(1, 2)).sum()),
            "images_repaired": int(table["repaired"].sum()),
            "images_turned_inside_out": int(turned_inside_out(masks).sum()),
            **{f"images_lacking_{name}": count for name, count in count_lacking(masks, part_classes).items()},
        },
        "parsing_head": {
            "agreement": agreement(masks, of_train),
            "test_inside_occluders": share_inside(parsed, test_boxes),
        },
    }
    if "truth" in truth:
        train, test = np.arange(len(masks)), np.arange(len(masks), parsed.shape[0])
        true, classes = array(truth, "truth"), (part_classes, attribute(truth, "part_classes", int))
        on_train = intersection_over_union(confusion(true, masks, train), *classes)
        learnt = intersection_over_union(confusion(true, of_train, train), *classes)
        on_test = intersection_over_union(confusion(true, read_rows(parsed, test), test), *classes)
        guessed = intersection_over_union(confusion(true, middle(masks), train), 2, 0)
        figures["masks"] |= {f"iou_{name}": value for name, value in on_train.items()}
        figures["masks"]["iou_guess"] = guessed["foreground"]
        figures["masks"]["truth_inside_occluders"] = share_inside(true, boxes)
        figures["parsing_head"] |= {f"train_iou_{name}": value for name, value in learnt.items()}
        figures["parsing_head"] |= {f"test_iou_{name}": value for name, value in on_test.items()}
    return figures


def middle(masks: np.ndarray) -> np.ndarray:
    """A guess at masks of the same shape: the middle columns are foreground, (n, h, w) uint8."""
    guess = np.zeros_like(masks)
    edge = round((1 - MIDDLE) / 2 * masks.shape[2])
    guess[:, :, edge : masks.shape[2] - edge] = 1
    return guess


def rate_identities(
    table: pd.DataFrame,
    samples: pd.DataFrame,
    masks: np.ndarray,
    parsed: zarr.Array[Any] | np.ndarray,
    truth: zarr.Group,
    part_classes: int,
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
    part_classes : int
        C.

    Returns
    -------
    DataFrame
        With `agreement_head` and, where there is truth, `iou_foreground`, per cent, behind the other figures; sorted:
        identities without a background or a part first, then by the last of these figures, the lowest first.
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
    rated["sound"] = [set(range(part_classes)) <= set(masks[rows_of[pid]].flat) for pid in table["pid"]]
    return rated.sort_values(["sound", worst_by, "pid"], ignore_index=True).drop(columns="sound")
