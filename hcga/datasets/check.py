"""What may be wrong with a data set: in its table (here) and in its files (`hcga.images`)."""

from __future__ import annotations

import logging
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from hcga.datasets.readers import LAYOUTS
from hcga.errors import InputError
from hcga.samples import DISTRACTOR, JUNK, SPLITS

log = logging.getLogger(__name__)
EXAMPLES = 5  # named in a finding


class Finding(NamedTuple):
    """Something that was found out; an error makes training or figures senseless, a warning may be as it should be."""

    severity: Literal["error", "warning"]
    text: str


class SplitCounts(NamedTuple):
    """What a split consists of; junk and distractors are images, but no identities."""

    split: str
    images: int
    identities: int
    cameras: int
    distractors: int
    junk: int


def count_splits(table: pd.DataFrame) -> list[SplitCounts]:
    """Count what each split of a table (columns split, pid, camid) consists of; splits without images are left out."""
    counts = []
    for split in SPLITS:
        part = table[table["split"] == split]
        if len(part):
            people = part["pid"][part["pid"] > DISTRACTOR].nunique()
            others = [int((part["pid"] == pid).sum()) for pid in (DISTRACTOR, JUNK)]
            counts.append(SplitCounts(split, len(part), people, part["camid"].nunique(), *others))
    return counts


def format_counts(counts: list[SplitCounts]) -> str:
    """Format counts as a text table."""
    return pd.DataFrame(counts).to_string(index=False, formatters={"images": "{:,}".format, "junk": "{:,}".format})


def compare_counts(table: pd.DataFrame, layout: str) -> list[Finding]:
    """Compare the numbers of images (without junk) and identities of each split with the published ones.

    Parameters
    ----------
    table : DataFrame
        Columns split, pid, camid; splits that it does not have are not looked at.
    layout : str
        A key of `LAYOUTS`.
    """
    known = LAYOUTS[layout]
    counts = [split for split in count_splits(table) if split.split in known.counts]
    found = {split.split: (split.images - split.junk, split.identities) for split in counts}
    published = {split: known.counts[split] for split in found}
    if found == published:
        return []
    there, wanted = (
        ", ".join(f"{split} {images:,} / {identities:,}" for split, (images, identities) in numbers.items())
        for numbers in (found, published)
    )
    text = f"images / identities are {there}, but {layout} was published with {wanted} ({known.source})"
    return [Finding("warning", text)]


def check_counts(table: pd.DataFrame, layout: str, on_difference: str) -> None:
    """Log the counts of a data set, and how they differ from the published ones.

    Raises
    ------
    InputError
        They differ and `on_difference` is 'error'; with 'warn' that is logged, with 'ignore' not looked at.
    """
    log.info("%s", format_counts(count_splits(table)))
    findings = compare_counts(table, layout) if on_difference != "ignore" else []
    if findings and on_difference == "error":
        raise InputError("\n".join(["counts differ from the published ones:", *(f"  {f.text}" for f in findings)]))
    for finding in findings:
        log.warning("warning: %s", finding.text)


def examine_table(table: pd.DataFrame) -> list[Finding]:
    """Look for what makes training senseless or figures wrong.

    Parameters
    ----------
    table : DataFrame
        split, pid, camid, path and, for files that are there twice, digest.

    Returns
    -------
    list of Finding
        Errors first.
    """
    findings = [
        *_overlap(table),
        *_missing_matches(table),
        *_doubles(table),
        *_lonely(table),
    ]
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _overlap(table: pd.DataFrame) -> list[Finding]:
    train = table["split"] == "train"
    both = sorted({int(pid) for pid in set(table["pid"][train]) & set(table["pid"][~train]) if pid > DISTRACTOR})
    if not both:
        return []
    return [Finding("error", f"{len(both)} identities both train and are tested: {name_some(both)}")]


def _missing_matches(table: pd.DataFrame) -> list[Finding]:
    query, gallery = (table[table["split"] == split] for split in ("query", "gallery"))
    if query.empty or gallery.empty:
        return []
    cameras: dict[int, set[int]] = {}
    for pid, camid in zip(gallery["pid"], gallery["camid"], strict=True):
        cameras.setdefault(pid, set()).add(camid)
    asked = zip(query["path"], query["pid"], query["camid"], strict=True)
    alone = [path for path, pid, camid in asked if not cameras.get(pid, set()) - {camid}]
    if not alone:
        return []
    severity: Literal["error", "warning"] = "error" if len(alone) == len(query) else "warning"
    text = f"{len(alone)} of {len(query)} queries have no gallery image of their identity at another camera"
    return [Finding(severity, f"{text}: {name_some(alone)}")]


def _doubles(table: pd.DataFrame) -> list[Finding]:
    if "digest" not in table:
        return []
    doubles: dict[str, list[str]] = {"under several identities": [], "twice in one split": []}
    crossing = []
    for _, group in table[table.duplicated("digest", keep=False)].groupby("digest"):
        named = " = ".join(group["path"])
        if (group["split"] == "train").nunique() > 1:
            crossing.append(named)
        elif group["pid"].nunique() > 1:
            doubles["under several identities"].append(named)
        elif group["split"].duplicated().any():
            doubles["twice in one split"].append(named)
    found = [
        Finding("warning", f"{len(of)} files are there {how}: {name_some(of)}") for how, of in doubles.items() if of
    ]
    if crossing:
        found.append(Finding("error", f"{len(crossing)} files both train and are tested: {name_some(crossing)}"))
    return found


def _lonely(table: pd.DataFrame) -> list[Finding]:
    train = table[table["split"] == "train"]
    people = train.groupby("pid").agg(images=("camid", "size"), cameras=("camid", "nunique"))
    cameras = table["camid"].value_counts()
    several = {
        "training identities have one image": people.index[people["images"] == 1],
        "training identities are seen by one camera only": people.index[people["cameras"] == 1],
        "cameras have one image": cameras.index[cameras == 1],
    }
    findings = [Finding("warning", f"{len(of)} {what}: {name_some(of)}") for what, of in several.items() if len(of)]
    if len(people) == 1:
        findings.append(Finding("error", "one training identity: there is nobody to tell it from"))
    return findings


def name_some(values: object) -> str:
    """Name the first few."""
    listed = [str(value) for value in np.asarray(values, dtype=object).ravel()]
    more = f", and {len(listed) - EXAMPLES} more" if len(listed) > EXAMPLES else ""
    return ", ".join(listed[:EXAMPLES]) + more
