"""Two processes that train together compute what one does, and end together."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import together
import torch
from safetensors.torch import load_file
from waiting import until

from hcga.errors import InputError
from hcga.training import distributed
from hcga.training.distributed import ALONE, Ranks, joined

SCRIPT = Path(__file__).with_name("together.py")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["parsing", "image"])
def test_gradients_statistics_and_losses_are_those_of_one_process(tmp_path: Path, what: str) -> None:
    command = [sys.executable, "-m", "hcga.runs.launch", "2", str(SCRIPT), str(tmp_path), what]
    subprocess.run(command, check=True, timeout=300)
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    wanted = together.step(together.new_network(), ALONE, what == "parsing")
    assert first.keys() == second.keys()
    assert {name for name in wanted if wanted[name].any()} <= first.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        if name in wanted:
            limit = 2e-4 * max(1e-3, float(wanted[name].abs().max()))
            assert float((value - wanted[name]).abs().max()) <= limit, name


@pytest.mark.slow
def test_processes_that_would_compute_otherwise_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hcga.runs.launch", "2", str(SCRIPT), str(tmp_path), "unlike"]
    done = subprocess.run(command, check=False, timeout=300, capture_output=True, text=True)
    assert done.returncode == 1
    assert "process 1 of the training reads other files or computes otherwise than the first" in done.stderr


ORPHANS = """
import os, sys, time
from pathlib import Path
from hcga.training.distributed import joined
with joined("cpu") as ranks:
    Path(sys.argv[1], str(ranks.rank)).write_text(f"{os.getpid()} ")
    time.sleep(600)
"""


@pytest.mark.slow
def test_processes_end_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    """Each has a session of its own, so that nothing else tells them."""
    (tmp_path / "wait.py").write_text(ORPHANS)
    command = [sys.executable, "-m", "hcga.runs.launch", "2", str(tmp_path / "wait.py"), str(tmp_path)]
    launcher, notes = subprocess.Popen(command), [tmp_path / "0", tmp_path / "1"]
    until(lambda: all(note.is_file() and note.read_text().endswith(" ") for note in notes), 100)
    processes = [psutil.Process(int(note.read_text())) for note in notes]
    launcher.kill()
    launcher.wait()
    try:
        until(lambda: not any(process.is_running() for process in processes), 10)
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "choose_device", lambda *_: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"processes: 2 on this machine, which has 1 GPU; set it to that"):
        Ranks(1, 4).device("auto", None)


@pytest.mark.parametrize("variables", [{"RANK"}, {"RANK", "WORLD_SIZE", "MASTER_ADDR"}])
def test_what_a_scheduler_sets_for_any_job_joins_nobody(monkeypatch: pytest.MonkeyPatch, variables: set[str]) -> None:
    for variable in variables:
        monkeypatch.setenv(variable, "1")
    with joined("cpu") as ranks:
        assert ranks == ALONE


def test_shares_of_a_batch_are_its_rows_in_order() -> None:
    batch = torch.arange(12).reshape(6, 2)
    assert torch.equal(torch.cat([batch[Ranks(rank, 3).share(6)] for rank in range(3)]), batch)
    assert torch.equal(batch[ALONE.share(6)], batch)
    with pytest.raises(InputError, match=r"processes: a batch of 6 images .* cannot be shared equally by 4"):
        Ranks(0, 4).share(6)
