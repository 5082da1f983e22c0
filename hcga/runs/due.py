"""What `dvc repro` has to do, and in which order: by DVC's own graph and dvc.lock."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hcga.errors import InputError

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage


def due_stages(root: Path, running: Collection[str] = ()) -> list[str]:
    """Find the stages that are not up to date, without running, locking or changing anything.

    Parameters
    ----------
    root : Path
        Where dvc.yaml stands.
    running : collection of str
        Stages that run now: what they hang on is done, they and what hangs on them are due.

    Returns
    -------
    list of str
        As DVC names them, in the order in which it takes them. One whose inputs come out as before is skipped in the
        end, although it is due here.

    Raises
    ------
    InputError
        There is no folder .dvc, or DVC cannot read that, dvc.yaml or dvc.lock.
    """
    from dvc.repo.reproduce import plan_repro
    from dvc.stage import PipelineStage

    with opened(root) as repo:
        graph = repo.index.graph
        stages = [stage for stage in plan_repro(graph) if isinstance(stage, PipelineStage)]  # not of `dvc add`
        done = {above for stage in stages if stage.name in running for above in plan_repro(graph, [stage])}
        due: list[PipelineStage] = []
        for stage in stages:
            awaited = any(above in due and not _constant(above) for above in graph.successors(stage))
            if awaited or stage.name in running or (stage not in done and _changed(stage)):
                due.append(stage)
    return [stage.name for stage in due]


@contextmanager
def opened(root: Path) -> Iterator[Repo]:
    """Open DVC's view of a checkout.

    Raises
    ------
    InputError
        There is no folder .dvc, or DVC cannot read that, dvc.yaml or dvc.lock.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if not (root / ".dvc").is_dir():
        raise InputError(f"{root}: no folder .dvc; take it back from Git with `git checkout .dvc`")
    try:
        with Repo(str(root)) as repo:
            yield repo
    except (DvcException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{root}: DVC says: {error}; mend that, or take it back from Git") from None


def _constant(stage: PipelineStage) -> bool:
    """Whether dvc.yaml says that the output of a stage never changes."""
    return bool((stage.meta or {}).get("constant"))


def _changed(stage: PipelineStage) -> bool:
    """Whether a stage has another command, params, inputs or outputs than when it ran.

    As `Stage.changed`, which takes a lock that could stop a stage about to begin.
    """
    return stage.cmd_changed or any(not item.hash_info or item.status() for item in (*stage.deps, *stage.outs))
