"""A round of a checkout, or of a revision of it, as a model with its card."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from hcga.errors import InputError
from hcga.figures import collect_figures, read_metrics
from hcga.network.checkpoints import load_model
from hcga.network.prnet import Card, PRNet
from hcga.params import Matching, Params
from hcga.report.code import CODE, name_code
from hcga.runs.recorded import dvc_digest
from hcga.runs.revisions import Place, Revision, open_revision
from hcga.runs.staleness import is_stale
from hcga.runs.workspace import Workspace
from hcga.samples import count_splits, read_samples
from hcga.using.card import NO_LICENCE, Counted, DataSet, ModelCard, Use

KEPT = ("package", "hub", "none")  # values of backbone.weights that name no file of somebody's disk
MAKING = ("backbone", "image", "prepare", "coparse", "gam", "train", "rounds")  # sections that make a model; no paths


def read_round(folder: Path, place: Place, licence: str = NO_LICENCE) -> tuple[PRNet, ModelCard]:
    """Read the model of a round, and gather what its card has to say.

    Parameters
    ----------
    folder : Path
        The checkout or a folder below it.
    place : Place
        The round.
    licence : str
        For the card.

    Returns
    -------
    PRNet, ModelCard
        In eval mode, on the CPU.

    Raises
    ------
    InputError
        There is no such place, the round has no model or no figures, or they are not those that its params and inputs
        would make.
    """
    workspace = open_revision(folder, place.rev)
    model = workspace.path("train", "model", place.round)
    metrics = workspace.path("evaluate", "metrics", place.round)
    samples = workspace.path("prepare", "samples")
    figures = read_metrics(metrics)
    network, card = load_model(model)
    params = workspace.params
    _refuse_stale(workspace, place, [model, metrics, samples], (card, figures))
    initial = params.backbone.weights if params.backbone.weights in KEPT else "a file"
    made_by = params.model_dump(mode="json", include=set(MAKING))
    use = Use(
        gam=params.gam,
        embed=params.embed,
        matching=Matching(**params.evaluate.model_dump(include=set(Matching.model_fields))),
        round=place.round,
        datasets=count_data_sets(read_samples(samples), params),
        validation=params.prepare.validation,
        figures=_flat({place.round: figures}),
        initial_weights=initial,
        code=_name_code(workspace),
        licence=licence,
        hcga=metadata.version("hcga"),
        params={**made_by, "backbone": {**made_by["backbone"], "weights": initial}},
    )
    return network, ModelCard(**card.model_dump(), use=use)


def count_data_sets(samples: pd.DataFrame, params: Params) -> dict[str, DataSet]:
    """Count images and identities of each split of each data set, from the arranged sample table."""
    found = {}
    for name, rows in samples.groupby("dataset"):
        splits = {of.split: Counted(images=of.images, identities=of.identities) for of in count_splits(rows)}
        found[str(name)] = DataSet(layout=params.datasets[str(name)].layout, splits=splits)
    return found


def _flat(metrics: dict[str, dict[str, Any]]) -> dict[str, float]:
    row = collect_figures(metrics).drop(columns="round").iloc[0].dropna()
    return {str(name): value for name, value in row.to_dict().items()}


def _name_code(workspace: Workspace) -> str:
    if isinstance(workspace, Revision):
        return f"commit {workspace.commit}"
    return name_code(workspace.root, (*CODE, workspace.params_file.name, "dvc.lock"))


def _refuse_stale(workspace: Workspace, place: Place, files: Sequence[Path], read: tuple[Card, dict[str, Any]]) -> None:
    """Refuse a model whose figures, or params, are those of another one."""
    refuse_unrecorded(workspace, place, files)
    remedy = _remedy(place)
    if is_stale(workspace, "evaluate", place.round):
        raise InputError(f"{place}: model and figures are of an earlier run, with other params or inputs; {remedy}")
    card, figures = read
    epochs = (workspace.params.rounds[place.round].until_epoch, card.epoch, figures.get("epoch"))
    if len(set(epochs)) > 1:
        told = f"params.yaml has epoch {epochs[0]}, the model {epochs[1]}, its figures {epochs[2]}"
        raise InputError(f"{place}: {told}; {remedy}")


def refuse_unrecorded(workspace: Workspace, place: Place, files: Sequence[Path]) -> None:
    """Refuse files that are not as dvc.lock says that stages have written them."""
    outs = {out["path"]: out.get("md5") for entry in workspace.locked().values() for out in entry.get("outs", [])}
    for file in files:
        name = file.relative_to(workspace.root).as_posix()
        if not file.exists() or outs.get(name) != dvc_digest(file):
            known = "is not what dvc.lock says that its stage has written" if name in outs else "is not in dvc.lock"
            raise InputError(f"{name}: {known}, so model and figures may not belong together; {_remedy(place)}")


def _remedy(place: Place) -> str:
    return f"`dvc repro evaluate@{place.round}` makes them anew; or name a commit in which they are whole"
