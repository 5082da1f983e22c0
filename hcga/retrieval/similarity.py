"""Similarity of two sets of embeddings: Eq. (10) of the HCGA paper and the authors' own variant of it.

Letters: Q queries, G gallery images, N images of either set, P body parts (background left out), D embedding.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: What can be compared (Table VIII): I image vector, F foreground vector, P part vectors.
FEATURES = ("F", "P", "F+P", "I+F", "I+F+P", "I")
#: How it is compared: Eq. (10) as printed, as the published implementation computes it, or as a mean of cosines.
VARIANTS = ("paper", "authors", "mean")
#: What the cosine of a shared part counts, beside 1 of a whole vector; and what it adds to the denominator.
WEIGHT = {"paper": 0.5, "authors": 1.0, "mean": 0.5}
DIVISOR = {"paper": 1.0, "mean": 0.5}


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What the network says of N images. Checked once, when it is made.

    Attributes
    ----------
    image : (N, D) float32
        Vector of the whole image.
    foreground : (N, D) float32
        Vector of the person without background.
    parts : (N, P, D) float32
        One vector a part, ordered top to bottom. P may be 0 (a network without parsing). The vector of a
        part that is not visible is never read: it may hold anything, NaN included.
    visible : (N, P) float32
        How far the part is seen in the image, in [0, 1].

    Raises
    ------
    ValueError
        If shapes or data types do not fit together.
    """

    image: NDArray[np.float32]
    foreground: NDArray[np.float32]
    parts: NDArray[np.float32]
    visible: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, ndim in (("image", 2), ("foreground", 2), ("parts", 3), ("visible", 2)):
            array = getattr(self, name)
            if array.dtype != np.float32:
                raise ValueError(f"{name} must be float32, not {array.dtype}")
            if array.ndim != ndim:
                raise ValueError(f"{name} must have {ndim} dimensions, not {array.ndim}: shape {array.shape}")
        images, dim = self.image.shape
        parts = self.parts.shape[1]
        wanted = {"foreground": (images, dim), "parts": (images, parts, dim), "visible": (images, parts)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} has shape {getattr(self, name).shape}, but image {self.image.shape}"
                    f" and parts {self.parts.shape} ask for {shape}"
                )

    def __len__(self) -> int:
        """Return N, the number of images."""
        return len(self.image)

    def take(self, rows: Any) -> Embeddings:
        """Return the embeddings of some images, in the order asked for.

        Parameters
        ----------
        rows : (M,) int, (N,) bool or slice
            Anything that selects rows of a numpy array.
        """
        return Embeddings(self.image[rows], self.foreground[rows], self.parts[rows], self.visible[rows])


class Gallery(Protocol):
    """Embeddings of which some can be taken: `Embeddings`, or what reads them from disk."""

    def __len__(self) -> int:
        """Return G."""

    def take(self, rows: slice) -> Embeddings:
        """Return those of some images."""


