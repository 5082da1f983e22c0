"""What the stage scripts of `pipeline/` share: their params sections, clear errors, logging."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from hcga.errors import InputError
from hcga.params import load_params
from hcga.runlog import RunLog

PATH: Any = click.Path(path_type=Path)


def stage(*sections: str) -> Callable[[Callable[..., None]], click.Command]:
    """Turn a function into a stage script.

    All of params.yaml is checked, but the function gets only the sections named here, as attributes of its first
    argument; dvc.yaml lists the same ones, which a test compares.

    Parameters
    ----------
    *sections : str
        Top-level keys of params.yaml that the stage reads.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @click.option("--params", "params_file", type=PATH, default="params.yaml", show_default=True)
        @functools.wraps(function)
        def run(params_file: Path, **options: Any) -> None:
            logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
            with clear_errors():
                params = load_params(params_file)
                with _recording():
                    function(SimpleNamespace(**{name: getattr(params, name) for name in sections}), **options)

        return click.command(help=function.__doc__)(run)

    return decorate


def _recording() -> AbstractContextManager[None]:
    """Keep times and progress of a stage that DVC has started; nothing of a script started by hand."""
    root, name = os.environ.get("DVC_ROOT"), os.environ.get("DVC_STAGE")
    return RunLog(Path(root)).recording(name) if root and name else nullcontext()


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print what a user can mend as one message and exit with 1, without a traceback."""
    try:
        yield
    except (InputError, FloatingPointError) as error:
        raise click.ClickException(str(error)) from error
