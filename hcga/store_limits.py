"""What an array of a store may be: its description is believed before a value is read, and may name any size.

Nor is a chunk unpacked that says it is larger than the array's chunks are: hence zstd alone, whose frames begin with
their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import zarr
from zarr.codecs import ZstdCodec
from zarr.registry import fully_qualified_name, register_codec

from hcga.errors import brief

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

ROW_BYTES, ROWS = 2**28, 10**8  # of a row and of what is unpacked at once; of an array
KINDS = "buif"  # numpy's letters of truth values and real numbers
CODECS = {"bytes", "crc32c", "sharding_indexed", "transpose", "zstd"}
MAGIC, LONGEST_HEAD = b"\x28\xb5\x2f\xfd", 18  # of a zstd frame
WIDE = 64  # bytes that checksums may add to a chunk
# What the stages write, by name: dimensions and dtypes.
SHAPES = {
    "images": (4, ["uint8"]),
    "features": (4, ["float16", "float32"]),
    **dict.fromkeys(["truth", "masks", "labels", "external", "repairs", "parsed"], (3, ["uint8"])),
    "parts": (3, ["int8", "float16", "float32"]),
    **dict.fromkeys(["image", "foreground"], (2, ["int8", "float16", "float32"])),
    **dict.fromkeys(["likely", "guided", "peak"], (2, ["float16", "float32"])),
}


class BoundedZstd(ZstdCodec):
    """zstd that unpacks no more than a chunk holds; `ValueError` for a frame that says it is larger, or says nothing.

    zarr reads every array of this process with it.
    """

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        most = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        size = _frame_size(chunk_bytes[:LONGEST_HEAD].to_bytes())
        if size is None or size > most + WIDE:
            raise ValueError(
                f"a chunk of {most:,} bytes unpacks to {'an unknown number' if size is None else f'{size:,}'}"
            )
        return super()._decode_sync(chunk_bytes, chunk_spec)


register_codec("zstd", BoundedZstd)
zarr.config.set({"codecs.zstd": fully_qualified_name(BoundedZstd)})


def _frame_size(head: bytes) -> int | None:
    """Bytes to which a zstd frame unpacks, by its header (RFC 8878, 3.1.1.1); None if that does not say."""
    if head[:4] != MAGIC or len(head) < 5:
        return None
    descriptor = head[4]
    single = descriptor >> 5 & 1  # segment: then there is no window descriptor
    length = (single, 2, 4, 8)[descriptor >> 6]
    start = 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3]
    field = head[start : start + length]
    return int.from_bytes(field, "little") + (256 if length == 2 else 0) if length and len(field) == length else None


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
