"""What compression of the stores costs and brings: run it in a folder where `dvc repro` has run.

    python benchmarks/storing.py

Every array of the last round's stores is written with each codec as the project writes it (chunks, shards) and read
again as a whole; medians. Sizes include the metadata.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from unittest import mock

import click
import numpy as np
import pandas as pd
from zarr.codecs import BloscCodec, ZstdCodec

from hcga.runs.workspace import Workspace
from hcga.store_writing import COMPRESSOR, write_store
from hcga.stores import array, open_store

CODECS = {
    "none": None,
    "lz4": BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle"),
    "lz4, shuffled": BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"),
    "zstd 1 (in use)": COMPRESSOR,
    "zstd 3": ZstdCodec(level=3, checksum=True),
    "zstd 9": ZstdCodec(level=9, checksum=True),
}
STORES = {"prepare": "images", "extract": "features", "coparse": "masks", "embed": "embeddings"}


@click.command()
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(repeats: int) -> None:
    """Print a table for each store."""
    workspace = Workspace(Path())
    last = list(workspace.params.rounds)[-1]
    for stage, option in STORES.items():
        store = open_store(workspace.path(stage, option, "" if stage == "prepare" else last))
        arrays = {name: np.asarray(array(store, name)[:]) for name in sorted(store.array_keys())}
        raw = sum(values.nbytes for values in arrays.values())
        rows = {name: measure(arrays, codec, repeats) for name, codec in CODECS.items()}
        table = pd.DataFrame(rows, index=["size", "write", "read"]).T
        table = table.assign(size=100 * table["size"] / raw, write=raw / table["write"], read=raw / table["read"])
        table[["write", "read"]] /= 2**20
        table.columns = ["size, % of raw", "write, MB/s", "read, MB/s"]
        click.echo(f"{stage}: {raw / 2**20:.1f} MB raw\n{table.round(0).astype(int).to_string()}")


def measure(arrays: dict[str, np.ndarray], codec: object, repeats: int) -> list[float]:
    """Bytes on disk, seconds to write, seconds to read."""
    taken = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder, mock.patch("hcga.store_writing.COMPRESSOR", codec):
            path = Path(folder) / "a.zarr"
            began = time.perf_counter()
            write_store(path, arrays)
            written = time.perf_counter()
            for name in arrays:
                array(open_store(path), name)[:]
            read = time.perf_counter()
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        taken.append((size, written - began, read - written))
    return [float(value) for value in np.median(taken, axis=0)]


if __name__ == "__main__":
    main()
