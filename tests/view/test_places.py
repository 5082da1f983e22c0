"""What is opened once, and what is opened again."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from hcga.view import places
from hcga.view.places import REOPEN_SECONDS, Archive


def test_a_revision_is_opened_again_after_a_while(workspace_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch may have moved on."""
    now, opened = SimpleNamespace(seconds=100.0), []
    monkeypatch.setattr(places, "open_revision", lambda root, name: opened.append((root, name)) or object())
    monkeypatch.setattr(places.time, "monotonic", lambda: now.seconds)
    archive = Archive(workspace_folder)
    first = archive.revision("main")
    now.seconds += REOPEN_SECONDS - 1
    assert archive.revision("main") is first
    now.seconds += 2
    assert archive.revision("main") is not first
    assert opened == [(workspace_folder.resolve(), "main")] * 2
    archive.revision("other")
    assert opened[-1] == (workspace_folder.resolve(), "other")
