"""Of what kind a worker is: with other code, libraries or processors it would compute other bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeVar

import torch
from threadpoolctl import threadpool_limits

from hcga.devices import choose_device
from hcga.errors import InputError
from hcga.files import code_digest
from hcga.runs.environment import Environment, environment

T = TypeVar("T")
# As on the machine that asks.
SOFTWARE = ("code", "python", "numpy", "torch", "timm", "scikit_learn", "zarr", "numcodecs")


class Kind(NamedTuple):
    """What decides the bytes that a process computes."""

    code: str  # digest of this package
    environment: Environment

    @property
    def traits(self) -> dict[str, object]:
        """All of it, by name."""
        return {"code": self.code, **self.environment.model_dump()}


class Setting(NamedTuple):
    """How a worker is to compute."""

    device: str  # of params.yaml
    threads: int


def kind_of(device: torch.device) -> Kind:
    """Of what kind this process is when it computes on a device."""
    return Kind(_code(), environment(device))


@cache
def _code() -> str:
    """Of the modules that this process has loaded; it goes on with them, whatever is edited later."""
    return code_digest()


@lru_cache(maxsize=1)
def configure_worker(setting: Setting) -> Kind:
    """Have this worker compute so, from now on.

    Raises
    ------
    InputError
        Without such a device, or where several tasks would run at a time: they share PyTorch's threads.
    """
    from distributed import get_worker

    if (tasks := get_worker().state.nthreads) != 1:
        raise InputError(f"Dask {_this()} runs {tasks} tasks at a time; start workers with --nthreads 1")
    device = choose_device(setting.device, setting.threads)
    threadpool_limits(setting.threads)
    return kind_of(device)


def run(setting: Setting, kind: Kind, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function on a worker; `InputError` if that is of another kind than the first worker."""
    refuse_others(configure_worker(setting), kind, tuple(kind.traits), _this(), "on another worker")
    return function(*arguments)


def refuse_others(found: Kind, expected: Kind, names: tuple[str, ...], who: str, where: str) -> None:
    """Refuse a worker in which one of the named traits is not as it is elsewhere, `InputError`."""
    told = [
        f"{name} is {found.traits[name]} there and {expected.traits[name]} {where}"
        for name in names
        if found.traits[name] != expected.traits[name]
    ]
    if told:
        raise InputError(
            f"Dask {who}: {'; '.join(told)}. It would compute other bytes: give all workers the same machines, "
            "packages and checkout, and start them again"
        )


def _this() -> str:
    from distributed import get_worker

    return f"worker {get_worker().address}"
