"""Identities that are done outlive a death, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from hcga.coparsing.kept import Kept
from hcga.coparsing.sources import Parsed

MASKS, LABELS = np.arange(12, dtype=np.uint8).reshape(2, 3, 2), np.full((2, 3, 2), 9, np.uint8)
FIRST = Parsed(MASKS, LABELS, {"iterations": 7, "labels_left": 3}, ("one", "two"))
SECOND = Parsed(np.broadcast_to(MASKS[:1], (4, 3, 2)), LABELS[:, ::-1], {}, ())


def same(one: Parsed, other: Parsed) -> bool:
    arrays = all(np.array_equal(*pair) for pair in zip(one[:2], other[:2], strict=True))
    return arrays and one[2:] == other[2:] and one.masks.dtype == other.masks.dtype


def test_what_was_added_comes_back(tmp_path: Path) -> None:
    assert Kept(tmp_path).read() == {}
    Kept(tmp_path).add(12, FIRST)
    Kept(tmp_path).add(3, SECOND)
    found = Kept(tmp_path).read()
    assert set(found) == {3, 12}
    assert same(found[12], FIRST)
    assert same(found[3], SECOND)


@pytest.mark.parametrize("damaged", [b"", b"cut"])
def test_what_is_damaged_is_made_again(tmp_path: Path, damaged: bytes, caplog: pytest.LogCaptureFixture) -> None:
    Kept(tmp_path).add(12, FIRST)
    (file,) = tmp_path.iterdir()
    Kept(tmp_path).add(3, SECOND)
    (tmp_path / ".5-abc.part").write_bytes(b"half")
    file.write_bytes(damaged or file.read_bytes()[:-1] + b"x")
    assert set(Kept(tmp_path).read()) == {3}
    assert caplog.messages == [f"{file}: damaged, so that it is computed again"]
    Kept(tmp_path).add(12, FIRST)
    assert set(Kept(tmp_path).read()) == {3, 12}
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_added_again_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for parsed in (FIRST, SECOND, SECOND):
        kept.add(12, parsed)
        assert len(list(tmp_path.iterdir())) == 1
    for found in (kept.read(), Kept(tmp_path).read()):
        np.testing.assert_array_equal(found[12].masks, SECOND.masks)


def test_the_folder_is_listed_once_as_it_grows_with_the_identities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in range(3):
        Kept(tmp_path).add(pid, FIRST)
    kept, listed = Kept(tmp_path), list[Path]()
    for name in ("glob", "iterdir"):
        monkeypatch.setattr(Path, name, lambda path, *_: listed.append(path) or [])
    kept.add(3, SECOND)
    assert set(kept.read()) == {0, 1, 2, 3}
    assert not listed
