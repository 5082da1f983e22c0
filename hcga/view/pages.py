"""What the pages show; each is a function of its address."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any
from urllib.parse import urlencode

import jinja2
import numpy as np
import pandas as pd
from starlette.requests import Request

from hcga.comparison import compare_masks
from hcga.errors import InputError
from hcga.figures import collect_curves, collect_figures, read_metrics, telling_figures
from hcga.masks import STRIDE
from hcga.pictures import legend
from hcga.report.charts import draw_curves
from hcga.revisions import WORKSPACE
from hcga.samples import rows_of_identity
from hcga.view.layers import LAYERS
from hcga.view.places import Archive, Place, parse_place

NAMES = {"head": "parsing head", "changed": "changed from the round above"}  # of layers, where they are not their own


class Pages:
    """HTML of each page.

    Parameters
    ----------
    archive : Archive
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        pages = resources.files("hcga.view").joinpath("pages")
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
        kept = self._filtered(samples, place.rev, asked)
        wanted = set(samples["pid"][kept])
        table = table[table["pid"].isin(wanted)]
        column = asked.get("sort")
        if column is not None:
            if column not in table:
                raise InputError(f"no column {column!r}; known: {', '.join(map(str, table))}")
            table = table.sort_values(column, ascending=asked.get("order") != "down", kind="stable", na_position="last")
        return self._render(
            "identities.html",
            place=place,
            asked={key: asked.get(key) for key in ("camera", "occluded", "sort", "order")},
            table=table,
            **self._choices(place.rev),
        )

    def identity(self, request: Request) -> str:
        """An identity's images and what lies over them, a row a place and layer."""
        pid, asked = request.path_params["pid"], request.query_params
        places = [self._place(text) for text in asked.getlist("at")] or self._all_rounds(WORKSPACE)
        layers = asked.getlist("layer") or ["masks"]
        rev = places[0].rev
        rows = self.rows(rev, pid, asked)
        samples = self._archive.samples(rev)
        pids = self._archive.table(places[-1])["pid"].tolist()
        here = pids.index(pid) if pid in pids else 0
        described = []
        for place in places:
            table = self._archive.table(place)
            found = table[table["pid"] == pid].to_dict("records")
            described.append({"place": place, "figures": _figures(found[0]) if found else {}})
        height, width = self._archive.images(rev).shape[1:3]
        part_classes = self._archive.revision(rev).params.part_classes
        confidences = [f"confidence-{part}" for part in range(1, part_classes)]
        named = [f"confidence, {name}" for name, _ in legend(part_classes)]
        return self._render(
            "identity.html",
            pid=pid,
            rows=described,
            layers=layers,
            known_layers=[*(LAYERS if self._archive.truth(rev) is not None else LAYERS[:-1]), *confidences],
            size=((width + STRIDE) * len(rows), height),
            images=[_sample(samples, row) for row in rows],
            asked={key: asked.get(key) for key in ("camera", "occluded", "opacity")},
            query=str(asked),
            filters=urlencode({key: asked[key] for key in ("camera", "occluded") if asked.get(key)}),
            before=pids[here - 1] if here > 0 else None,
            after=pids[here + 1] if here + 1 < len(pids) else None,
            names={
                "head": "parsing head",
                "changed": "changed from the row above",
                **dict(zip(confidences, named, strict=True)),
            },
            parts=legend(part_classes),
            **self._choices(rev),
        )

    def changes(self, request: Request) -> str:
        """Which identities differ most between two places."""
        asked = request.query_params
        rounds = self._all_rounds(WORKSPACE)
        second = self._place(asked.get("to"))
        first = self._place(asked.get("from")) if asked.get("from") else rounds[max(0, len(rounds) - 2)]
        before, after = (self._archive.revision(place.rev) for place in (first, second))
        table = compare_masks(before, after, first.round, second.round)
        return self._render("changes.html", first=first, second=second, table=table, **self._choices(second.rev))

    def queries(self, request: Request) -> str:
        """All queries of a place: those without a hit among the first come first."""
        asked = request.query_params
        place = self._place(asked.get("at"))
        rankings, samples = self._archive.rankings(place), self._archive.samples(place.rev)
        row_of = {path: row for row, path in enumerate(samples["path"])}
        hits = rankings[rankings["hit"]].groupby("query")["rank"].min()
        best = rankings.groupby("query", sort=False)["similarity"].first()
        table = pd.DataFrame({"first hit": hits.reindex(best.index), "similarity of the first": best})
        table = table.sort_values(["first hit", "similarity of the first"], ascending=False, na_position="first")
        entries = [
            {"row": row_of[path], "pid": int(samples["pid"][row_of[path]]), "path": path, **values}
            for path, values in table.to_dict("index").items()
        ]
        return self._render("queries.html", place=place, entries=entries, **self._choices(place.rev))

    def query(self, request: Request) -> str:
        """The ranked gallery of a query, with the similarity of each part."""
        from hcga.view.matching import match_parts

        asked, row = request.query_params, request.path_params["row"]
        place = self._place(asked.get("at"))
        samples, rankings = self._archive.samples(place.rev), self._archive.rankings(place)
        listed = list(dict.fromkeys(rankings["query"]))
        row_of = {path: number for number, path in enumerate(samples["path"])}
        if row >= len(samples) or samples["path"][row] not in set(listed):
            raise InputError(f"image {row} is no query with a match; look at the list of queries")
        path = samples["path"][row]
        found = rankings[rankings["query"] == path]
        rows = [row_of[name] for name in found["gallery"]]
        store = self._archive.store(place, "embed", "embeddings")
        matching = self._archive.revision(place.rev).params.evaluate
        matched = match_parts(store, row, np.array(rows, dtype=np.int64), matching)
        entries = [
            {**_sample(samples, number), **entry, "rank": rank, "similarity": similarity, "hit": hit}
            for number, entry, rank, similarity, hit in zip(
                rows, matched.gallery, found["rank"], found["similarity"], found["hit"], strict=True
            )
        ]
        here = listed.index(path)
        return self._render(
            "query.html",
            place=place,
            query={**_sample(samples, row), "seen": matched.seen},
            entries=entries,
            parts=matched.parts,
            before=row_of[listed[here - 1]] if here else None,
            after=row_of[listed[here + 1]] if here + 1 < len(listed) else None,
            **self._choices(place.rev),
        )

    def figures(self, request: Request) -> str:
        """Figures and curves of the chosen revisions."""
        revs = request.query_params.getlist("rev") or [WORKSPACE]
        tables: list[pd.DataFrame] = []
        charts: dict[str, dict[str, pd.Series]] = {"Rank-1": {}, "mAP": {}, "mask fg IoU": {}, "Loss": {}}
        for rev in revs:
            revision = self._archive.revision(rev)
            paths = {name: revision.path("evaluate", "metrics", name) for name in revision.params.rounds}
            metrics = {name: read_metrics(path) for name, path in paths.items() if path.is_file()}
            if not metrics:
                raise InputError(f"{rev}: no figures yet; run `dvc repro`")
            table = telling_figures(collect_figures(metrics))
            tables.append(table.assign(revision=rev))
            for title in ("Rank-1", "mAP", "mask fg IoU"):
                if title in table:
                    charts[title][rev] = table.set_index("epoch")[title]
            history = {name: revision.path("train", "history", name) for name in metrics}
            curves = collect_curves({name: path for name, path in history.items() if path.is_file()})
            charts["Loss"][rev] = curves.set_index("epoch")["loss"]
        joined = pd.concat(tables)
        joined = joined[["revision", *(name for name in joined if name != "revision")]]
        drawn = {title: draw_curves(curves, "epoch", title) for title, curves in charts.items() if curves}
        return self._render("figures.html", revs=revs, table=joined, charts=drawn, **self._choices(revs[0]))

    def rows(self, rev: str, pid: int, asked: Mapping[str, str]) -> np.ndarray:
        """Rows of an identity that the filters of an address leave."""
        samples = self._archive.samples(rev)
        rows = rows_of_identity(samples, pid)
        kept = self._filtered(samples, rev, asked)[rows]
        return rows[kept] if kept.any() else rows

    def _filtered(self, samples: pd.DataFrame, rev: str, asked: Mapping[str, str]) -> np.ndarray:
        kept = (samples["split"] == "train").to_numpy()
        if asked.get("camera"):
            kept = kept & (samples["camid"].astype(str).to_numpy() == asked["camera"])
        if asked.get("occluded") in ("yes", "no"):
            known = self._archive.occluded(rev)
            if known is None:
                raise InputError("occlusion is not known: no data set of this run has an occluders.csv")
            kept = kept & (samples["path"].isin(known).to_numpy() == (asked["occluded"] == "yes"))
        return kept

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


def address(path: str, **values: Any) -> str:
    """An address with its query; values that are None are left out, lists repeat their name."""
    kept = {
        name: str(value) if isinstance(value, Place) else value for name, value in values.items() if value is not None
    }
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", " "): value for name, value in row.items() if name != "pid" and value == value}


def _sample(samples: pd.DataFrame, row: int) -> dict[str, Any]:
    of = samples.iloc[row]
    return {"row": row, "pid": int(of["pid"]), "camid": int(of["camid"]), "path": of["path"]}
