"""Whether DVC is at work in a checkout: by the note that it keeps of what its processes read and write."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hcga.runs.processes import birth

LOCKS = ".dvc/tmp/rwlock"  # each file that is written, and by which process; DVC refuses to run beside one that lives


class Busy(NamedTuple):
    """A process of DVC that may write: it compares files, stores them or has a stage at work."""

    pid: int
    command: str
    path: str  # what it writes, or may, as seen from the checkout


def busy(root: Path) -> Busy | None:
    """Find the process of DVC that is at work in a checkout.

    Parameters
    ----------
    root : Path
        Where the folder .dvc stands.

    Returns
    -------
    Busy or None
        None if there is none, or it only looks, or the note cannot be read, as while DVC writes it.
    """
    with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
        written = json.loads((root / LOCKS).read_text("utf-8")).get("write", {})
        for path, holder in written.items():
            if birth(holder["pid"]) is not None:
                program, *arguments = holder["cmd"].split()
                return Busy(holder["pid"], " ".join([Path(program).name, *arguments]), _below(Path(path), root))
    return None


def _below(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
