"""What may be wrong with the files of a data set: each is decoded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from hcga.datasets.check import Finding, name_some
from hcga.errors import InputError
from hcga.images import describe_image

USUAL = "RGB"
SMALL = 32  # pixels of height below which a person is hard to make out


class Facts(NamedTuple):
    """What an image file is."""

    mode: str
    height: int  # pixels
    width: int


def examine_files(files: Sequence[Path]) -> tuple[str, list[Finding]]:
    """Decode all files and tell what they are.

    Parameters
    ----------
    files : sequence of Path

    Returns
    -------
    summary : str
        One line: how many, modes, sizes.
    findings : list of Finding
        An error for each file that cannot be decoded; warnings for modes other than RGB (they are converted, see
        `load_image`) and for small images.
    """
    with ThreadPoolExecutor() as pool:
        described = list(tqdm(pool.map(_describe, files), "decoding", len(files), unit="image", disable=None))
    facts = [(file, fact) for file, fact in zip(files, described, strict=True) if isinstance(fact, Facts)]
    findings = [Finding("error", fact) for fact in described if isinstance(fact, str)]
    for mode, count in Counter(fact.mode for _, fact in facts).items():
        if mode != USUAL:
            named = name_some([file for file, fact in facts if fact.mode == mode])
            findings.append(Finding("warning", f"{count} images of mode {mode} become {USUAL}: {named}"))
    small = [file for file, fact in facts if fact.height < SMALL]
    if small:
        findings.append(Finding("warning", f"{len(small)} images are lower than {SMALL} pixels: {name_some(small)}"))
    return _summarise([fact for _, fact in facts]), findings


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
