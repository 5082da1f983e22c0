"""One round's co-parsing of a training set: masks, labels and a table with a row an identity."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from hcga.coparsing.batches import free_memory, label_in_batches
from hcga.coparsing.identity import Labelling
from hcga.coparsing.labels import reassign_labels
from hcga.coparsing.losses import adjacent_pairs
from hcga.coparsing.pool import label_identities
from hcga.masks import UNLABELLED, agreement, part_names
from hcga.params import Coparse
from hcga.samples import identities


class CoparsedSet(NamedTuple):
    """Pseudo-masks of a training set."""

    masks: np.ndarray  # (N, h, w) uint8, 0 background, 1..C-1 parts, UNLABELLED
    labels: np.ndarray  # (N, h, w) uint8, decoder labels before CPLR, UNLABELLED
    table: pd.DataFrame  # one row an identity


def coparse(
    features: Path,
    samples: pd.DataFrame,
    previous: np.ndarray,
    params: Coparse,
    part_classes: int,
    seed: tuple[int, ...],
    device: torch.device,
) -> CoparsedSet:
    """Co-parse every training identity.

    Parameters
    ----------
    features : Path
        Store of the training images' features.
    samples : DataFrame
        The arranged sample table.
    previous : (N, h, w) uint8
        Masks of the round before, for the agreement in the table.
    params : Coparse
        `source: none` leaves everything unlabelled.
    part_classes : int
        C.
    seed : tuple of int
        (seed, epoch of the features' model).
    device : torch.device
        On cuda many identities are trained at once, else one on each processor core.

    Returns
    -------
    CoparsedSet
    """
    rows_of = identities(samples)
    masks, labels = np.full_like(previous, UNLABELLED), np.full_like(previous, UNLABELLED)
    if params.source == "none":
        return CoparsedSet(masks, labels, pd.DataFrame({"pid": list(rows_of)}))
    camids = samples["camid"].to_numpy()
    entries: dict[int, dict[str, object]] = {}
    if device.type == "cuda":
        labelled = label_in_batches(features, rows_of, camids, params, seed, device, free_memory(device))
    else:
        labelled = label_identities(features, rows_of, camids, params, seed)
    for pid, found in labelled:
        rows = rows_of[pid]
        labels[rows] = found.labels
        masks[rows] = reassign_labels(found.labels, part_classes, params.background, params.split, params.borders)
        entries[pid] = describe_identity(pid, found, masks[rows], previous[rows], camids[rows], params, part_classes)
    return CoparsedSet(masks, labels, pd.DataFrame([entries[pid] for pid in rows_of]))


def describe_identity(
    pid: int,
    found: Labelling,
    masks: np.ndarray,
    previous: np.ndarray,
    camids: np.ndarray,
    params: Coparse,
    part_classes: int,
) -> dict[str, object]:
    """One row of the per-identity table; shares and agreement in per cent of cells.

    Parameters
    ----------
    pid : int
    found : Labelling
    masks, previous : (n, h, w) uint8
        This round's and the last one's masks of the identity.
    camids : (n,) int64
    params : Coparse
    part_classes : int
        C.
    """
    names = part_names(part_classes)
    shares = {f"{name}_share": 100 * float(np.mean(masks == part)) for part, name in enumerate(names) if part}
    foreground = masks > 0
    row = {
        "pid": pid,
        "images": len(masks),
        "cameras": len(np.unique(camids)),
        "iterations": found.iterations,
        "labels_left": found.labels_left,
        "foreground_labels": len(np.unique(found.labels[foreground])),
        "foreground_share": 100 * float(np.mean(foreground)),
        **shares,
        "agreement_previous": agreement(masks, previous),
    }
    unpaired = params.back_weight > 0 and not adjacent_pairs(torch.from_numpy(camids), params.pairs).any()
    empty = int((~foreground.any(axis=(1, 2))).sum())
    warnings = [
        *(["no foreground"] if not foreground.any() else [f"no {n}" for n in names[1:] if not shares[f"{n}_share"]]),
        *([f"{empty} image(s) all background"] if empty and foreground.any() else []),
        *(["one image"] if len(masks) == 1 else []),
        *(["no pair of images for the background loss"] if unpaired else []),
    ]
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()} | {
        "warnings": "; ".join(warnings)
    }
