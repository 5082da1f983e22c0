"""What a network says of images, in memory: features and statistics of visibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from hcga.errors import InputError
from hcga.network.prnet import Embedding
from hcga.params import Matching
from hcga.retrieval.pooling import pool
from hcga.retrieval.similarity import Embeddings
from hcga.retrieval.visibility import PartStatistics, visible_parts

Dtype = Literal["float32", "float16", "int8"]


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of N images, whatever the rule of visibility; q channels, C part classes.

    Attributes
    ----------
    image, foreground : (N, q) float32
        Vectors of the whole image, and of the person.
    parts : (N, C - 1, q) float32
        One vector a part, from top to bottom.
    likely, guided, peak : (N, C - 1) float32
        What says how far each part is seen, see `hcga.retrieval.visibility.PartStatistics`.
    """

    image: np.ndarray
    foreground: np.ndarray
    parts: np.ndarray
    likely: np.ndarray
    guided: np.ndarray
    peak: np.ndarray

    def __len__(self) -> int:
        """Return N."""
        return len(self.image)

    def take(self, rows: Any) -> Embedded:
        """Those of some images, in the order asked for; `rows` is anything that selects rows of a numpy array."""
        return Embedded(*(getattr(self, name)[rows] for name in NAMES))

    def arrays(self) -> dict[str, np.ndarray]:
        """All by name."""
        return {name: getattr(self, name) for name in NAMES}

    def quantised(self, dtype: Dtype) -> Embedded:
        """The same with vectors of a dtype, see `quantise`."""
        return Embedded(**self.arrays() | {name: quantise(getattr(self, name), dtype) for name in VECTORS})

    def compared_by(self, matching: Matching) -> Embeddings:
        """What is compared, with a decision on which parts are visible."""
        statistics = PartStatistics(self.likely, self.guided, self.peak)
        return Embeddings(self.image, self.foreground, self.parts, visible_parts(statistics, matching))

    def as_one_person(self, matching: Matching) -> Embedded:
        """Pool all into one row, see `hcga.retrieval.pooling`: a part counts as visible if it does in some image."""
        pooled = pool(self.compared_by(matching), np.zeros(len(self), np.int64))
        statistics = (values.max(0, keepdims=True) for values in (self.likely, self.guided, self.peak))
        return Embedded(pooled.image, pooled.foreground, pooled.parts, *statistics)


NAMES = tuple(field.name for field in fields(Embedded))
VECTORS = ("image", "foreground", "parts")


def of_network(embedding: Embedding) -> Embedded:
    """Bring what a network gives into memory."""
    return Embedded(*(getattr(embedding, name).float().cpu().numpy() for name in NAMES))


def join(several: Sequence[Embedded]) -> Embedded:
    """Put embeddings below each other; at least one."""
    return Embedded(*(np.concatenate([getattr(each, name) for each in several]) for name in NAMES))


def quantise(vectors: np.ndarray, dtype: Dtype) -> np.ndarray:
    """Quantise vectors (..., q) float32, each by its largest absolute number, which becomes 127 (float16: 1).

    Cosines, which are all that is ever looked at, do not see that. What is quantised already stays.

    Raises
    ------
    InputError
        A number is not finite.
    """
    if vectors.dtype == dtype:
        return vectors
    if not np.isfinite(vectors).all():
        raise InputError(f"the model gives numbers that are not finite, and {dtype} would hide it; give another model")
    largest = np.abs(vectors).max(-1, keepdims=True)
    scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    return scaled.astype(np.float16) if dtype == "float16" else np.rint(127 * scaled).astype(np.int8)


def nothing(channels: int, part_classes: int) -> Embedded:
    """Embeddings of no image."""
    vectors, parts = np.zeros((0, channels), np.float32), np.zeros((0, part_classes - 1), np.float32)
    return Embedded(vectors, vectors, np.zeros((0, part_classes - 1, channels), np.float32), parts, parts, parts)
