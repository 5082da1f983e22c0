"""What may be wrong with a data set: in its table (here) and in its files (`hcga.datasets.files`)."""

from __future__ import annotations

import logging
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from hcga.datasets.readers import LAYOUTS
from hcga.errors import InputError
from hcga.files import digest
from hcga.held_out import hold_out
from hcga.samples import DISTRACTOR, JUNK, SplitCounts, arrange, count_splits

log = logging.getLogger(__name__)
EXAMPLES = 5  # named in a finding
HOLD_OUT_SEED = 0  # fixed, so that runs with different seeds share their validation identities
NO_FILE = ""  # digest of a file that is not there
EMPTY_FILE = digest(b"")


class Finding(NamedTuple):
    """Something that was found out; an error makes training or figures senseless, a warning may be as it should be."""

    severity: Literal["error", "warning"]
    text: str


def format_counts(counts: list[SplitCounts]) -> str:
    """Format counts as a text table."""
    return pd.DataFrame(counts).to_string(index=False, formatters={"images": "{:,}".format, "junk": "{:,}".format})


def compare_counts(table: pd.DataFrame, layout: str, on_difference: str) -> list[Finding]:
    """Compare the numbers of images (without junk) and identities of each split with the published ones.

    Parameters
    ----------
    table : DataFrame
        Columns split, pid, camid; splits that it does not have are not looked at.
    layout : str
        A key of `LAYOUTS`.
    on_difference : {'warn', 'error', 'ignore'}
        What a difference is.
    """
    known = LAYOUTS[layout]
    counts = [split for split in count_splits(table) if split.split in known.counts]
    found = {split.split: (split.images - split.junk, split.identities) for split in counts}
    published = {split: known.counts[split] for split in found}
    if found == published or on_difference == "ignore":
        return []
    there, wanted = (
        ", ".join(f"{split} {images:,} / {identities:,}" for split, (images, identities) in numbers.items())
        for numbers in (found, published)
    )
    text = f"images / identities are {there}, but {layout} was published with {wanted} ({known.source})"
    return [Finding("error" if on_difference == "error" else "warning", text)]


def check_counts(table: pd.DataFrame, layout: str, on_difference: str) -> None:
    """Log the counts of a data set, and how they differ from the published ones.

    Raises
    ------
    InputError
        They differ and `on_difference` is 'error'; with 'warn' that is logged, with 'ignore' not looked at.
    """
    log.info("%s", format_counts(count_splits(table)))
    report_findings(compare_counts(table, layout, on_difference), "counts differ from the published ones")


def report_findings(findings: list[Finding], headline: str) -> None:
    """Log warnings; `InputError` with a headline and the errors, if there are any."""
    for finding in findings:
        if finding.severity == "warning":
            log.warning("warning: %s", finding.text)
    errors = [f"  {finding.text}" for finding in findings if finding.severity == "error"]
    if errors:
        raise InputError("\n".join([f"{headline}:", *errors]))


def make_samples(table: pd.DataFrame, validation: float | None) -> tuple[pd.DataFrame | None, list[Finding]]:
    """Make the sample table of joined catalogues, and look for what is wrong with it.

    Parameters
    ----------
    table : DataFrame
        From `join_tables`.
    validation : float or None
        Share of the training identities to hold out in place of the test identities.

    Returns
    -------
    samples : DataFrame or None
        Arranged; None where splits or identities are missing.
    findings : list of Finding
        Errors first.
    """
    try:
        samples = hold_out(table, validation, HOLD_OUT_SEED) if validation else arrange(table)
    except InputError as error:
        return None, [Finding("error", str(error)), *examine_table(table)]
    unseen = _overlap(table) if validation else []  # choices made by held-out identities must not have seen the test's
    return samples, [*unseen, *examine_table(samples)]


def examine_table(table: pd.DataFrame) -> list[Finding]:
    """Look for what makes training senseless or figures wrong.

    Parameters
    ----------
    table : DataFrame
        split, pid, camid, path, dataset and digest.

    Returns
    -------
    list of Finding
        Errors first.
    """
    if table["dataset"].nunique() > 1:
        table = table.assign(path=table["dataset"] + ":" + table["path"])
    findings = [
        *_misplaced(table),
        *_overlap(table),
        *_missing_matches(table),
        *_doubles(table),
        *_lonely(table),
    ]
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _misplaced(table: pd.DataFrame) -> list[Finding]:
    odd = table[(table["pid"] <= DISTRACTOR) & (table["split"] != "gallery")]
    text = "images of junk (pid -1) or distractors (0) outside the gallery; people are numbered from 1:"
    return [Finding("error", f"{len(odd)} {text} {name_some(odd['path'])}")] if len(odd) else []


def _overlap(table: pd.DataFrame) -> list[Finding]:
    train = table["split"] == "train"
    both = sorted({int(pid) for pid in set(table["pid"][train]) & set(table["pid"][~train]) if pid > DISTRACTOR})
    if not both:
        return []
    first = " and ".join(table.loc[(table["pid"] == both[0]) & part, "path"].iloc[0] for part in (train, ~train))
    text = f"{len(both)} identities both train and are tested: {name_some(both)}; see {first}"
    return [Finding("error", text)]


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
    known = table[~table["digest"].isin([NO_FILE, EMPTY_FILE]) & (table["pid"] != JUNK)]
    doubles: dict[Finding, list[str]] = {}
    for _, group in known[known.duplicated("digest", keep=False)].groupby("digest"):
        if finding := _what_is_double(group):
            doubles.setdefault(finding, []).append(" = ".join(group["path"]))
    return [
        Finding(finding.severity, f"{len(of)} files {finding.text}: {name_some(of)}") for finding, of in doubles.items()
    ]


def _what_is_double(group: pd.DataFrame) -> Finding | None:
    """What is wrong with the rows of one content, the gravest first."""
    if (group["split"] == "train").nunique() > 1:
        return Finding("error", "both train and are tested")
    if group["dataset"].nunique() > 1:
        return Finding("error", "are in several data sets, as different people")
    # A query that is in the gallery too, at its own camera, is ignored there.
    if {"query", "gallery"} <= set(group["split"]) and len(group[["pid", "camid"]].drop_duplicates()) > 1:
        return Finding(
            "error", "are query and gallery, not of one identity at one camera, so that a query finds itself"
        )
    if group["pid"].nunique() > 1:
        return Finding("warning", "are there under several identities")
    return Finding("warning", "are there twice in one split") if group["split"].duplicated().any() else None


def _lonely(table: pd.DataFrame) -> list[Finding]:
    train = table[(table["split"] == "train") & (table["pid"] > DISTRACTOR)]
    people = train.groupby("pid").agg(images=("camid", "size"), cameras=("camid", "nunique"))
    of_camera = table.groupby(["dataset", "camid"])["path"].transform("size")
    several: dict[str, list[int]] = {
        "training identities have one image": people.index[people["images"] == 1].tolist(),
        "training identities are seen by one camera only": people.index[people["cameras"] == 1].tolist(),
        "cameras have one image": table["camid"][of_camera == 1].tolist(),
    }
    findings = [Finding("warning", f"{len(of)} {what}: {name_some(of)}") for what, of in several.items() if of]
    if len(people) == 1:
        findings.append(Finding("error", "one training identity: there is nobody to tell it from"))
    return findings


def name_some(values: object) -> str:
    """Name the first few."""
    listed = [str(value) for value in np.asarray(values, dtype=object).ravel()]
    more = f", and {len(listed) - EXAMPLES} more" if len(listed) > EXAMPLES else ""
    return ", ".join(listed[:EXAMPLES]) + more
