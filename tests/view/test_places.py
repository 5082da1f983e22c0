"""What is opened once, and what is opened again."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from hcga.runs.workspace import Workspace
from hcga.view import places
from hcga.view.places import Archive


def test_a_revision_is_opened_again_after_a_while(workspace_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch may have moved on; or somebody has cleared what was opened."""
    now, opened = SimpleNamespace(seconds=100.0), []

    def open_revision(root: Path, name: str) -> Workspace:
        opened.append((root, name))
        (root / "params.yaml").touch()
        return Workspace(root)

    monkeypatch.setattr(places, "open_revision", open_revision)
    monkeypatch.setattr(places.time, "monotonic", lambda: now.seconds)
    archive = Archive(workspace_folder)
    first = archive.revision("main")
    now.seconds += 5
    assert archive.revision("main") is first
    now.seconds += 60
    second = archive.revision("main")
    assert second is not first
    assert opened == [(workspace_folder.resolve(), "main")] * 2
    archive.revision("other")
    assert opened[-1] == (workspace_folder.resolve(), "other")
    (workspace_folder / "params.yaml").unlink()
    assert archive.revision("main") is not second
