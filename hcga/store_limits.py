"""What an array of a store may be: its description is believed before a value is read, and may name any size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import zarr

from hcga.errors import brief

ROW_BYTES, ROWS = 2**28, 10**8  # of a row and of what is unpacked at once; of an array
KINDS = "buif"  # numpy's letters of truth values and real numbers
CODECS = {"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd"}
# What the stages write, by name: dimensions and dtypes.
SHAPES = {
    "images": (4, ["uint8"]),
    "features": (4, ["float16", "float32"]),
    **dict.fromkeys(["truth", "masks", "labels", "external", "repairs", "parsed"], (3, ["uint8"])),
    "parts": (3, ["int8", "float16", "float32"]),
    **dict.fromkeys(["image", "foreground"], (2, ["int8", "float16", "float32"])),
    **dict.fromkeys(["likely", "guided", "peak"], (2, ["float16", "float32"])),
}


def what_is_wrong(found: zarr.Array[Any], name: str) -> str | None:
    """Say why an array cannot be one of ours, by its description alone; None if it can.

    Parameters
    ----------
    found : zarr.Array
    name : str
        By which it was asked for.
    """
    shape, chunk = found.shape, found.chunks
    if found.dtype.kind not in KINDS or not shape:
        return f"it holds {brief(str(found.dtype))} in {len(shape)} dimensions, not numbers by rows"
    dimensions, dtypes = SHAPES.get(name, (len(shape), [str(found.dtype)]))
    if len(shape) != dimensions or str(found.dtype) not in dtypes:
        wanted = f"{dimensions} dimensions of {' or '.join(dtypes)}"
        return f"it has {len(shape)} dimensions of {found.dtype}, wanted are {wanted}"
    row = math.prod(shape[1:]) * found.dtype.itemsize
    if shape[0] > ROWS or max(row, math.prod(chunk) * found.dtype.itemsize) > ROW_BYTES or 0 in chunk:
        return (
            f"its shape {brief(shape)} in chunks of {brief(chunk)} is beyond all use: {ROWS:,} rows and "
            f"{ROW_BYTES // 2**20} MB a row and a chunk are the most"
        )
    if foreign := sorted(set(_names(found.metadata.to_dict()["codecs"])) - CODECS):
        return f"it is packed by {brief(foreign[0])}, known are {', '.join(sorted(CODECS))}"
    return None


def _names(codecs: Any) -> Iterable[str]:
    for codec in codecs:
        yield codec["name"]
        inner = codec.get("configuration", {})
        if isinstance(inner, Mapping):
            yield from _names(inner.get("codecs", ()))
            yield from _names(inner.get("index_codecs", ()))
