"""What a file in MATLAB's older format holds, looked at before scipy reads it, which unpacks and nests without end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal

UNPACKED = 64 * 2**20  # bytes at most, of all parts
HEADER = 128  # bytes
MATRIX, PACKED = 14, 15  # kinds of parts
CELL, NUMBERS = 1, range(4, 16)  # classes of matrices: of matrices, of signs or numbers
Order = Literal["big", "little"]


def refuse_what_grows(content: bytes) -> None:
    """Refuse a file whose parts unpack to more than `UNPACKED` bytes, or hold more than cells of plain arrays.

    Raises
    ------
    ValueError
        It is such a file.
    """
    order: Order = "big" if content[HEADER - 2 : HEADER] == b"MI" else "little"
    left = UNPACKED
    for kind, part in _parts(content[HEADER:], order):
        if kind == PACKED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(part, left)
            left -= len(unpacked)
            if unpacker.unconsumed_tail or left <= 0:
                raise ValueError(f"it unpacks to more than {UNPACKED // 2**20} MB")
            for inner, matrix in _parts(unpacked, order):
                _refuse_nested(inner, matrix, order)
        else:
            _refuse_nested(kind, part, order)


def _refuse_nested(kind: int, part: bytes, order: Order, within: int | None = None) -> None:
    if kind != MATRIX or not part:
        return
    klass = int.from_bytes(part[8:12], order) & 255
    if klass not in NUMBERS and (klass != CELL or within == CELL):
        raise ValueError("it holds more than plain arrays and cells of them")
    if klass == CELL:
        for inner, matrix in list(_parts(part, order))[3:]:  # after flags, size and name
            _refuse_nested(inner, matrix, order, CELL)


def _parts(content: bytes, order: Order) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each part: kind and length in four bytes each, or, of up to four bytes, in two each."""
    place = 0
    while place + 8 <= len(content):
        kind, length = (int.from_bytes(content[at : at + 4], order) for at in (place, place + 4))
        if kind >> 16:
            yield kind & 0xFFFF, content[place + 4 : place + 4 + (kind >> 16)]
            place += 8
        else:
            yield kind, content[place + 8 : place + 8 + length]
            place += 8 + length + (-length % 8 if kind != PACKED else 0)
