"""What is behind other bytes: how the arrays, columns and figures of two files or stores differ."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr
from PIL import Image

from hcga.csv_files import read_table
from hcga.errors import InputError
from hcga.runs.staleness import differences
from hcga.stores import array, open_store, read_rows

BLOCK_BYTES = 64 * 2**20  # of an array are in memory at once
NO_MEASURE = math.inf


class Measured(NamedTuple):
    """How two arrays, columns or figures differ; see `hcga.verification.differences.Difference`."""

    part: str
    how: str
    extent: float


def measure_bytes(before: Path, after: Path) -> Iterator[Measured]:
    """Compare two files of which nothing more is known."""
    sizes = [path.stat().st_size for path in (before, after)]
    yield Measured("", f"{sizes[0]} bytes, now {sizes[1]}" if sizes[0] != sizes[1] else "other bytes", NO_MEASURE)


def _measure_stores(before: Path, after: Path) -> Iterator[Measured]:
    first, second = open_store(before), open_store(after)
    yield from _measure_values(dict(first.attrs), dict(second.attrs), "attribute ")
    for name in sorted({*first.array_keys(), *second.array_keys()}):
        if name not in first or name not in second:
            yield Measured(name, "is new" if name in second else "is no longer there", NO_MEASURE)
        else:
            pair = [array(store, name) for store in (first, second)]
            yield from _measure_arrays(name, [f"{of.dtype} {of.shape}" for of in pair], _blocks(*pair))


def _blocks(before: zarr.Array[Any], after: zarr.Array[Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rows = max(1, BLOCK_BYTES // max(1, before.nbytes // max(1, before.shape[0])))
    for start in range(0, before.shape[0], rows):
        block = np.arange(start, min(start + rows, before.shape[0]))
        yield read_rows(before, block), read_rows(after, block)


def _measure_tensors(before: Path, after: Path) -> Iterator[Measured]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(before, framework="pt") as first, safe_open(after, framework="pt") as second:
            old, new = (_described(file.metadata() or {}) for file in (first, second))
            yield from _measure_values(old, new, "metadata ")
            for name in sorted({*first.keys(), *second.keys()}):
                if name not in first.keys() or name not in second.keys():  # noqa: SIM118
                    yield Measured(name, "is new" if name in second.keys() else "is no longer there", NO_MEASURE)  # noqa: SIM118
                    continue
                pair = [file.get_tensor(name) for file in (first, second)]
                forms = [f"{str(of.dtype).removeprefix('torch.')} {tuple(of.shape)}" for of in pair]
                values = [(of.double() if of.is_floating_point() else of).numpy() for of in pair]
                yield from _measure_arrays(name, forms, [values])
    except SafetensorError as error:
        raise InputError(str(error)) from None


def _described(metadata: dict[str, str]) -> dict[str, Any]:
    """What a model says of itself, with its card unfolded."""
    values = {}
    for name, text in metadata.items():
        with suppress(ValueError):
            values[name] = json.loads(text)
    return metadata | values


def _measure_tables(before: Path, after: Path) -> Iterator[Measured]:
    pair = [read_table(path) for path in (before, after)]
    first, second = pair
    if list(first) != list(second) or len(first) != len(second):
        forms = [f"{len(table)} rows of {', '.join(map(str, table))}" for table in pair]
        yield Measured("", f"{forms[0]}, now {forms[1]}", NO_MEASURE)
        return
    for name in first:
        columns = [table[name] for table in pair]
        numbers = all(pd.api.types.is_numeric_dtype(column) for column in columns)
        floats = numbers and any(pd.api.types.is_float_dtype(column) for column in columns)
        kind = np.float64 if floats else np.str_
        values = [column.to_numpy().astype(kind) for column in columns]
        yield from _measure_arrays(f"column {name}", ["", ""], [values])


def _measure_json(before: Path, after: Path) -> Iterator[Measured]:
    first, second = (json.loads(path.read_text("utf-8")) for path in (before, after))
    yield from _measure_values(first, second, "")


def _measure_pictures(before: Path, after: Path) -> Iterator[Measured]:
    pair = []
    for path in (before, after):
        with Image.open(path) as picture:
            pair.append(np.asarray(picture))
    yield from _measure_arrays("pixels", [f"{of.shape}" for of in pair], [pair])


MEASURES: dict[str, Callable[[Path, Path], Iterator[Measured]]] = {
    "store": _measure_stores,
    ".safetensors": _measure_tensors,
    ".csv": _measure_tables,
    ".json": _measure_json,
    ".png": _measure_pictures,
    ".jpg": _measure_pictures,
}


def _measure_values(before: Any, after: Any, prefix: str) -> Iterator[Measured]:
    """Compare two nested mappings value by value."""
    for name in sorted(differences(before, after)):
        old, new = _at(before, name), _at(after, name)
        if isinstance(old, float) and isinstance(new, (float, int)) and not isinstance(new, bool):
            extent = abs(new - old) / abs(old) if old else NO_MEASURE
            yield Measured(f"{prefix}{name}", f"{old:g}, now {new:g}", extent)
        else:
            yield Measured(f"{prefix}{name}", f"{_short(old)}, now {_short(new)}", NO_MEASURE)


def _at(values: Any, name: str) -> Any:
    for key in name.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _short(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _measure_arrays(part: str, forms: Sequence[str], blocks: Iterable[Sequence[np.ndarray]]) -> Iterator[Measured]:
    """Compare two arrays of these forms block by block."""
    if forms[0] != forms[1]:
        yield Measured(part, f"{forms[0]}, now {forms[1]}", NO_MEASURE)
        return
    differing = total = 0
    floats, largest, scale = False, 0.0, 0.0
    for first, second in blocks:
        floats = np.issubdtype(first.dtype, np.floating)
        unequal = (first != second) & ~((first != first) & (second != second))  # two NaN are equal here
        differing, total = differing + int(unequal.sum()), total + first.size
        if floats:
            scale = max(scale, _largest(first[np.isfinite(first)]))
            apart = np.abs(first[unequal].astype(np.float64) - second[unequal].astype(np.float64))
            largest = max(largest, _largest(np.nan_to_num(apart, nan=NO_MEASURE, posinf=NO_MEASURE)))
    count = f"{differing} of {total} values differ"
    if differing and floats:
        extent = largest / scale if scale else NO_MEASURE
        yield Measured(part, f"{count}, by up to {largest:.2g}, {extent:.2g} of the largest value", extent)
    elif differing:
        yield Measured(part, f"{count}, {differing / total:.2g} of all", differing / total)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max()) if values.size else 0.0
