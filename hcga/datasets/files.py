"""What may be wrong with the files of a data set: each is decoded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from hcga.datasets.check import Finding, name_some
from hcga.datasets.truth import PartLabels
from hcga.errors import InputError
from hcga.images import describe_image, load_labels
from hcga.runs.progress import track

USUAL = "RGB"
SMALL = 32  # pixels of height below which a person is hard to make out
T = TypeVar("T")
R = TypeVar("R")


class Facts(NamedTuple):
    """What an image file is."""

    mode: str
    height: int  # pixels
    width: int


class FileReport(NamedTuple):
    """What was found out about files."""

    summary: str  # one line: how many, modes, sizes
    findings: list[Finding]
    bad: list[int]  # places of those that cannot be decoded


def examine_files(files: Sequence[Path], skip: bool) -> FileReport:
    """Decode all files and tell what they are.

    Parameters
    ----------
    files : sequence of Path
    skip : bool
        Whether what cannot be decoded will be left out: then it is no error.

    Returns
    -------
    FileReport
        Findings for each file that cannot be decoded; warnings for modes other than RGB (they are converted, see
        `load_image`) and for small images.
    """
    described = _in_parallel(_describe, files, "decoding")
    facts = [(file, fact) for file, fact in zip(files, described, strict=True) if isinstance(fact, Facts)]
    bad = {place: fact for place, fact in enumerate(described) if isinstance(fact, str)}
    findings = [Finding("warning", f"left out: {text}") if skip else Finding("error", text) for text in bad.values()]
    for mode, count in Counter(fact.mode for _, fact in facts).items():
        if mode != USUAL:
            named = name_some([file for file, fact in facts if fact.mode == mode])
            findings.append(Finding("warning", f"{count} images of mode {mode} become {USUAL}: {named}"))
    small = [file for file, fact in facts if fact.height < SMALL]
    if small:
        findings.append(Finding("warning", f"{len(small)} images are lower than {SMALL} pixels: {name_some(small)}"))
    return FileReport(_summarise([fact for _, fact in facts]), findings, list(bad))


def examine_labels(labelled: Sequence[tuple[Path, Path]]) -> tuple[str, list[Finding]]:
    """Read the label images of images, where there are any.

    Parameters
    ----------
    labelled : sequence of (Path, Path)
        Where the label image would be, and the image.

    Returns
    -------
    summary : str
        One line.
    findings : list of Finding
        An error for each bad one; else one if the labels as a whole make no sense.
    """
    there, seen = [pair for pair in labelled if pair[0].is_file()], PartLabels()

    def read(pair: tuple[Path, Path]) -> str | None:
        try:
            seen.add(pair[0], load_labels(*pair))
        except InputError as error:
            return str(error)
        return None

    findings = [Finding("error", problem) for problem in _in_parallel(read, there, "true masks") if problem]
    summary = f"true masks: {len(there):,} of {len(labelled):,} images have one"
    if findings or not there:
        return summary, findings
    try:
        return f"{summary}, of {seen.part_classes()} part classes", []
    except InputError as error:
        return summary, [Finding("error", str(error))]


def _in_parallel(examine: Callable[[T], R], things: Sequence[T], what: str) -> list[R]:
    with ThreadPoolExecutor() as pool:
        return list(track(pool.map(examine, things), what, len(things), "image"))


def _describe(file: Path) -> Facts | str:
    try:
        return Facts(*describe_image(file))
    except InputError as error:
        return str(error)


def _summarise(facts: list[Facts]) -> str:
    if not facts:
        return "no image could be decoded"
    modes = ", ".join(f"{count:,} {mode}" for mode, count in Counter(fact.mode for fact in facts).most_common())
    sizes = np.array([(fact.height, fact.width) for fact in facts])
    low, high = (" x ".join(str(pixels) for pixels in limit) for limit in (sizes.min(0), sizes.max(0)))
    return (
        f"{len(facts):,} images decoded: {modes}; {low if low == high else f'{low} to {high}'} pixels (height x width)"
    )
