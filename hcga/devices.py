"""Where and how precisely networks compute."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext

import torch

from hcga.errors import InputError
from hcga.resources import free_memory
from hcga.wording import counted

log = logging.getLogger(__name__)


def choose_device(wanted: str, threads: int | None = None) -> torch.device:
    """Pick the device of a stage and make its arithmetic reproducible.

    Parameters
    ----------
    wanted : {'auto', 'cpu', 'cuda', 'mps'}
        auto: cuda, else mps, else cpu.
    threads : int or None
        Of arithmetic on the CPU, which rounds otherwise with another number of them; None for PyTorch's choice, one a
        core.

    Raises
    ------
    InputError
        The device is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = next(name for name in there if there[name]) if wanted == "auto" else wanted
    if not there[chosen]:
        raise InputError(f"device: {chosen} is not available here; set it to auto or cpu")
    keep_memory()
    if threads:
        torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = torch.device(chosen)
    log.info("device %s (%s), %s, %s", chosen, wanted, float_type(device), counted(torch.get_num_threads(), "thread"))
    return device


def free_on(device: torch.device) -> int:
    """Bytes of memory that are free for what a device computes: its own, or this machine's."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Mixed precision where it is faster: bfloat16 on GPUs that have it, nothing elsewhere."""
    mixed = float_type(device) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16) if mixed else nullcontext()


def float_type(device: torch.device) -> str:
    """Type of number in which networks compute: bfloat16 (mixed precision) or float32."""
    mixed = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if mixed else "float32"


def keep_memory() -> None:
    """Let glibc's malloc keep freed memory for the next step instead of handing it back to the kernel.

    On the CPU every step frees and asks for the same large buffers, and faulting them in anew takes a good part of its
    time. Where the C library is another (macOS, Windows, musl) this does nothing.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no buffer of its own mapping
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
