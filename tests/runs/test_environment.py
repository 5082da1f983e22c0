"""What is said of the machine and the libraries."""

import platform
from pathlib import Path

import numcodecs
import numpy as np
import PIL
import pytest
import sklearn
import torch
import zarr

from hcga.devices import choose_device
from hcga.runs import environment as described
from hcga.runs.environment import environment

CPU = torch.device("cpu")


def test_libraries_and_threads_are_those_of_this_process() -> None:
    found = environment(CPU)
    assert (found.python, found.numpy, found.torch) == (platform.python_version(), np.__version__, torch.__version__)
    assert (found.scikit_learn, found.zarr) == (sklearn.__version__, zarr.__version__)
    assert (found.numcodecs, found.pillow) == (numcodecs.__version__, PIL.__version__)
    assert (found.threads, found.floats) == (torch.get_num_threads(), "float32")


def test_instructions_tell_processors_of_one_name_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(described, "CPUINFO", tmp_path / "cpuinfo")
    told = []
    for flags in ("sse avx", "avx sse", "sse avx amx_tile"):
        (tmp_path / "cpuinfo").write_text(f"model name\t: Xeon\nflags\t\t: {flags}\n")
        told.append(environment(CPU).instructions)
    assert told[0] == told[1] != told[2]
    assert told[0].startswith(torch.backends.cpu.get_cpu_capability())
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert environment(CPU).instructions == f"{told[2]} ONEDNN_MAX_CPU_ISA=AVX2"


def test_the_number_of_threads_is_what_was_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        choose_device("cpu", 3)
        assert environment(CPU).threads == 3
        choose_device("cpu")
        assert environment(CPU).threads == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("processor : 0\nmodel name\t: Some Processor 9000\nmodel name\t: Another\n", "cpu: Some Processor 9000"),
        ("processor : 0\n", f"cpu: {platform.processor() or platform.machine()}"),
        (None, f"cpu: {platform.processor() or platform.machine()}"),
    ],
)
def test_the_processor_has_its_name(tmp_path, monkeypatch, text, device) -> None:
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(described, "CPUINFO", file)
    if text is not None:
        file.write_text(text)
    assert environment(CPU).device == device