class Similarities:
    """How alike each query and each gallery image are; larger is more alike. Rows are computed when they are asked for.

    With W the chosen whole vectors (of image and foreground) and S the parts visible in both images (none if
    P is not chosen; a part that is visible by v in one and by u in the other counts u * v times):

    - ``paper``: (sum over W of cos + 1/2 * sum over S of cos) / (number of W + number of S). With ``F+P``
      this is Eq. (10) to the letter; the other choices generalise it. Where the denominator is 0 (``P``
      alone, nothing shared) the similarity is 0, so that such a pair stands after the pairs whose parts are
      alike and before those whose parts are unlike.
    - ``authors``: sum over W and S of (cos + 1) / 2. The published implementation does this, without 1/2 for
      parts and without denominator: the more parts a pair shares, the more alike it is. A pair that shares no
      part has 0 with ``P`` alone, the smallest value there is.

    - ``mean``: (sum over W of cos + 1/2 * sum over S of cos) / (number of W + 1/2 * number of S). Not in the paper,
      where a part has half the weight above and a whole one below, so that a pair loses by sharing a part: where all
      cosines are c, it has c without a shared part and 5/8 c with three. Here it has c in both cases.

    A zero vector has cosine 0 with anything.

    Parameters
    ----------
    query : Embeddings
        Of Q images.
    gallery : Gallery
        Of G images, with the same P and D; taken when rows are first asked for.
    features : one of ``FEATURES``
        The vectors to compare. The paper takes F+P for occluded and I+F+P for holistic data sets.
    variant : one of ``VARIANTS``
        The formula.

    Attributes
    ----------
    shape : (int, int)
        Q and G.

    Raises
    ------
    ValueError
        If `features` or `variant` is unknown, or P or D differ between query and gallery.
    """

    def __init__(self, query: Embeddings, gallery: Gallery, features: str = "F+P", variant: str = "paper") -> None:
        _check(query, gallery.take(slice(0, 0)), features, variant)
        self.shape = (len(query), len(gallery))
        self._variant = variant
        chosen = features.split("+")
        self._whole = [name for letter, name in (("I", "image"), ("F", "foreground")) if letter in chosen]
        self._with_parts = "P" in chosen
        # One matrix product does what sums over vectors would; the weight of parts goes into the queries.
        self._query = self._side_by_side(query, WEIGHT[variant])
        self._seen = query.visible
        self._gallery = gallery

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value that there can be."""
        if self._variant == "authors":
            return 0.0, float(len(self._whole) + self._with_parts * self._seen.shape[1])
        return -1.0, 1.0

    def columns(self, columns: slice) -> Similarities:
        """Those of some gallery images."""
        part = copy(self)
        part._gallery = self._gallery.take(columns)
        part.shape = (self.shape[0], len(part._gallery))
        part.__dict__.pop("_prepared", None)
        return part

    @cached_property
    def _prepared(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors of the gallery, and which parts it shows."""
        gallery = self._gallery.take(slice(None))
        return self._side_by_side(gallery, 1.0), gallery.visible

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Compute the similarities of some queries, (B, G) float32."""
        vectors, seen = self._prepared
        values: NDArray[np.float32] = self._query[rows] @ vectors.T
        terms = np.full_like(values, len(self._whole))
        if self._with_parts:
            terms += (np.float32(DIVISOR.get(self._variant, 1.0)) * self._seen[rows]) @ seen.T
        if self._variant == "authors":
            values += terms
            values *= np.float32(0.5)
            return values
        np.divide(values, terms, out=values, where=terms > 0)  # without terms the sum of cosines is 0 already
        return values

    def _side_by_side(self, embeddings: Embeddings, weight: float) -> NDArray[np.float32]:
        """Unit vectors that are compared, (N, ...) float32; parts zero where invisible and times `weight`."""
        images, parts, dim = embeddings.parts.shape
        vectors = len(self._whole) + self._with_parts * parts
        units = np.empty((images, vectors * dim), np.float32)
        columns = units.reshape(images, vectors, dim).transpose(1, 0, 2)  # (vectors, N, D)
        for name, column in zip(self._whole, columns, strict=False):
            scale_to_unit(getattr(embeddings, name), column)
        for part, column in enumerate(columns[len(self._whole) :]):
            visible = embeddings.visible[:, part, None]
            scale_to_unit(np.where(visible > 0, embeddings.parts[:, part], np.float32(0)), column)
            column *= np.float32(weight) * visible
        return units


def similarity(
    query: Embeddings, gallery: Embeddings, features: str = "F+P", variant: str = "paper"
) -> NDArray[np.float32]:
    """Return all `Similarities` at once, (Q, G) float32."""
    return Similarities(query, gallery, features, variant)[:]


def _check(query: Embeddings, gallery: Embeddings, features: str, variant: str) -> None:
    if features not in FEATURES:
        raise ValueError(f"features must be one of {', '.join(FEATURES)}, not {features!r}")
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, not {variant!r}")
    if query.parts.shape[1:] != gallery.parts.shape[1:]:
        raise ValueError(
            "query and gallery must agree in parts and embedding size, but are "
            f"{query.parts.shape[1:]} and {gallery.parts.shape[1:]}"
        )


def scale_to_unit(vectors: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Scale vectors (..., D) to length 1, into `out` if that is given; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result = np.empty_like(vectors) if out is None else out
    result[...] = 0
    return np.divide(vectors, length, out=result, where=length != 0)
