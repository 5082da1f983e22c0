"""Ranked lists as one picture: a row a query."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from hcga.images import load_picture
from hcga.masks.parts import part_colour
from hcga.masks.pictures import INK, PAPER
from hcga.terms import WHOLE, Seen, Term, features_compared
from hcga.using.calibration import describe_probability
from hcga.using.model import Model
from hcga.using.search import Ranked, odds, shown
from hcga.wording import counted

TALL, WIDE = 192, 128  # pixels of a tile's picture, at most
GAP, LINE, SWATCH = 8, 16, 9  # pixels: between tiles, of a line of text, of a coloured square
FAINT, SOFT = (225, 225, 225), (110, 110, 110)


def colours_of(model: Model) -> dict[str, tuple[int, int, int]]:
    """Colour of each part that is compared, the masks' own."""
    names = features_compared(model.card.use.matching.features, model.card.part_classes - 1)
    parts = [name for name in names if name not in WHOLE.values()]
    return {name: part_colour(part) for part, name in enumerate(parts, 1)}


def draw_ranked(model: Model, lists: Sequence[Ranked]) -> Image.Image:
    """Draw the query and, from left to right, its list, each image with its similarities.

    Parameters
    ----------
    model : Model
    lists : sequence of Ranked
        At least one.

    Returns
    -------
    PIL Image
    """
    colours = colours_of(model)
    lines = 1 + len(features_compared(model.card.use.matching.features, model.card.part_classes - 1))
    high = 2 * LINE + TALL + lines * LINE + 3 * GAP
    titles = [_title(ranked) for ranked in lists]
    remark = (
        "similarity, and the cosine of each feature; filled square: the image shows the part; - : not seen in both; "
        "* : seen, but GAM leaves no cell of it"
    )
    if prior := odds(lists):
        remark += f"; p : probability of the same person, {prior}"
    texts = max(int(_font().getlength(text)) for text in (*titles, remark)) + 2 * GAP
    tiles = 1 + max(len(ranked.entries) for ranked in lists)
    sheet = Image.new("RGB", (max(texts, tiles * (WIDE + GAP) + 3 * GAP), LINE + 2 * GAP + high * len(lists)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), remark, INK, _font())
    for number, (title, ranked) in enumerate(zip(titles, lists, strict=True)):
        upper = LINE + 2 * GAP + number * high
        draw.line((0, upper, sheet.width, upper), FAINT)
        draw.text((GAP, upper + GAP // 2), title, INK, _font())
        top = upper + LINE + GAP
        _tile(sheet, (GAP, top), ranked.files[0], "query" if len(ranked.files) == 1 else f"1 of {len(ranked.files)}")
        _lines(draw, (GAP, top + TALL + LINE), _seen_lines(ranked.seen), ranked.seen, colours)
        for entry in ranked.entries:
            assert entry.file is not None, "the caller has refused lists without pictures"
            left = 3 * GAP + entry.rank * (WIDE + GAP)
            likely = "" if entry.probability is None else f",  p {describe_probability(entry.probability)}"
            _tile(sheet, (left, top), entry.file, f"{entry.rank}:  {entry.similarity:.3f}{likely}")
            _lines(draw, (left, top + TALL + LINE), _term_lines(entry.terms), entry.seen, colours)
            draw.text((left, top + TALL + lines * LINE + 2), _shortened(entry.name), SOFT, _font())
    return sheet


def value_of(term: Term) -> str:
    """What is written of a feature: its cosine, - where the two do not both show it, * where GAM leaves no cell."""
    return f"{term.cosine:.3f}{'*' if term.empty else ''}" if term.weight else "-"


def name_query(ranked: Ranked) -> str:
    """Name of the query's file, or of the first of several."""
    others = len(ranked.files) - 1
    return ranked.files[0].name + (f" and {counted(others, 'more image')} of one person" if others else "")


def _title(ranked: Ranked) -> str:
    parts = shown(ranked.seen)
    return name_query(ranked) + (f", shows {', '.join(parts)}" if parts else "")


def _seen_lines(seen: Sequence[Seen]) -> list[tuple[str, str]]:
    return [(one.part, "*" if one.empty else "") for one in seen]


def _term_lines(terms: Sequence[Term]) -> list[tuple[str, str]]:
    return [(term.feature, value_of(term)) for term in terms]


def _shortened(name: str) -> str:
    """The end of a path, as much as fits below a picture."""
    kept = name
    while _font().getlength(kept) > WIDE - GAP:
        kept = "..." + kept.removeprefix("...")[1:]
    return kept


def _tile(sheet: Image.Image, place: tuple[int, int], file: Path, caption: str) -> None:
    """Paste a picture at a place, its left upper corner, with a caption below."""
    left, top = place
    picture = ImageOps.contain(load_picture(file), (WIDE, TALL), Image.Resampling.BICUBIC)
    sheet.paste(picture, (left, top + TALL - picture.height))
    ImageDraw.Draw(sheet).text((left, top + TALL + 1), caption, INK, _font())


def _lines(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    lines: Sequence[tuple[str, str]],
    seen: Sequence[Seen],
    colours: dict[str, tuple[int, int, int]],
) -> None:
    """Write a line a feature: a square of its colour, filled if the image shows it, its name, a value at the right."""
    left, top = place
    shows = {one.part for one in seen if one.shown}
    for number, (name, value) in enumerate(lines):
        upper = top + number * LINE + 2
        if name in colours:
            square, colour = (left, upper + 3, left + SWATCH, upper + 3 + SWATCH), colours[name]
            draw.rectangle(square, colour if name in shows else PAPER, colour)
        draw.text((left + SWATCH + 5, upper), name, INK, _font())
        draw.text((left + WIDE - GAP, upper), value, INK, _font(), anchor="ra")


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)
