"""What the pages show; each is a function of its address."""

from __future__ import annotations

from importlib import resources
from typing import Any
from urllib.parse import urlencode

import jinja2
import pandas as pd
from starlette.requests import Request

from hcga.errors import InputError
from hcga.figures import collect_curves, collect_figures, read_metrics, telling_figures
from hcga.report.charts import draw_curves
from hcga.revisions import WORKSPACE
from hcga.view.changes import describe_changes
from hcga.view.filters import FILTERS, images_left
from hcga.view.identity import describe_identity
from hcga.view.places import Archive, Place, parse_place
from hcga.view.queries import describe_query, list_queries
from hcga.workspace import Workspace


class Pages:
    """HTML of each page.

    Parameters
    ----------
    archive : Archive
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        pages = resources.files("hcga.view").joinpath("templates")
        loader = jinja2.FunctionLoader(lambda name: pages.joinpath(name).read_text("utf-8"))
        self._templates = jinja2.Environment(
            loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.globals["address"] = address

    def problem(self, text: str) -> str:
        """Say what is wrong and what to do."""
        return self._render("problem.html", text=text)

    def identities(self, request: Request) -> str:
        """All identities of a place, sorted and filtered."""
        asked = request.query_params
        place = self._place(asked.get("at"))
        table = self._archive.table(place)
        samples = self._archive.samples(place.rev)
        table = table[table["pid"].isin(samples["pid"][images_left(self._archive, place.rev, asked)])]
        column = asked.get("sort")
        if column is not None:
            if column not in table:
                raise InputError(f"no column {column!r}; known: {', '.join(map(str, table))}")
            table = table.sort_values(column, ascending=asked.get("order") != "down", kind="stable", na_position="last")
        return self._render(
            "identities.html",
            place=place,
            asked={key: asked.get(key) for key in (*FILTERS, "sort", "order")},
            table=table,
            **self._choices(place.rev),
        )

    def identity(self, request: Request) -> str:
        """An identity's images and what lies over them, a row a place and layer."""
        asked = request.query_params
        places = [self._place(text) for text in asked.getlist("at")] or self._all_rounds(WORKSPACE)
        described = describe_identity(self._archive, request.path_params["pid"], places, asked)
        return self._render("identity.html", **described, **self._choices(places[0].rev))

    def changes(self, request: Request) -> str:
        """Which identities and pixels differ most between two places: the last two rounds, if it does not say."""
        asked = request.query_params
        second = self._place(asked.get("to"))
        first = self._place(asked.get("from") or str(self._all_rounds(WORKSPACE)[-2:][0]))
        described = describe_changes(self._archive, first, second)
        return self._render("changes.html", **described, **self._choices(second.rev))

    def queries(self, request: Request) -> str:
        """All queries of a place: those without a hit among the first come first."""
        place = self._place(request.query_params.get("at"))
        entries = list_queries(self._archive, place)
        return self._render("queries.html", place=place, entries=entries, **self._choices(place.rev))

    def query(self, request: Request) -> str:
        """The ranked gallery of a query, with the similarity of each part."""
        place = self._place(request.query_params.get("at"))
        described = describe_query(self._archive, place, request.path_params["row"])
        return self._render("query.html", place=place, **described, **self._choices(place.rev))

    def figures(self, request: Request) -> str:
        """Figures and curves of the chosen revisions."""
        revs = request.query_params.getlist("rev") or [WORKSPACE]
        found = {rev: read_figures(self._archive.revision(rev), rev) for rev in revs}
        joined = pd.concat([table.assign(revision=rev) for rev, (table, _) in found.items()])
        joined = joined[["revision", *(name for name in joined if name != "revision")]]
        charts = {
            title: {rev: table.set_index("epoch")[title] for rev, (table, _) in found.items() if title in table}
            for title in ("Rank-1", "mAP", "mask fg IoU")
        }
        charts["Loss"] = {rev: curves.set_index("epoch")["loss"] for rev, (_, curves) in found.items()}
        drawn = {title: draw_curves(curves, "epoch", title) for title, curves in charts.items() if curves}
        return self._render("figures.html", revs=revs, table=joined, charts=drawn, **self._choices(revs[0]))

    def _place(self, text: str | None) -> Place:
        if text:
            place = parse_place(text)
            self._archive.revision(place.rev).require_round(place.round)
            return place
        return self._all_rounds(WORKSPACE)[-1]

    def _all_rounds(self, rev: str) -> list[Place]:
        found = [Place(rev, name) for name in self._archive.rounds(rev)]
        if not found:
            raise InputError(f"{rev}: no round has masks yet; run `dvc repro`, or choose another revision")
        return found

    def _choices(self, rev: str) -> dict[str, Any]:
        samples = self._archive.samples(rev)
        cameras = sorted(samples["camid"][samples["split"] == "train"].unique().tolist())
        rounds = [str(Place(rev, name)) for name in self._archive.rounds(rev)]
        return {"revisions": self._archive.known_revisions(), "cameras": cameras, "places": rounds}

    def _render(self, name: str, **values: Any) -> str:
        return self._templates.get_template(name).render(**values)


def read_figures(revision: Workspace, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The telling figures of a revision's rounds, and its training curves.

    Raises
    ------
    InputError
        No round has figures.
    """
    paths = {of: revision.path("evaluate", "metrics", of) for of in revision.params.rounds}
    metrics = {of: read_metrics(path) for of, path in paths.items() if path.is_file()}
    if not metrics:
        raise InputError(f"{name}: no figures yet; run `dvc repro`")
    history = {of: revision.path("train", "history", of) for of in metrics}
    curves = collect_curves({of: path for of, path in history.items() if path.is_file()})
    return telling_figures(collect_figures(metrics)), curves


def address(path: str, **values: Any) -> str:
    """An address with its query; values that are None are left out, lists repeat their name."""
    kept = {
        name: str(value) if isinstance(value, Place) else value for name, value in values.items() if value is not None
    }
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path
