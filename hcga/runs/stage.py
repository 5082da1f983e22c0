"""What the stage scripts of `pipeline/` share: their params sections, clear errors, logging."""

from __future__ import annotations

import logging
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from hcga.errors import InputError
from hcga.guards import NoSpaceError
from hcga.params import Params, load_params
from hcga.resources import fault_of_machine
from hcga.runs.busy import busy
from hcga.runs.processes import end_with, train_together
from hcga.runs.recorded import distrust_copies, refuse_changed
from hcga.runs.runlog import RunLog
from hcga.runs.stopping import stopping_at_once
from hcga.wording import duration

log = logging.getLogger(__name__)
ELSEWHERE = ("dask",)  # section that says where a stage computes, and changes no result
PATH: Any = click.Path(path_type=Path)


def stage(*sections: str) -> Callable[[Callable[..., None]], click.Command]:
    """Turn a function into a stage script.

    All of params.yaml is checked, but the function gets only the sections named here, as attributes of its first
    argument; dvc.yaml lists the same ones, which a test compares. All get those of `ELSEWHERE`, which dvc.yaml does not
    list, so that no stage runs again for them.

    Parameters
    ----------
    *sections : str
        Top-level keys of params.yaml that the stage reads.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @click.option("--params", "params_file", type=PATH, default="params.yaml", show_default=True)
        @wraps(function)
        def run(params_file: Path, **options: Any) -> None:
            began, name = time.monotonic(), _name()
            _log_as(name)
            with stopping_at_once(), clear_errors(), _recording(name):
                params = load_params(params_file)
                if name:
                    stop_with_dvc(Path())
                    named = [path for path in options.values() if isinstance(path, Path)]
                    refuse_changed(Path(), params, name, [*named, *_roots(params, sections)])
                function(
                    SimpleNamespace(**{name: getattr(params, name) for name in (*sections, *ELSEWHERE)}), **options
                )
                if name:
                    distrust_copies(Path(), name)
            log.info("done in %s", duration(time.monotonic() - began))

        return click.command(help=function.__doc__)(run)

    return decorate


def _roots(params: Params, sections: Collection[str]) -> list[Path]:
    """Folders that a stage reads because params.yaml names them."""
    roots = [Path(dataset.root) for dataset in params.datasets.values()] if "datasets" in sections else []
    return [*roots, Path(params.external.root)] if "external" in sections else roots


def _name() -> str:
    """Name of the stage, such as train@r1, if DVC has started it: from a folder below with `../dvc.yaml:` before it."""
    name = os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    return name if _is_first(name) else ""


def _is_first(stage: str) -> bool:
    """Whether this process is alone, or the first of those that train together."""
    return not (train_together() and (stage or "train").startswith("train")) or os.environ["RANK"] == "0"


def _log_as(name: str) -> None:
    """Log to standard error, each line with the stage's name: `grep train@r2` finds them in the log of a whole run."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Named(f"{name}: " if name else ""))
    logging.basicConfig(level=logging.INFO if _is_first(name) else logging.WARNING, handlers=[handler])


class _Named(logging.Formatter):
    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        return textwrap.indent(super().format(record), self._prefix)


def stop_with_dvc(root: Path) -> None:
    """Stop as by SIGTERM soon after DVC has ended, which may be killed alone: nobody would take what is written then.

    `root` is where the folder .dvc stands.
    """
    dvc = busy(root)
    if dvc:
        end_with(dvc.pid, signal.SIGTERM)


def _recording(name: str) -> AbstractContextManager[None]:
    """Keep times and progress of a stage that DVC has started; nothing of a script started by hand.

    They belong to the checkout in which it runs. DVC_ROOT may be another: that from which an experiment was started.
    """
    return RunLog(Path.cwd()).recording(name) if name else nullcontext()


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print what a user can mend, or what has run out, as one message and exit with 1, without a traceback."""
    try:
        yield
    except (InputError, FloatingPointError, NoSpaceError) as error:
        raise click.ClickException(str(error)) from error
    except (MemoryError, RuntimeError, OSError) as error:
        told = fault_of_machine(error)
        if told is None:
            raise
        raise click.ClickException(told) from error
