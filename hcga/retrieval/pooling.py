"""Several images of a person as one: multi-query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcga.retrieval.similarity import Embeddings, scale_to_unit


def pool(embeddings: Embeddings, owner: NDArray[np.int64]) -> Embeddings:
    """Pool the images of each owner.

    Vectors are scaled to length 1 and added, those of a part each times how far it is visible: similarities compare
    directions, so that a sum is as good as a mean. A part is as visible as in the image that shows it best.

    Parameters
    ----------
    embeddings : Embeddings
        Of N images.
    owner : (N,) int64
        0 to M - 1, each at least once.

    Returns
    -------
    Embeddings
        Of M owners. Those of an owner of one image compare as that image does.

    Notes
    -----
    The mean of a query's images, "multi-query with average pooling", is of Zheng et al., "Scalable Person
    Re-identification", ICCV 2015; visibility is ours.
    """
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(owner.max() + 1))

    def total(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        sums: NDArray[np.float32] = np.add.reduceat(vectors[order], first)
        return sums

    visible = embeddings.visible
    parts = np.where(visible[..., None] > 0, embeddings.parts, np.float32(0))
    return Embeddings(
        total(scale_to_unit(embeddings.image)),
        total(scale_to_unit(embeddings.foreground)),
        total(scale_to_unit(parts) * visible[..., None]),
        np.maximum.reduceat(visible[order], first),
    )
