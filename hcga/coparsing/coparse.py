"""One round's part masks of a training set, and a table with a row an identity."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from hcga.coparsing.kept import Kept
from hcga.coparsing.sources import SOURCES, Material, Parsed
from hcga.masks.degeneracy import describe_degeneracy, turned_inside_out
from hcga.masks.parts import UNLABELLED, agreement, foreground, foreground_share, part_names
from hcga.wording import counted

log = logging.getLogger(__name__)


class CoparsedSet(NamedTuple):
    """Pseudo-masks of a training set."""

    masks: np.ndarray  # (N, h, w) uint8, 0 background, 1..C-1 parts, UNLABELLED
    labels: np.ndarray  # (N, h, w) uint8, what the source had before parts were assigned, UNLABELLED
    table: pd.DataFrame  # one row an identity

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What its store holds."""
        return {"masks": self.masks, "labels": self.labels}


def coparse(material: Material, previous: np.ndarray, repairs: np.ndarray, kept: Kept | None = None) -> CoparsedSet:
    """Make the masks of every training identity.

    Parameters
    ----------
    material : Material
        Its `params.source` says how; `none` leaves everything unlabelled.
    previous : (N, h, w) uint8
        Masks of the round before, for the agreement in the table.
    repairs : (N, h, w) uint8
        Masks made by hand, UNLABELLED where there is none; each replaces that of the source.
    kept : Kept, optional
        Identities that are in there are not parsed again, and those that are done are put there.

    Returns
    -------
    CoparsedSet
    """
    source = material.params.source
    masks, labels = np.full_like(previous, UNLABELLED), np.full_like(previous, UNLABELLED)
    by_hand = (repairs != UNLABELLED).any(axis=(1, 2)) & (source != "none")
    entries: dict[int, dict[str, object]] = {}
    for pid, parsed in _parse(material, kept):
        rows = material.rows_of[pid]
        labels[rows] = parsed.labels
        masks[rows] = np.where(by_hand[rows, None, None], repairs[rows], parsed.masks)
        head: dict[str, object] = {"pid": pid, "images": len(rows), "cameras": len(np.unique(material.camids[rows]))}
        if source == "none":
            entries[pid] = head | {"without_mask": len(rows)}
        else:
            figures = describe_masks(masks[rows], labels[rows], previous[rows], material.part_classes)
            repaired = int(by_hand[rows].sum())
            warnings = "; ".join([*warn(masks[rows], repaired, material.part_classes), *parsed.warnings])
            entries[pid] = head | parsed.account | figures | {"repaired": repaired, "warnings": warnings}
    table = pd.DataFrame([entries[pid] for pid in material.rows_of])
    log.info("%s", summarise(table, masks))
    for problem in describe_degeneracy(masks, material.part_classes):
        log.warning("DEGENERATE MASKS: %s", problem)
    return CoparsedSet(masks, labels, table)


def _parse(material: Material, kept: Kept | None) -> Iterator[tuple[int, Parsed]]:
    source = SOURCES[material.params.source]
    if kept is None:
        yield from source(material)
        return
    done = kept.read()
    yield from done.items()
    left = replace(material, done=frozenset(done))
    for pid, parsed in source(left) if left.rows_of else ():
        kept.add(pid, parsed)
        yield pid, parsed


def summarise(table: pd.DataFrame, masks: np.ndarray) -> str:
    """One line on the masks of a training set, by their table and themselves, (N, h, w) uint8."""
    told = [counted(len(table), "identity")]
    if "iterations" in table:
        told.append(f"{table['iterations'].mean():.1f} iterations on average")
    if "warnings" in table:
        told.append(f"{100 - foreground_share(masks):.1f} % background")
        told.append(f"{(table['warnings'] != '').sum()} with warnings")
    return ", ".join(told)


def describe_masks(
    masks: np.ndarray, labels: np.ndarray, previous: np.ndarray, part_classes: int
) -> dict[str, int | float]:
    """Figures of one identity for the table; shares and agreement in per cent of the labelled cells.

    Parameters
    ----------
    masks, previous : (n, h, w) uint8
        This round's and the last one's masks of the identity.
    labels : (n, h, w) uint8
        Before parts were assigned.
    part_classes : int
        C.
    """
    labelled = masks != UNLABELLED
    shares = {
        f"{name}_share": float(100 * np.mean(masks[labelled] == part)) if labelled.any() else float("nan")
        for part, name in enumerate(part_names(part_classes))
        if part
    }
    figures = {
        "foreground_labels": len(np.unique(labels[foreground(masks)])),
        "foreground_share": foreground_share(masks),
        **shares,
        "agreement_previous": agreement(masks, previous),
        "without_mask": int((~labelled.any(axis=(1, 2))).sum()),
    }
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}


def warn(masks: np.ndarray, repaired: int, part_classes: int) -> list[str]:
    """What one should know of an identity's masks (n, h, w) uint8, of which some were repaired by hand."""
    names, parts = part_names(part_classes), foreground(masks)
    lacking = [f"no {name}" for part, name in enumerate(names) if part and not (masks == part).any()]
    without = int((masks == UNLABELLED).all(axis=(1, 2)).sum())
    empty = int((~parts.any(axis=(1, 2))).sum()) - without
    turned = int(turned_inside_out(masks).sum())
    return [
        *(lacking if parts.any() else ["no foreground"]),
        *(["no background"] if parts.any() and not (masks == 0).any() else []),
        *([f"{without} image(s) without a mask"] if without else []),
        *([f"{empty} image(s) all background"] if empty and parts.any() else []),
        *([f"{turned} image(s) with more foreground at the sides"] if turned else []),
        *([f"{repaired} image(s) repaired by hand"] if repaired else []),
        *(["one image"] if len(masks) == 1 else []),
    ]
