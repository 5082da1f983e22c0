"""Several processes that train as one: each has a share of every batch, and what looks at a whole batch sees it whole.

Batch norms take their statistics, and the loss its terms, over all images of a batch, wherever they are. So a training
by several processes is one by a single process but for rounding, with the same batches and learning rate.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import MethodType
from typing import Any, NamedTuple, cast

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_gather, all_reduce
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from hcga.devices import choose_device
from hcga.errors import InputError
from hcga.files import scratch, scratch_folder
from hcga.network.prnet import PRNet, Training
from hcga.runs.processes import LAUNCHER, end_with, train_together
from hcga.runs.stopping import Stop, Stopped
from hcga.wording import counted

LOCAL_RANK, LOCAL_SIZE = "LOCAL_RANK", "LOCAL_WORLD_SIZE"  # variables that torchrun sets


class Ranks(NamedTuple):
    """This process among those that train together.

    Attributes
    ----------
    rank : int
        Its number, from 0.
    size : int
        Number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @property
    def here(self) -> int:
        """Number of those on this machine."""
        return int(os.environ[LOCAL_SIZE]) if self.size > 1 else 1

    def device(self, wanted: str, threads: int | None) -> torch.device:
        """As `hcga.devices.choose_device`; of several GPUs of a machine each process has its own."""
        device = choose_device(wanted, threads)
        if device.type == "cuda" and self.size > 1:
            if self.here > (there := torch.cuda.device_count()):
                raise InputError(
                    f"processes: {self.here} on this machine, which has {counted(there, 'GPU')}; set it to that"
                )
            torch.cuda.set_device(int(os.environ[LOCAL_RANK]))
        return device

    def share(self, count: int) -> slice:
        """Which images of a batch are this process's.

        Raises
        ------
        InputError
            They cannot be shared equally.
        """
        if count % self.size:
            raise InputError(
                f"processes: a batch of {count} images (train.identities x train.images) cannot be shared equally "
                f"by {self.size}"
            )
        images = count // self.size
        return slice(self.rank * images, (self.rank + 1) * images)

    def gather(self, output: Training) -> Training:
        """What the network says of the whole batch, of what it says of each share."""
        if self.size == 1:
            return output
        return Training(*(torch.cat(all_gather(part.contiguous())) for part in output))

    def agree(self, stop: Stop) -> Stop:
        """Have all stop when any is asked to; each must ask at the same point."""
        if self.size == 1:
            return stop

        cores: Any = distributed.new_group(backend="gloo")  # which need not wait for a GPU

        def asked() -> Stopped | None:
            request = stop()
            number = torch.tensor(request.number if request else 0)
            distributed.all_reduce(number, distributed.ReduceOp.MAX, cores)
            return Stopped(int(number)) if number else None

        return asked

    @contextmanager
    def scratch(self, path: Path, key: str) -> Iterator[Path]:
        """As `hcga.files.scratch`; the first has it, and the others see it.

        Raises
        ------
        InputError
            A process has another key than the first.
        """
        if self.size == 1:
            with scratch(path, key) as folder:
                yield folder
            return
        self._refuse_others(key)
        with scratch(path, key) if self.first else nullcontext(scratch_folder(path, key)) as folder:
            distributed.barrier()
            yield folder
            distributed.barrier()

    def _refuse_others(self, key: str) -> None:
        own = torch.tensor([*key.encode()], device=_device())
        of_first = own.clone()
        distributed.broadcast(of_first, 0)
        if not torch.equal(own, of_first):
            raise InputError(
                f"process {self.rank} of the training reads other files or computes otherwise than the first (code, "
                "processor, GPU, threads, versions), so that nobody could repeat it; use like machines and one checkout"
            )

    def spread(self, network: PRNet, parsing: bool) -> nn.Module:
        """Have a network's gradients be those of the whole batch; without `parsing` only the image loss has any."""
        if self.size == 1:
            return network
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.forward = MethodType(_normalise, module)  # type: ignore[method-assign]
        return DistributedDataParallel(
            network,
            broadcast_buffers=False,  # they are the same already
            process_group=distributed.new_group(),
            find_unused_parameters=not parsing,
        )


ALONE = Ranks()


@contextmanager
def joined(device: str = "auto") -> Iterator[Ranks]:
    """Join those that torchrun, or `launch`, has started; alone where none has.

    Parameters
    ----------
    device : str
        Of params.yaml: GPUs talk to each other by NCCL, processor cores by Gloo.

    Raises
    ------
    InputError
        Another of them was lost.
    """
    if not train_together():
        yield ALONE
        return
    if LAUNCHER in os.environ:
        end_with(int(os.environ[LAUNCHER]))
    by_gpu = device != "cpu" and torch.cuda.is_available()
    distributed.init_process_group("nccl" if by_gpu else "gloo")
    ranks = Ranks(distributed.get_rank(), distributed.get_world_size())
    try:
        yield ranks
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise InputError(f"process {ranks.rank} of the training has lost another one ({error})") from None
        raise
    finally:
        distributed.destroy_process_group()


def launch(count: int) -> None:
    """Become `count` processes that run this script with these arguments, unless this is one of them."""
    if count > 1 and not train_together():
        os.execv(sys.executable, [sys.executable, "-m", "hcga.runs.launch", str(count), *sys.argv])


def _device() -> torch.device:
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


def _normalise(module: _BatchNorm, values: torch.Tensor) -> torch.Tensor:
    """Forward pass of a batch norm, and of timm's that has an activation behind, with statistics of the whole batch."""
    if not module.training:
        return type(module).forward(module, values)
    axes = [0, *range(2, values.ndim)]
    shape = [1, -1] + [1] * (values.ndim - 2)
    exact = values.float()
    mean = _average(exact.mean(axes))
    centred = exact - mean.view(shape)
    variance = _average(centred.square().mean(axes))
    _remember(module, mean.detach(), variance.detach(), values.numel() // len(mean) * distributed.get_world_size())
    scale = (variance + module.eps).rsqrt()
    if module.affine:
        scale = scale * module.weight
    result = centred * scale.view(shape)
    if module.affine:
        result = result + module.bias.view(shape)
    after: Callable[[torch.Tensor], torch.Tensor] = getattr(module, "act", lambda same: same)
    return after(getattr(module, "drop", lambda same: same)(result.to(values.dtype)))


def _average(of_share: torch.Tensor) -> torch.Tensor:
    total: Any = all_reduce(of_share)
    return cast(torch.Tensor, total / distributed.get_world_size())


def _remember(module: _BatchNorm, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
    """Update the running statistics as PyTorch does."""
    known: Any = module  # one that keeps them, with a momentum
    known.num_batches_tracked.add_(1)
    known.running_mean.lerp_(mean, known.momentum)
    known.running_var.lerp_(variance * count / (count - 1), known.momentum)
