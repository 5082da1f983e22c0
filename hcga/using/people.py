"""Labelled people, to learn a calibration from or to test a model on: held-out ones of a round, or one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hcga.artifacts import open_artifact
from hcga.datasets.catalogue import catalogue
from hcga.datasets.check import examine_table, report_findings
from hcga.errors import InputError
from hcga.params import Matching
from hcga.retrieval.blocks import Labels
from hcga.retrieval.open_set import open_set_figures
from hcga.retrieval.pairs import verification_figures
from hcga.retrieval.similarity import Similarities
from hcga.retrieval.stored import StoredEmbeddings, rank_all, ranking_figures
from hcga.runs.revisions import Place, open_revision
from hcga.samples import read_samples_of
from hcga.using.calibrating import People
from hcga.using.model import Model, OnBadImage
from hcga.using.rounds import refuse_unrecorded


def held_out_people(folder: Path, place: Place, model: Model) -> People:
    """Read the training identities that a round's params hold out.

    Parameters
    ----------
    folder : Path
        The checkout or a folder below it.
    place : Place
        The round.
    model : Model
        That of the round.

    Raises
    ------
    InputError
        None are held out: query and gallery are those that the model is tested on; or the round's embeddings are
        missing or not those that dvc.lock names.
    """
    if model.card.use.validation is None:
        raise InputError(
            f"{place}: prepare.validation is null, so query and gallery are test identities, and a model calibrated on "
            "them would be tested on what it has learnt. Set it to a share of the training identities, such as 0.2, or "
            "give people of your own: `hcga model calibrate FILE --people FOLDER`"
        )
    workspace = open_revision(folder, place.rev)
    refuse_unrecorded(workspace, place, [workspace.path("embed", "embeddings", place.round)])
    store = open_artifact(workspace, "embed", "embeddings", place.round)
    samples = read_samples_of(workspace.path("prepare", "samples"), store)
    query, gallery = (np.flatnonzero(samples["split"] == split) for split in ("query", "gallery"))
    first, second = (
        StoredEmbeddings(store, rows, model.card.use.matching).take(slice(None)) for rows in (query, gallery)
    )
    pids, camids = samples["pid"].to_numpy(), samples["camid"].to_numpy()
    labels = Labels(pids[query], pids[gallery], camids[query], camids[gallery])
    return People(first, second, labels, "held-out training identities", str(place))


def labelled_people(folder: Path, model: Model, on_bad_image: OnBadImage = "error") -> tuple[People, list[str]]:
    """Embed people of one's own, sorted into query and gallery as the layout `folder` has it.

    Returns
    -------
    (People, list of str)
        And what is wrong with images that were left out.

    Raises
    ------
    InputError
        There is no such folder; see also `catalogue`, `examine_table` and `Model.embed_files`.
    """
    if not folder.is_dir():
        raise InputError(f"--people {folder}: no such folder; name one with query/12/1_a.jpg, gallery/12/2_b.jpg")
    table = catalogue("folder", folder, ("query", "gallery"), None).assign(dataset=folder.name)
    report_findings(examine_table(table), f"{folder}: nothing can be learnt or tested")
    files = [folder / path for path in table["path"]]
    asked = model.embed_files(files, on_bad_image)
    table = table[pd.Index(files).isin(asked.files)]
    compared = asked.embedded.compared_by(model.card.use.matching)
    query, gallery = (np.flatnonzero(table["split"] == split) for split in ("query", "gallery"))
    pids, camids = table["pid"].to_numpy(), table["camid"].to_numpy()
    labels = Labels(pids[query], pids[gallery], camids[query], camids[gallery])
    return People(compared.take(query), compared.take(gallery), labels, "of a folder", str(folder)), asked.problems


def figures_of(people: People, matching: Matching) -> dict[str, float]:
    """Figures of plain ranking, and of decisions, as a round has them; in per cent but for counts.

    Raises
    ------
    InputError
        No query has an image of its identity at another camera.
    """
    try:
        similarities = Similarities(people.query, people.gallery, matching.features, matching.similarity)
        ranking, pairs, lists = rank_all(similarities, people.labels)
    except ValueError as error:
        raise InputError(f"{people.place}: {error}") from None
    counts = {"queries": len(people.query), "invalid_queries": ranking.invalid_queries, "gallery": len(people.gallery)}
    found = {name: value for name, value in open_set_figures(lists).items() if name.startswith("dir_")}
    return counts | ranking_figures(ranking) | verification_figures(pairs.positive, pairs.negative) | found
