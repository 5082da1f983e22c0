"""What stands on the page, in the order in which one reads it."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from importlib import metadata, resources
from typing import Any

import numpy as np
import pandas as pd

from hcga.figures import SHOWN, telling_figures
from hcga.masks.degeneracy import describe_degeneracy
from hcga.masks.parts import part_names
from hcga.masks.pictures import legend, overlay
from hcga.masks.sheet import spread
from hcga.report import terms
from hcga.report.charts import draw_curves
from hcga.report.inputs import Run
from hcga.report.templates import page_environment
from hcga.report.thumbnails import embed_picture, embed_row
from hcga.resources import mask_copies
from hcga.retrieval.visibility import VISIBLE_FROM, read_statistics, visible_parts
from hcga.runs.runlog import Finished
from hcga.samples import count_splits, identities, image_names
from hcga.stores import array, attribute, read_all, read_rows
from hcga.wording import counted

IDENTITIES, IMAGES = 6, 8  # in the sample, and as many of the worst; of each of them
SHEET = "worst/{}.jpg"  # of a round: a contact sheet of its worst identities, as a kind of file that DVC plots
QUERIES = 6  # in the sample, and as many of the worst
PACKAGES = ["hcga", "torch", "timm", "numpy", "scikit-image", "zarr", "dvc"]


def build_page(run: Run) -> str:
    """Write the report as one HTML page that needs no other file; it has links to the sheets, see `SHEET`.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
    """
    environment = page_environment(resources.files("hcga.report"))
    last = list(run.rounds)[-1]
    parsing = attribute(run.rounds[last].embeddings, "parsing", bool)
    return environment.get_template("page.html").render(
        sizes=describe_set(run.samples),
        last=last,
        terms=terms,
        figures=telling_figures(run.figures),
        degenerate=list_degenerate(run),
        charts=draw_charts(run),
        parts=legend(attribute(run.rounds[last].masks, "part_classes", int)) if parsing else [],
        strips=draw_strips(run, last) if parsing else {},
        rated=run.rounds[last].identities if parsing else None,
        sheets={name: SHEET.format(name) for name in run.rounds},
        retrieval=list_retrieval(run, last),
        times=tabulate_times(run.times, run.rounds),
        params=run.params,
        code=run.code,
        versions={"Python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
    )


def list_degenerate(run: Run) -> dict[str, list[str]]:
    """Rounds whose masks many images lack parts of, with that in words."""
    found = {}
    for name, this in run.rounds.items():
        classes = attribute(this.masks, "part_classes", int)
        masks = read_all(array(this.masks, "masks"), mask_copies("report", classes))
        found[name] = describe_degeneracy(masks, classes)
    return {name: problems for name, problems in found.items() if problems}


def describe_set(samples: pd.DataFrame) -> list[str]:
    """Images and identities of each split, in words."""
    return [
        f"{of.split}: {of.images:,} images of {of.identities:,} identities at {counted(of.cameras, 'camera')}"
        for of in count_splits(samples)
    ]


def draw_charts(run: Run) -> dict[str, str]:
    """Titles and diagrams: losses, accuracy, matching, CMC, masks."""
    history = run.history.set_index("epoch")
    figures = run.figures.set_index("epoch")
    charts = {}
    if len(history):
        terms = [name for name in ("loss", "image", "foreground", "parts", "parsing") if name in history]
        losses = {name: history[name] for name in terms}
        charts["Loss and its terms"] = draw_curves(losses, "epoch", "mean of the epoch")
        accuracy = {"accuracy": history["accuracy"]}
        charts["Accuracy of the image classifier"] = draw_curves(accuracy, "epoch", "per cent")
    matching = {title: figures[SHOWN[title]] for title in ("Rank-1", "mAP")}
    charts["Matching by round"] = draw_curves(matching, "epoch", "per cent")
    cmc = {name: of.cmc.set_index("rank")["cmc"] for name, of in run.rounds.items()}
    charts["Cumulative matching characteristic"] = draw_curves(cmc, "rank", "per cent")
    titles = ("mask fg IoU", "guess", "mask part IoU", "foreground", "agree prev", "agree head")
    masks = {title: figures[SHOWN[title]] for title in titles if figures[SHOWN[title]].notna().any()}
    if masks:
        charts["Masks by round"] = draw_curves(masks, "epoch", "per cent")
    return charts


def draw_strips(run: Run, last: str) -> dict[str, list[dict[str, Any]]]:
    """Masks of a fixed sample of the identities and of the worst, by round."""
    rows_of, rated = identities(run.samples), run.rounds[last].identities
    sample = spread(np.array(list(rows_of)), IDENTITIES).tolist()
    worst = rated["pid"].tolist()[:IDENTITIES]
    described = dict(zip(rated["pid"], rated.to_dict("records"), strict=True))
    return {
        "A sample": [draw_identity(run, pid, rows_of[pid], described[pid]) for pid in sample],
        "The worst": [draw_identity(run, pid, rows_of[pid], described[pid]) for pid in worst],
    }


def draw_identity(run: Run, pid: int, rows: np.ndarray, described: Mapping[Any, Any]) -> dict[str, Any]:
    """Images, masks by round and truth of an identity: a row of pictures each."""
    chosen = spread(rows, IMAGES)
    images = read_rows(run.images, chosen)
    pictures = {"images": images}
    for name, of in run.rounds.items():
        pictures[name] = overlay(images, read_rows(array(of.masks, "masks"), chosen))
    if "truth" in run.truth:
        pictures["truth"] = overlay(images, read_rows(array(run.truth, "truth"), chosen))
    known = [name for name in terms.IDENTITY if pd.notna(described.get(name))]
    warning = described.get("warnings")
    return {
        "pid": pid,
        "figures": ", ".join(terms.IDENTITY[name].format(round(described[name])) for name in known),
        "warnings": warning if isinstance(warning, str) else "",
        "rows": {name: embed_row(row) for name, row in pictures.items()},
    }


def list_retrieval(run: Run, name: str) -> dict[str, list[dict[str, Any]]]:
    """Ranked lists of a sample of the queries, and of those that were most surely wrong."""
    rankings, embeddings = run.rounds[name].rankings, run.rounds[name].embeddings
    found = rankings.groupby("query", sort=False)
    summary = found.agg(hits=("hit", "sum"), best=("similarity", "first"))
    missed = summary[summary["hits"] == 0].sort_values("best", ascending=False, kind="stable")
    queries = list(summary.index)
    sample = spread(np.array(queries, dtype=object), QUERIES).tolist()
    visible = visible_parts(read_statistics(embeddings, np.arange(len(run.samples))), run.matching) >= VISIBLE_FROM
    parts = part_names(visible.shape[1] + 1)[1:] if attribute(embeddings, "parsing", bool) else []
    row_of = {image: row for row, image in enumerate(image_names(run.samples))}

    def describe(image: str, **more: Any) -> dict[str, Any]:
        row = row_of[image]
        seen = [name.replace("_", " ") for name, flag in zip(parts, visible[row], strict=False) if flag]
        sample = run.samples.iloc[row]
        picture = embed_picture(np.asarray(run.images[row]))
        return {"pid": int(sample["pid"]), "camid": int(sample["camid"]), "seen": seen, "picture": picture, **more}

    def describe_query(image: str) -> dict[str, Any]:
        entries = found.get_group(image).itertuples()
        gallery = [
            describe(str(entry.gallery), rank=entry.rank, similarity=entry.similarity, hit=bool(entry.hit))
            for entry in entries
        ]
        return {**describe(image), "path": image, "gallery": gallery}

    return {
        "A sample of the queries": [describe_query(image) for image in sample],
        "The surest mistakes: no hit among the first, the most similar first": [
            describe_query(image) for image in missed.index[:QUERIES]
        ],
    }


def tabulate_times(times: Mapping[str, Finished], rounds: Collection[str]) -> pd.DataFrame | None:
    """Seconds of each kind of stage by round, their sums, and the largest process.

    Parameters
    ----------
    times : mapping of str to Finished
        By stage, as DVC names it.
    rounds : collection of str
        What is no round, such as the data set of catalogue@main, counts as `once`; rounds that the run no longer has
        are left out.

    Returns
    -------
    DataFrame or None
        Its last row and its last column but one have the sums. None where no time is known.
    """
    if not times:
        return None
    rows = [(*run.stage.partition("@")[::2], run.seconds, run.peak_mb) for run in times.values()]
    table = pd.DataFrame(rows, columns=["stage", "round", "seconds", "peak MB"])
    of_round = table["round"].isin(rounds)
    table = table[of_round | ~table["stage"].isin(table["stage"][of_round])]
    table = table.assign(round=table["round"].where(of_round, "once"))
    seconds = table.pivot_table(index="stage", columns="round", values="seconds", sort=False, aggfunc="sum")
    seconds = seconds[[name for name in ("once", *rounds) if name in seconds]]
    seconds["all"] = seconds.sum(axis=1)
    seconds.loc["all"] = seconds.sum()
    peak = table.groupby("stage")["peak MB"].max()
    seconds["largest process, MB"] = peak.reindex(seconds.index).fillna(peak.max())
    return seconds.reset_index()
