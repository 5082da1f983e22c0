"""How pictures look: numbers of an address."""

from __future__ import annotations

from collections.abc import Mapping

from hcga.errors import InputError


def look(asked: Mapping[str, str], name: str, default: float, least: float, most: float) -> str:
    """A number of the address, such as a style may hold; `InputError` if it is none, or not within its limits."""
    text = asked.get(name) or f"{default:g}"
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise InputError(f"{name} is {text!r}; it can be a number from {least:g} to {most:g}")
    return f"{value:g}"


def opacity(asked: Mapping[str, str]) -> str:
    """Per cent, of what lies over images."""
    return look(asked, "opacity", 60, 0, 100)
