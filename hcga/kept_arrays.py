"""Results kept one by one, so that a run which dies need not compute them again."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
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
        self._files: dict[int, list[Path]] = defaultdict(list)  # listed once: for each it is quadratic
        for file in sorted(folder.iterdir()):
            if file.name.startswith("."):  # draft of a run that died
                file.unlink()
            else:
                self._files[int(file.name.partition("-")[0])].append(file)

    def add(self, number: int, arrays: Mapping[str, np.ndarray], told: object) -> None:
        """Keep a result in place of what there is under its number."""
        content = save({name: np.ascontiguousarray(rows) for name, rows in arrays.items()}, {"told": json.dumps(told)})
        path = self._folder / f"{number}-{digest(content)}"
        with fresh(path) as draft:
            draft.write_bytes(content)
        for file in self._files[number]:
            if file != path:
                file.unlink(missing_ok=True)
        self._files[number] = [path]

    def numbers(self) -> list[int]:
        """Of all that there is, in order."""
        return sorted(number for number, files in self._files.items() if files)

    def get(self, number: int) -> Result | None:
        """The result of a number; None if there is none, or it is damaged, which the log says."""
        files = self._files[number]
        while files:
            content = files[0].read_bytes()
            if digest(content) == files[0].name.partition("-")[2]:
                size = int.from_bytes(content[:8], "little")
                return Result(load(content), json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["told"]))
            log.warning("%s: damaged, so that it is computed again", files[0])
            files.pop(0).unlink()
        return None
