"""The workers of a Dask scheduler, given tasks a few at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from distributed import Client, Future, wait
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from hcga.cluster.kind import SOFTWARE, Kind, Setting, configure_worker, kind_of, refuse_others, run
from hcga.cluster.shared import Shared, share
from hcga.errors import InputError
from hcga.runs.environment import Environment
from hcga.wording import counted

K = TypeVar("K")
WAIT = 30.0  # seconds until it is said that there is no worker
SILENT = "they may be busy with somebody's work, or lack this package: look at a worker's log"
KEPT = "what is done is kept: mend that, and run `dvc repro` again"
log = logging.getLogger(__name__)


class Workers:
    """Workers that compute alike: whichever does a task, its bytes are the same.

    Parameters
    ----------
    client : distributed.Client
    scheduler : str
        Its address, for messages.
    url : str or None
        Of `hcga.cluster.shared.share`.
    setting : Setting
        How they are to compute.

    Raises
    ------
    InputError
        A worker has other software than this machine or lacks the device, or the scheduler lacks this package.
    """

    def __init__(self, client: Client, scheduler: str, url: str | None, setting: Setting) -> None:
        self._client, self._url, self._setting = client, url, setting
        self._scheduler = scheduler
        self._kind = self._ask()

    @property
    def environment(self) -> Environment:
        """Where they compute; a worker with another one is refused."""
        return self._kind.environment

    @property
    def device(self) -> torch.device:
        """On which they compute."""
        return torch.device(self.environment.device.partition(":")[0])

    def share(self, path: Path) -> Shared:
        """As `hcga.cluster.shared.share`."""
        return share(path, self._url)

    def map(
        self, function: Callable[..., Any], tasks: Mapping[K, tuple[Any, ...]], unit: str, ahead: int, in_order: bool
    ) -> Iterator[tuple[K, Any]]:
        """Call a function on workers.

        Parameters
        ----------
        function : callable
            Of a module that the workers can import.
        tasks : mapping
            Key to arguments; the first are begun first.
        unit : str
            What a task is, such as 'identity'; with the key it names a task in messages.
        ahead : int
            Tasks that are under way for each worker.
        in_order : bool
            Whether results come in the order of the tasks, or as they are ready.

        Yields
        ------
        (key, result)

        Raises
        ------
        InputError
            Workers were lost with a task as often as Dask allows, the scheduler was lost, or a worker is of another
            kind.
        Exception
            What `function` raises.
        """
        waiting, running = iter(tasks.items()), dict[Future[Any], K]()
        while True:
            room = ahead * max(1, self._count()) - len(running)
            for key, arguments in islice(waiting, max(0, room)):
                running[self._submit(run, self._setting, self._kind, function, *arguments)] = key
            if not running:
                return
            for future in self._finished([*running][: 1 if in_order else None]):
                key = running.pop(future)
                yield key, self._result(future, f"{unit} {key}")

    def _ask(self) -> Kind:
        """Of what kind the workers are, by the first that answers."""
        (future,) = self._finished([self._submit(configure_worker, self._setting)], SILENT)
        try:
            kind: Kind = self._result(future, "the first task")
        except (ImportError, AttributeError, RuntimeError) as error:  # of pickle, which only names functions
            told = str(error.__cause__ or error).splitlines()[0]
            raise InputError(
                f"{self._scheduler}: the scheduler or a worker cannot import this package ({told}); install the same "
                "checkout and packages there"
            ) from None
        refuse_others(kind, kind_of(torch.device("cpu")), SOFTWARE, "workers", "here")
        return kind

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._client.submit(function, *arguments, pure=False)

    def _finished(self, futures: Sequence[Future[Any]], silent: str = "") -> Collection[Future[Any]]:
        """Wait until one is done; `silent` is what may be wrong if there are workers and none has done any."""
        while True:
            with self._losing("a task"), suppress(TimeoutError):
                return wait(futures, WAIT, "FIRST_COMPLETED").done  # type: ignore[no-untyped-call]
            self._say_if_alone(silent)

    def _result(self, future: Future[Any], task: str) -> Any:
        """Fetch the result of a task; one that was lost with its worker is computed again."""
        while True:
            with self._losing(task):
                try:
                    return future.result(WAIT)
                except TimeoutError:
                    if future.status == "error":  # the task's own
                        raise
            self._say_if_alone()

    def _say_if_alone(self, silent: str = "") -> None:
        if not (count := self._count()):
            log.warning("%s has no worker; waiting for one", self._scheduler)
        elif silent:
            log.warning("%s: %s, of which none answers; %s", self._scheduler, counted(count, "worker"), silent)

    def _count(self) -> int:
        try:
            return len(self._client.nthreads())  # type: ignore[no-untyped-call]
        except OSError:
            raise self._lost() from None

    @contextmanager
    def _losing(self, task: str) -> Iterator[None]:
        """Say in words what is lost, but not what a task raises."""
        try:
            yield
        except KilledWorker as error:
            raise InputError(
                f"{task}: Dask has lost {error.allowed_failures + 1} workers with it, most likely for want of memory; "
                f"{KEPT}"
            ) from None
        except (CancelledError, CommClosedError):
            raise self._lost() from None

    def _lost(self) -> InputError:
        return InputError(f"dask.scheduler: {self._scheduler} was lost while it was at work; {KEPT}")
