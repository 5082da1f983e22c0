"""Results kept one by one, so that a run which dies need not compute them again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load, save

from hcga.files import digest, fresh

log = logging.getLogger(__name__)


class Result(NamedTuple):
    """What was kept under a number."""

    arrays: dict[str, np.ndarray]
    told: Any  # of what JSON has


class KeptArrays:
    """Results by number, a file each; its name carries the digest of its content.

    Parameters
    ----------
    folder : Path
        Its own, such as one from `hcga.files.scratch`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, number: int, arrays: Mapping[str, np.ndarray], told: object) -> None:
        """Keep a result in place of what there is under its number."""
        before = list(self._folder.glob(f"{number}-*"))
        content = save({name: np.ascontiguousarray(rows) for name, rows in arrays.items()}, {"told": json.dumps(told)})
        with fresh(self._folder / f"{number}-{digest(content)}") as draft:
            draft.write_bytes(content)
        for file in before:
            file.unlink(missing_ok=True)

    def numbers(self) -> list[int]:
        """Of all that there is, in order."""
        for draft in self._folder.glob(".*"):  # of a run that died
            draft.unlink()
        return sorted(int(file.name.partition("-")[0]) for file in self._folder.iterdir())

    def get(self, number: int) -> Result | None:
        """The result of a number; None if there is none, or it is damaged, which the log says."""
        for file in self._folder.glob(f"{number}-*"):
            content = file.read_bytes()
            if digest(content) == file.name.partition("-")[2]:
                size = int.from_bytes(content[:8], "little")
                return Result(load(content), json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["told"]))
            log.warning("%s: damaged, so that it is computed again", file)
            file.unlink()
        return None
