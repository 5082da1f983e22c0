"""Which identities a contact sheet shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hcga.masks import sheet
from hcga.masks.sheet import SHEET_IDENTITIES, contact_sheet_of
from hcga.samples import COLUMNS
from hcga.store_writing import write_store
from hcga.stores import array, open_store

PIDS = range(1, 41)


@pytest.fixture
def captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that draws a sheet and returns its captions; 40 identities of one image, the table backwards."""
    images = np.zeros((len(PIDS), 16, 8, 3), np.uint8)
    write_store(tmp_path / "images.zarr", {"images": images})
    write_store(tmp_path / "masks.zarr", {"masks": np.ones((len(PIDS), 4, 2), np.uint8)}, part_classes=4)
    rows = [("train", pid, 1, 1, 1, f"{pid}.jpg", "main") for pid in PIDS]
    table = pd.DataFrame({"pid": PIDS, "foreground_share": 9.0, "labels_left": 18, "warnings": "no head"}).iloc[::-1]
    shown: list[list[str]] = []

    def note(pictures: Any, parts: Any, texts: list[str], *rest: Any) -> np.ndarray:
        shown.append(texts)
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(sheet, "contact_sheet", note)

    def draw(worst: bool, table: pd.DataFrame = table) -> list[str]:
        stores = array(open_store(tmp_path / "images.zarr"), "images"), open_store(tmp_path / "masks.zarr")
        contact_sheet_of(stores[0], pd.DataFrame(rows, columns=list(COLUMNS)), stores[1], table, "r1", worst)
        return shown[-1]

    return draw


def test_a_sample_is_spread_over_all_identities(captions: Any) -> None:
    found = captions(worst=False)
    assert len(found) == SHEET_IDENTITIES
    assert found[0] == "identity 1: 9 % foreground, 18 labels  (no head)"
    assert found[-1].startswith("identity 40:")


def test_the_worst_are_the_first_of_the_table(captions: Any) -> None:
    assert [text.split(":")[0] for text in captions(worst=True)] == [f"identity {pid}" for pid in range(40, 24, -1)]


def test_labels_are_whole_without_any_warning(captions: Any) -> None:
    """The table as pandas reads it then: a column of nan beside the numbers."""
    table = pd.DataFrame({"pid": PIDS, "foreground_share": 8.6, "labels_left": 18, "warnings": np.nan})
    assert captions(worst=True, table=table)[0] == "identity 1: 9 % foreground, 18 labels"
