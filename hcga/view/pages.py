"""What the pages show; each is a function of its address."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

import pandas as pd
from starlette.requests import Request

from hcga.errors import InputError
from hcga.figures import collect_curves, collect_figures, read_metrics, telling_figures
from hcga.report.templates import page_environment
from hcga.runs.revisions import WORKSPACE, Place
from hcga.runs.workspace import Workspace
from hcga.view.changes import describe_changes
from hcga.view.filters import FILTERS, cameras
from hcga.view.identity import describe_identity
from hcga.view.listing import SORTING, list_identities
from hcga.view.looks import opacity
from hcga.view.places import Archive
from hcga.view.queries import describe_query, list_queries, row_of_image
from hcga.view.stale import stale_notes


class Pages:
    """HTML of each page.

    Parameters
    ----------
    archive : Archive
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._templates = page_environment(resources.files("hcga.view").joinpath("templates"))
        self._templates.globals["address"] = address

    def problem(self, text: str) -> str:
        """Say what is wrong and what to do."""
        return self._templates.get_template("problem.html").render(text=text, place=None, places=[], stale=[])

    def identities(self, request: Request) -> str:
        """All identities of a place, sorted and filtered."""
        asked = request.query_params
        place = self._place(asked.get("at"))
        table = list_identities(self._archive, place, asked)
        return self._render(
            "identities.html",
            place,
            masks_of=[place],
            figures_of=[place],
            asked={key: asked.get(key) or None for key in (*FILTERS, *SORTING)},
            table=table,
            masks=len(table.columns) > 1,  # without, a pid is all that is known of an identity
            cameras=cameras(self._archive, place.rev),
        )

    def identity(self, request: Request) -> str:
        """An identity's images and what lies over them, a row a place and layer."""
        asked = request.query_params
        at = [text for text in asked.getlist("at") if text]
        places = [self._archive.place(text) for text in at] or self._archive.all_rounds(WORKSPACE)
        described = describe_identity(self._archive, request.path_params["pid"], places, asked)
        shown = [row["place"] for row in described["rows"] if not row["problem"]]
        return self._render("identity.html", described["listed"], shown, shown, **described)

    def changes(self, request: Request) -> str:
        """Which identities and pixels differ most between two places: if it does not say, a round and that before."""
        asked = request.query_params
        pair = self._pair(self._place(asked.get("at")))
        first, second = (
            self._place(asked.get(key) or str(place)) for key, place in zip(("from", "to"), pair, strict=True)
        )
        return self._render("changes.html", second, [first, second], **describe_changes(self._archive, first, second))

    def queries(self, request: Request) -> str:
        """All queries of a place: those without a hit among the first come first."""
        place = self._place(request.query_params.get("at"))
        return self._render("queries.html", place, figures_of=[place], entries=list_queries(self._archive, place))

    def query(self, request: Request) -> str:
        """The ranked gallery of a query, with what each feature contributes to its similarity."""
        asked = request.query_params
        place, name = self._place(asked.get("at")), asked.get("image")  # which may have another row in another revision
        row = row_of_image(self._archive, place, name) if name else request.path_params["row"]
        described = describe_query(self._archive, place, row)
        looks = {"opacity": asked.get("opacity") or None}
        return self._render("query.html", place, figures_of=[place], looks=looks, opacity=opacity(asked), **described)

    def figures(self, request: Request) -> str:
        """Figures and curves of the chosen revisions."""
        from hcga.report.charts import draw_curves  # slow to import, and the other pages do without

        asked = request.query_params
        at = asked.get("at")
        revs = asked.getlist("rev") or [self._archive.place(at).rev if at else WORKSPACE]
        found, problems = self._read_figures(revs)
        place = self._place(at, next(iter(found)))
        joined = pd.concat([table.assign(revision=rev) for rev, (table, _) in found.items()])
        joined = joined[["revision", *(name for name in joined if name != "revision")]]
        charts = {
            title: {rev: table.set_index("epoch")[title] for rev, (table, _) in found.items() if title in table}
            for title in ("Rank-1", "mAP", "mask fg IoU")
        }
        charts["Loss"] = {rev: curves.set_index("epoch")["loss"] for rev, (_, curves) in found.items()}
        drawn = {title: draw_curves(curves, "epoch", title) for title, curves in charts.items() if curves}
        known = list(dict.fromkeys([*self._archive.known_revisions(), *revs]))
        shown = [Place(rev, of) for rev in found for of in self._archive.revision(rev).params.rounds]
        return self._render(
            "figures.html",
            place,
            figures_of=shown,
            revs=revs,
            problems=problems,
            revisions=known,
            table=joined,
            charts=drawn,
        )

    def _read_figures(self, revs: Sequence[str]) -> tuple[dict[str, tuple[pd.DataFrame, pd.DataFrame]], list[str]]:
        """Figures and curves by revision, and what is wrong with the others; `InputError` if none has any."""
        found, problems = {}, []
        for rev in revs:
            try:
                found[rev] = read_figures(self._archive.revision(rev), rev)
            except InputError as error:
                problems.append(str(error))
        if not found:
            raise InputError("\n".join(problems))
        return found, problems

    def _place(self, text: str | None, rev: str = WORKSPACE) -> Place:
        """The place that an address names, or the last round of a revision."""
        if not text:
            return self._archive.all_rounds(rev)[-1]
        place = self._archive.place(text)
        self._archive.require_round(place)
        return place

    def _pair(self, place: Place) -> tuple[Place, Place]:
        """The round before and a place's own; of the first round, itself and the next."""
        rounds = self._archive.all_rounds(place.rev)
        if place not in rounds:
            return place, place
        later = max(rounds.index(place), min(1, len(rounds) - 1))
        return rounds[max(later - 1, 0)], rounds[later]

    def _render(
        self, name: str, place: Place, masks_of: Sequence[Place] = (), figures_of: Sequence[Place] = (), **values: Any
    ) -> str:
        """A page of a place, which shows masks and figures of some places; it links to the rounds of the revision."""
        places = [Place(place.rev, of) for of in self._archive.rounds(place.rev)]
        stale = stale_notes(self._archive, masks_of, figures_of)
        return self._templates.get_template(name).render(place=place, places=places, stale=stale, **values)


def read_figures(revision: Workspace, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The telling figures of a revision's rounds, and its training curves.

    Raises
    ------
    InputError
        No round has figures.
    """
    done = [of for of in revision.params.rounds if revision.has("evaluate", "metrics", of)]
    if not done:
        raise InputError(f"{name}: no figures yet; run `dvc repro`, or choose another revision")
    metrics = {of: read_metrics(revision.path("evaluate", "metrics", of)) for of in done}
    curves = collect_curves({of: revision.path("train", "history", of) for of in done})
    return telling_figures(collect_figures(metrics)), curves


def address(path: str, /, **values: Any) -> str:
    """An address with its query; values that are None are left out, lists repeat their name.

    A path may hold the name of a revision, in which `#`, `%` and `?` mean nothing.
    """
    lists = {
        name: list(map(str, value)) if isinstance(value, list) else [str(value)]
        for name, value in values.items()
        if value is not None
    }
    query = urlencode(lists, doseq=True)
    return quote(path, safe="/:") + (f"?{query}" if query else "")
