"""The same embeddings as a Parquet table, for other programs: a row an image, a column a vector or figure.

Needs pyarrow, of the extra `parquet`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hcga.errors import InputError
from hcga.files import fresh
from hcga.masks.parts import part_names
from hcga.using.crops import Crops
from hcga.using.embedded import Embedded
from hcga.using.model import Model
from hcga.using.store import ANEW, FOLDER, LONGEST, MODEL, Sink, describe_store, require_model, zarr_rows

ABOUT = b"hcga"  # key of the metadata
STATISTICS = ("likely", "guided", "peak")
MOST_ROWS, MOST_BYTES = 10**7, 2**30  # of the table; of a group of rows, unpacked
GROUP_ROWS, GROUP_BYTES = 2**14, MOST_BYTES // 4  # from which on a group is written
ROWS_AT_ONCE = 2**10  # that are read


@contextmanager
def parquet_sink(target: Path, model: Model, crops: Crops) -> Iterator[Sink]:
    """Give what writes rows into a Parquet table; `InputError` if there are too many images for one."""
    if len(crops.names) > MOST_ROWS:
        raise InputError(
            f"--output {target}: {len(crops.names):,} images, but a Parquet table takes {MOST_ROWS:,}; give a name "
            "that ends in .zarr"
        )
    arrow, parquet = _arrow()
    names = part_names(model.card.part_classes)[1:]
    about = json.dumps(describe_store(target, model, crops), sort_keys=True)
    schema = _schema(model).with_metadata({ABOUT: about.encode()})
    with fresh(target, flushed=True) as draft, parquet.ParquetWriter(draft, schema) as writer:
        waiting = schema.empty_table()

        def write(rows: list[str], embedded: Embedded) -> None:
            nonlocal waiting
            vectors = [embedded.image, embedded.foreground, *embedded.parts.transpose(1, 0, 2)]
            columns = [arrow.array(rows, arrow.string())]
            columns += [
                arrow.FixedSizeListArray.from_arrays(arrow.array(values.ravel()), model.card.channels)
                for values in vectors
            ]
            columns += [
                arrow.array(np.ascontiguousarray(getattr(embedded, what)[:, part]))
                for part in range(len(names))
                for what in STATISTICS
            ]
            waiting = arrow.concat_tables([waiting, arrow.Table.from_arrays(columns, schema=schema)])
            if len(waiting) >= GROUP_ROWS or waiting.nbytes >= GROUP_BYTES:
                writer.write_table(waiting)
                waiting = schema.empty_table()

        yield write
        if len(waiting):
            writer.write_table(waiting)


def unpack_parquet(path: Path, model: Model, target: Path) -> None:
    """Bring a Parquet table that `hcga embed` has written into a zarr store, to search it, a group of rows at a time.

    Raises
    ------
    InputError
        It is none, is damaged, was made by another model, or is beyond all use.
    """
    arrow, parquet = _arrow()
    try:
        file = parquet.ParquetFile(path)
        told, groups = file.metadata, range(file.metadata.num_row_groups)
        about = json.loads((file.schema_arrow.metadata or {}).get(ABOUT, b"{}"))
        largest = max((told.row_group(number).total_byte_size for number in groups), default=0)
        if not isinstance(about, dict) or not isinstance(about.get(MODEL), str):
            raise InputError(f"{path}: no table of embeddings; {ANEW}")
        if told.num_rows > MOST_ROWS or largest > MOST_BYTES:
            raise InputError(f"{path}: {told.num_rows:,} rows, up to {largest:,} bytes at once, beyond all use; {ANEW}")
        require_model(path, about[MODEL], model, ANEW)
        for column in _schema(model):
            if (found := file.schema_arrow.field(column.name).type) != column.type:
                raise InputError(f"{path}: column {column.name} has {found}, the model asks for {column.type}; {ANEW}")
        names: list[str] = []
        for some in file.iter_batches(ROWS_AT_ONCE, columns=["path"]):  # which a file may say once for all rows
            names += map(str, some["path"].to_pylist())
            if len(names) > MOST_ROWS or any(len(name.encode()) > LONGEST for name in names[-len(some) :]):
                raise InputError(f"{path}: endless names, or endless many; {ANEW}")
        if not names:
            raise InputError(f"{path}: no names; {ANEW}")
        with zarr_rows(target, {MODEL: about[MODEL], FOLDER: None}, len(names), names, model) as write:
            for some in file.iter_batches(ROWS_AT_ONCE):
                table = arrow.Table.from_batches([some])
                write([str(name) for name in table["path"].to_pylist()], _read(path, table, model))
    except (arrow.ArrowException, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no readable table of embeddings ({error}); {ANEW}") from None


def folder_told(path: Path) -> object:
    """What a table says of the folder of its pictures."""
    _, parquet = _arrow()
    return json.loads(parquet.read_schema(path).metadata[ABOUT]).get(FOLDER)


def is_ours(path: Path) -> bool:
    """Whether a file is a table of embeddings."""
    arrow, parquet = _arrow()
    try:
        return ABOUT in (parquet.read_schema(path).metadata or {})
    except (arrow.ArrowException, OSError):
        return False


def _schema(model: Model) -> Any:
    """Columns of a table and their types."""
    arrow, _ = _arrow()
    vector = arrow.list_(arrow.float32(), model.card.channels)
    names = part_names(model.card.part_classes)[1:]
    fields = [("path", arrow.string()), *((name, vector) for name in ("image", "foreground", *names))]
    return arrow.schema([*fields, *((f"{name}_{what}", arrow.float32()) for name in names for what in STATISTICS)])


def _read(path: Path, table: Any, model: Model) -> Embedded:
    """Embeddings of a group of rows."""
    names = part_names(model.card.part_classes)[1:]

    def finite(name: str, values: np.ndarray) -> np.ndarray:
        if not np.isfinite(values).all():
            raise InputError(f"{path}: column {name} has numbers that are not finite; {ANEW}")
        return values

    def vectors(name: str) -> np.ndarray:
        values = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return finite(name, values.reshape(len(table), model.card.channels))

    def figures(what: str) -> np.ndarray:
        columns = [f"{name}_{what}" for name in names]
        return np.stack([finite(column, table[column].to_numpy()) for column in columns], axis=1)

    parts = np.stack([vectors(name) for name in names], axis=1)
    return Embedded(vectors("image"), vectors("foreground"), parts, *map(figures, STATISTICS))


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(f"{error}: Parquet needs pyarrow; pip install -e '.[parquet]', or use .zarr") from None
    return pyarrow, parquet
