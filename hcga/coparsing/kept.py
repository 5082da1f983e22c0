"""Identities whose masks are made, kept so that a run which dies need not make them again."""

from __future__ import annotations

import logging
from pathlib import Path

from hcga.coparsing.sources import Parsed
from hcga.kept_arrays import KeptArrays
from hcga.wording import counted

log = logging.getLogger(__name__)


class Kept:
    """What a source has said of identities so far, a file each.

    Parameters
    ----------
    folder : Path
        Its own, such as one from `hcga.files.scratch`.
    """

    def __init__(self, folder: Path) -> None:
        self._kept = KeptArrays(folder)

    def add(self, pid: int, parsed: Parsed) -> None:
        """Keep an identity."""
        told = {"account": parsed.account, "warnings": parsed.warnings}
        self._kept.add(pid, {"masks": parsed.masks, "labels": parsed.labels}, told)

    def read(self) -> dict[int, Parsed]:
        """Give all that is whole, by pid; what is damaged is named in the log and has to be made again."""
        results = {pid: self._kept.get(pid) for pid in self._kept.numbers()}
        found = {
            pid: Parsed(**result.arrays, account=result.told["account"], warnings=tuple(result.told["warnings"]))
            for pid, result in results.items()
            if result
        }
        if found:
            log.info("going on after %s", counted(len(found), "identity"))
        return found
