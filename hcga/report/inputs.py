"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import zarr

from hcga.csv_files import read_table
from hcga.figures import collect_curves, collect_figures, read_metrics
from hcga.params import Evaluate
from hcga.runs.runlog import Finished
from hcga.samples import read_samples_of
from hcga.stores import array, open_store, open_store_of


class Round(NamedTuple):
    """What the stages made of one round."""

    figures: dict[str, Any]  # metrics.json
    cmc: pd.DataFrame
    rankings: pd.DataFrame
    masks: zarr.Group
    identities: pd.DataFrame  # one row an identity, the worst masks first
    embeddings: zarr.Group


class Run(NamedTuple):
    """What is reported."""

    samples: pd.DataFrame
    images: zarr.Array[Any]
    truth: zarr.Group
    history: pd.DataFrame  # all epochs
    figures: pd.DataFrame  # all rounds
    rounds: Mapping[str, Round]
    params: str  # params.yaml as it is written
    matching: Evaluate  # section evaluate
    times: Mapping[str, Finished]  # of the stages, where they are known
    code: str  # which one made the report


def read_run(
    names: list[str], paths: Mapping[str, Path], matching: Evaluate, times: Mapping[str, Finished], code: str
) -> Run:
    """Read what the stages have written.

    Parameters
    ----------
    names : list of str
        The rounds, in their order.
    paths : mapping of str to Path
        Files `samples`, `images`, `truth`, `written` (params.yaml); folders with one file a round: `metrics`,
        `history`, `cmc`, `rankings`, `identities`, `masks` and `embeddings`.
    matching : Evaluate
        Its rule of visibility counts.
    times : mapping of str to Finished
    code : str
        Which one runs.

    Raises
    ------
    InputError
        Something of a round is missing, or was made of other images.
    """
    images = open_store(paths["images"])
    rounds = {
        name: Round(
            read_metrics(paths["metrics"] / f"{name}.json"),
            read_table(paths["cmc"] / f"{name}.csv"),
            read_table(paths["rankings"] / f"{name}.csv"),
            open_store_of(paths["masks"] / f"{name}.zarr", images),
            read_table(paths["identities"] / f"{name}.csv"),
            open_store_of(paths["embeddings"] / f"{name}.zarr", images),
        )
        for name in names
    }
    return Run(
        samples=read_samples_of(paths["samples"], images),
        images=array(images, "images"),
        truth=open_store_of(paths["truth"], images),
        history=collect_curves({name: paths["history"] / f"{name}.csv" for name in names}),
        figures=collect_figures({name: this.figures for name, this in rounds.items()}),
        rounds=rounds,
        params=paths["written"].read_text("utf-8"),
        matching=matching,
        times=times,
        code=code,
    )
