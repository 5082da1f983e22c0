"""What the layers of a place are called and what their colours mean: the stores say so, params.yaml may be newer."""

from __future__ import annotations

from collections.abc import Iterable

from hcga.errors import InputError
from hcga.masks.parts import part_colour
from hcga.masks.pictures import legend
from hcga.runs.revisions import Place
from hcga.stores import attribute
from hcga.view.layers import CHANGED, CONFIDENCE
from hcga.view.places import Archive

Parts = list[tuple[str, str]]  # names and colours, as HTML writes them
STORES = {  # of layers that show parts: stage and option
    "masks": ("coparse", "masks"),
    "alone": ("coparse", "masks"),
    "head": ("embed", "embeddings"),
    "truth": ("prepare", "truth"),
}
OTHERS = {"alone": ("background without photos", part_colour(0)), "changed": ("changed", CHANGED)}


def layer_titles(archive: Archive, place: Place) -> dict[str, str]:
    """Layers that a place has, and how they are called on the page."""
    return {
        "masks": "masks",
        "alone": "masks without photos",
        "changed": "changed from the row above",
        "labels": "labels",
        "head": "parsing head",
        **({"truth": "truth"} if _may_have_truth(archive, place.rev) else {}),
        **{f"{CONFIDENCE}{part}": f"confidence, {name}" for part, (name, _) in enumerate(parts_of(archive, place), 1)},
    }


def parts_of(archive: Archive, place: Place, layer: str = "masks") -> Parts:
    """Names and colours of the parts that a layer of `STORES` shows at a place."""
    return legend(attribute(archive.store(place, *STORES[layer]), "part_classes", int))


def legends(archive: Archive, shown: Iterable[tuple[Place, str]]) -> list[tuple[str, Parts]]:
    """Collect what the colours of some layers mean.

    Parameters
    ----------
    archive : Archive
    shown : iterable of (Place, str)
        Places and their layers.

    Returns
    -------
    list of (str, list of (str, str))
        What has the same parts is one entry: what it is for, empty if for all; names and colours. Colours of what is
        no part come last. Nothing for confidence alone.
    """
    shown = [(place, layer) for place, layer in shown if not layer.startswith(CONFIDENCE)]  # which has a scale
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for place, layer in shown:
        if layer in STORES:
            found.setdefault(tuple(parts_of(archive, place, layer)), []).append(f"{layer} of {place}")
    kinds = {layer: None for _, layer in shown if layer in OTHERS}
    others = [(name, html_colour(colour)) for name, colour in (OTHERS[layer] for layer in kinds)]
    entries = [(", ".join(names) if len(found) > 1 else "", list(parts)) for parts, names in found.items()]
    return [*entries, ("", others)] if shown else []


def html_colour(colour: tuple[int, ...]) -> str:
    """A colour, RGB or RGBA, as HTML writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _may_have_truth(archive: Archive, rev: str) -> bool:
    """Whether there is truth, or it cannot be read, which its row then says."""
    try:
        return archive.truth(rev) is not None
    except InputError:
        return True
