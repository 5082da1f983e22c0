"""The note in a folder of exported masks, by which their import tells what was edited there since."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from hcga.errors import InputError
from hcga.files import digest, fresh
from hcga.masks.external import to_cells
from hcga.masks.parts import STRIDE
from hcga.params import LARGEST_SIDE

FILE = "exported.json"
Pixels = Annotated[int, Field(ge=1, le=2**31)]
Cells = Annotated[int, Field(ge=STRIDE, le=LARGEST_SIDE, multiple_of=STRIDE)]


class Entry(BaseModel):
    """A picture as it was exported, or imported last."""

    height: Pixels
    width: Pixels
    pixels: str  # digest of its mask
    cells: str  # digest of its mask in cells
    repair: bool  # whether that was its image's repair


class ExportNote(BaseModel):
    """What the pictures of a folder were when they were exported, or imported last."""

    part_classes: int
    height: Cells  # of the network's input, pixels: decides what a cell is
    width: Cells
    masks: dict[str, Entry] = {}  # by name of the file below the folder

    def cells_of(self, mask: np.ndarray) -> np.ndarray:
        """What the network will see of a mask of any size, (H', W') uint8 -> (h, w) uint8."""
        return to_cells(mask, (self.height, self.width))

    def add(self, name: str, mask: np.ndarray, repair: bool) -> None:
        """Note a picture's mask, (H', W') uint8, and whether its image has it for a repair."""
        height, width = mask.shape
        pixels, cells = digest(mask.tobytes()), digest(self.cells_of(mask).tobytes())
        self.masks[name] = Entry(height=height, width=width, pixels=pixels, cells=cells, repair=repair)

    def holds(self, name: str, cells: np.ndarray) -> bool:
        """Whether a picture was noted with just these cells, (h, w) uint8."""
        return name in self.masks and self.masks[name].cells == digest(cells.tobytes())

    def holds_pixels(self, name: str, mask: np.ndarray) -> bool:
        """Whether a picture was noted with just this mask, (H', W') uint8."""
        return name in self.masks and self.masks[name].pixels == digest(mask.tobytes())

    def was_repair(self, name: str) -> bool:
        """Whether a picture was noted as its image's repair."""
        return name in self.masks and self.masks[name].repair

    def write(self, folder: Path) -> None:
        """Write the note into its folder."""
        with fresh(folder / FILE) as draft:
            draft.write_text(self.model_dump_json(indent=1), encoding="utf-8")


def read_note(folder: Path) -> ExportNote | None:
    """Read a folder's note; None if it has none, `InputError` if it cannot be read any more."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return ExportNote.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise InputError(
            f"{file}: not as it was written ({error.errors()[0]['msg']}); copy the edited pictures into a new export"
        ) from None
