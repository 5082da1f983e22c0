"""Arrays of numbers and cells of texts in a file of MATLAB's older format (level 5), and no more of it.

scipy's reader crashes the process on some damaged files, and unpacks and nests without end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

UNPACKED = 64 * 2**20  # bytes at most, of all parts; of a file too
HEADER = 128  # bytes
MATRIX, PACKED = 14, 15  # kinds of parts that hold parts
CELL, TEXT = 1, 4  # classes of matrices
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # kind: dtype
ENCODINGS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}  # kind: of text


def read_arrays(content: bytes) -> dict[str, list[Any]]:
    """Read the arrays of a file.

    Parameters
    ----------
    content : bytes
        Of the file.

    Returns
    -------
    dict of str to list
        By name the numbers or texts, column by column.

    Raises
    ------
    ValueError, LookupError, zlib.error
        It is no such file, is cut short, unpacks to more than `UNPACKED` bytes, or holds something else.
    """
    if not content.startswith(b"MATLAB 5.0"):
        raise ValueError("it does not begin as a MAT-file of level 5 does")
    order = ">" if content[HEADER - 2 : HEADER] == b"MI" else "<"
    found, left = {}, UNPACKED
    for kind, part in _parts(content[HEADER:], order):
        unpacked = _unpack(part, left) if kind == PACKED else b""
        left -= len(unpacked)
        for inner, matrix in _parts(unpacked, order) if kind == PACKED else [(kind, part)]:
            if inner == MATRIX:
                name = list(_parts(matrix, order))[2][1].decode("ascii")
                found[name] = _values(matrix, order)
    return found


def _unpack(part: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(part, most + 1)  # 0 would be any number
    if not unpacker.eof or len(unpacked) > most:
        raise ValueError(f"it is cut short, or unpacks to more than {UNPACKED // 2**20} MB")
    return unpacked


def _values(matrix: bytes, order: str, in_cell: bool = False) -> list[Any]:
    (_, flags), _, _, *values = _parts(matrix, order)
    kind_of_matrix = _number(flags[:4], order) & 255
    if kind_of_matrix == CELL and not in_cell:
        return [value for _, inner in values for value in _values(inner, order, in_cell=True)]
    kind, content = values[0]
    if kind_of_matrix == TEXT:
        encoding = ENCODINGS[kind]
        return [content.decode(encoding if encoding == "utf-8" else f"{encoding}-{'be' if order == '>' else 'le'}")]
    return np.frombuffer(content, order + NUMBERS[kind]).tolist()


def _parts(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each part: kind and length in four bytes each, or, of up to four bytes, in two each."""
    place = 0
    while place < len(content):
        kind, length, start = _number(content[place : place + 4], order), 0, place + 8
        if kind >> 16:
            kind, length, start = kind & 0xFFFF, kind >> 16, place + 4
            place += 8
        else:
            length = _number(content[place + 4 : place + 8], order)
            place += 8 + length + (0 if kind == PACKED else -length % 8)
        if start + length > len(content):
            raise ValueError("it is cut short")
        yield kind, content[start : start + length]


def _number(content: bytes, order: str) -> int:
    return int.from_bytes(content, "big" if order == ">" else "little")
