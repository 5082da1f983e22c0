"""Ranked lists as a picture, or as a page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageOps

from hcga.errors import InputError
from hcga.files import fresh
from hcga.images import load_picture
from hcga.outputs import require_output
from hcga.report.templates import page_environment
from hcga.report.thumbnails import embed_picture
from hcga.using.calibration import describe_probability
from hcga.using.drawing import colours_of, draw_ranked, name_query
from hcga.using.model import Model
from hcga.using.search import Ranked, odds, shown
from hcga.using.store import Gallery

MOST, PICTURES = 100, 2000  # queries, and images in all, in a picture or on a page
SIDES = (160, 256)  # pixels of a picture on a page, at most: width, height
SUFFIXES = (".png", ".html")


def require_ranked(target: Path, files: int, queries: int, count: int) -> None:
    """Refuse an output that cannot be written, or would show too much, before anything is computed.

    Parameters
    ----------
    target : Path
    files : int
        Images of all queries.
    queries : int
    count : int
        Images to list for each.

    Raises
    ------
    InputError
        See above.
    """
    require_output(target, *SUFFIXES)
    if queries > MOST:
        raise InputError(f"--output {target}: {queries} queries, of which {MOST} can be shown; name fewer")
    if (pictures := files + queries * count) > PICTURES:
        raise InputError(
            f"--output {target}: {pictures:,} images with --top {count}, of which {PICTURES:,} can be shown; lower "
            "--top or name fewer queries"
        )


def require_pictures(target: Path, gallery: Gallery) -> None:
    """Refuse to show a gallery of whose pictures nobody knows where they are."""
    if gallery.folder is None:
        raise InputError(f"--output {target}: the store does not lie beside its pictures; say --pictures FOLDER")


def write_ranked(target: Path, model: Model, lists: Sequence[Ranked]) -> None:
    """Write ranked lists as PNG or HTML, by the target's ending.

    Parameters
    ----------
    target : Path
    model : Model
    lists : sequence of Ranked
        Of a gallery that `require_pictures` lets pass.

    Raises
    ------
    InputError
        A picture is not there or cannot be decoded.
    """
    with fresh(target) as draft:
        if target.suffix == ".png":
            draw_ranked(model, lists).save(draft, "PNG")
        else:
            draft.write_text(build_page(model, lists), encoding="utf-8")


def build_page(model: Model, lists: Sequence[Ranked]) -> str:
    """Write ranked lists as one HTML page."""
    environment = page_environment(resources.files("hcga.using"), resources.files("hcga.report"))
    colours = {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in colours_of(model).items()}
    entries = [entry for ranked in lists for entry in ranked.entries]
    return environment.get_template("ranked.html").render(
        lists=[_describe(ranked) for ranked in lists],
        colours=colours,
        use=model.card.use,
        odds=odds(lists),
        made=model.digest[:12],
        halved=model.card.use.matching.similarity == "paper" and model.card.use.matching.features == "F+P",
        empty=any(term.empty and term.weight for entry in entries for term in entry.terms),
    )


def _describe(ranked: Ranked) -> dict[str, Any]:
    entries = [
        {
            **entry._asdict(),
            "picture": _embed(entry.file),
            "seen": shown(entry.seen),
            "likely": "" if entry.probability is None else describe_probability(entry.probability),
        }
        for entry in ranked.entries
        if entry.file
    ]
    asked = {"name": name_query(ranked), "pictures": [_embed(file) for file in ranked.files]}
    return {**ranked._asdict(), **asked, "seen": shown(ranked.seen), "entries": entries}


def _embed(file: Path) -> str:
    return embed_picture(np.asarray(ImageOps.contain(load_picture(file), SIDES)))
