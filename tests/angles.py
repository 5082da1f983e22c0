"""Embeddings by angle, for tests of retrieval."""

from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from hcga.params import Evaluate
from hcga.samples import COLUMNS
from hcga.store_writing import write_store
from hcga.stores import open_store

PLAIN = Evaluate(
    features="I",
    similarity="paper",
    visibility="any",
    least_share=0.5,
    least_confidence=0.75,
    rerank=False,
    multi_query=False,
)

RUN = {"seed": 1, "train": {"device": "cpu: A", "threads": 2}, "embed": {"device": "cpu: A", "threads": 2}}
# Angles of the image features in degrees: both queries stand at 0 and look for the smallest angle.
ROWS = [
    ("train", 9, 1, 0),
    ("train", 9, 2, 0),
    ("query", 1, 1, 0),
    ("query", 2, 1, 0),
    ("gallery", -1, 2, 1),  # junk
    ("gallery", 0, 2, 10),  # distractor
    ("gallery", 1, 1, 2),  # query 1's own camera
    ("gallery", 1, 2, 30),
    ("gallery", 1, 3, 50),
    ("gallery", 2, 2, 20),
]


def samples(rows: list[tuple[str, int, int, float]] = ROWS) -> pd.DataFrame:
    table = [
        (split, pid, camid, 1, number, f"{number}.jpg", "main") for number, (split, pid, camid, _) in enumerate(rows)
    ]
    return pd.DataFrame(table, columns=list(COLUMNS))


def embeddings(
    path: Path, rows: list[tuple[str, int, int, float]] = ROWS, parsing: bool = True, **changes: np.ndarray
) -> zarr.Group:
    """Write features with the angles of the rows; C = 3, two parts, maps of 4 x 2 cells."""
    angles = np.deg2rad([angle for *_, angle in rows])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    arrays = {
        "image": vectors,
        "foreground": vectors,
        "parts": np.stack([vectors, vectors], 1),
        "likely": np.ones((len(rows), 2), np.float32),
        "guided": np.ones((len(rows), 2), np.float32),
        "peak": np.ones((len(rows), 2), np.float32),
        "parsed": np.zeros((len(rows), 4, 2), np.uint8),
    }
    attributes = {"epoch": 6, "parsing": parsing, "part_classes": 3, "run": RUN}
    write_store(path / "embeddings.zarr", arrays | changes, **attributes)
    return open_store(path / "embeddings.zarr")
