"""What besides code, data, params and seed decides the bytes of a result: the machine and the libraries."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict

from hcga.devices import float_type
from hcga.files import digest

CPUINFO = Path("/proc/cpuinfo")
CHOOSING = re.compile(r"(ATEN_CPU_CAPABILITY|(ONEDNN|DNNL)_MAX_CPU_ISA|MKL_(ENABLE_INSTRUCTIONS|CBWR))$")


class Environment(BaseModel):
    """Where something was computed. Equal environments give equal bytes; others round otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str  # cpu, cuda or mps, and the name of the processor
    instructions: str  # of the CPU: what PyTorch uses of them, a digest of all, and variables that change the choice
    threads: int  # of the CPU's arithmetic
    processes: int = 1  # that train together
    floats: str  # float32 or bfloat16
    python: str
    numpy: str
    torch: str
    timm: str
    pillow: str  # decodes and resizes
    scikit_learn: str
    zarr: str
    numcodecs: str  # packs what zarr writes


def environment(device: torch.device) -> Environment:
    """Describe this process as it computes on a device."""
    return Environment(
        device=f"{device.type}: {_processor(device)}",
        instructions=_instructions(),
        threads=torch.get_num_threads(),
        processes=int(os.environ.get("WORLD_SIZE", "1")),  # as torchrun says
        floats=float_type(device),
        python=platform.python_version(),
        numpy=metadata.version("numpy"),
        torch=torch.__version__,  # with its build, which pip does not know
        timm=metadata.version("timm"),
        pillow=metadata.version("pillow"),
        scikit_learn=metadata.version("scikit-learn"),
        zarr=metadata.version("zarr"),
        numcodecs=metadata.version("numcodecs"),
    )


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _instructions() -> str:
    """Virtual machines call processors of several generations by one name, and libraries can be told to use less."""
    flags = digest(" ".join(sorted(_cpuinfo("flags").split())).encode())[:8]
    told = [f"{name}={value}" for name, value in sorted(os.environ.items()) if CHOOSING.match(name)]
    return " ".join([torch.backends.cpu.get_cpu_capability(), flags, *told])


def _cpuinfo(name: str) -> str:
    """What Linux says of the first processor core."""
    lines = CPUINFO.read_text("utf-8", errors="replace").splitlines() if CPUINFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
