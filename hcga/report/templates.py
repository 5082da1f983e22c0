"""Templates of pages."""

from __future__ import annotations

from importlib.resources.abc import Traversable

import jinja2


def page_environment(*folders: Traversable) -> jinja2.Environment:
    """Jinja as all pages want it: what is put in is escaped, what is missing is an error.

    Parameters
    ----------
    *folders : Traversable
        Where templates are looked for, one after another.
    """

    def load(name: str) -> str | None:
        found = (folder.joinpath(name) for folder in folders)
        return next((file.read_text("utf-8") for file in found if file.is_file()), None)

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
