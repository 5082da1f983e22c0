"""Numbers and times in words."""

from __future__ import annotations

PLURALS = {"identity": "identities", "query": "queries", "batch": "batches", "process": "processes"}


def counted(number: int, unit: str) -> str:
    """A number of things in words: 1 batch, 40 identities."""
    return f"{number} {unit if number == 1 else PLURALS.get(unit, f'{unit}s')}"


def duration(seconds: float) -> str:
    """Seconds in words, to two units: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = round(seconds)
    for size, name, smaller, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {small_name}"
    return f"{whole} s"
