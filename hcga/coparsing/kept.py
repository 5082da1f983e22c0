"""Identities whose masks are made, kept so that a run which dies need not make them again."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from hcga.coparsing.sources import Parsed
from hcga.files import digest, fresh
from hcga.progress import counted

log = logging.getLogger(__name__)


class Kept:
    """What a source has said of identities so far, a file each.

    Parameters
    ----------
    folder : Path
        Its own, such as one from `hcga.files.scratch`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, pid: int, parsed: Parsed) -> None:
        """Keep an identity; its file carries the digest of its content in its name."""
        told = json.dumps({"account": parsed.account, "warnings": parsed.warnings})
        arrays = {name: np.ascontiguousarray(getattr(parsed, name)) for name in ("masks", "labels")}
        content = save(arrays, {"told": told})
        with fresh(self._folder / f"{pid}-{digest(content)}") as draft:
            draft.write_bytes(content)

    def read(self) -> dict[int, Parsed]:
        """Give all that is whole, by pid; what is damaged is named in the log and has to be made again."""
        found = {}
        for file in sorted(self._folder.iterdir()):
            if file.name.startswith("."):  # the draft of a run that died
                file.unlink()
                continue
            content = file.read_bytes()
            pid, _, expected = file.name.partition("-")
            if digest(content) == expected:
                found[int(pid)] = _parsed(content)
            else:
                log.warning("%s: damaged, so that this identity is parsed again", file)
                file.unlink()
        if found:
            log.info("going on after %s", counted(len(found), "identity"))
        return found


def _parsed(content: bytes) -> Parsed:
    arrays = load(content)
    size = int.from_bytes(content[:8], "little")
    told = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["told"])
    return Parsed(arrays["masks"], arrays["labels"], told["account"], tuple(told["warnings"]))
