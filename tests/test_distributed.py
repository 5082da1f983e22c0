"""Two processes that train together compute what one does, and end together."""

import subprocess
import sys
from pathlib import Path

import pytest
import together
import torch
from safetensors.torch import load_file

from hcga.distributed import ALONE, Ranks
from hcga.errors import InputError

SCRIPT = Path(__file__).with_name("together.py")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["parsing", "image"])
def test_gradients_statistics_and_losses_are_those_of_one_process(tmp_path: Path, what: str) -> None:
    command = [sys.executable, "-m", "hcga.launch", "2", str(SCRIPT), str(tmp_path), what]
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


def test_shares_of_a_batch_are_its_rows_in_order() -> None:
    batch = torch.arange(12).reshape(6, 2)
    assert torch.equal(torch.cat([Ranks(rank, 3).share(batch) for rank in range(3)]), batch)
    assert torch.equal(ALONE.share(batch), batch)
    with pytest.raises(InputError, match=r"processes: a batch of 6 images .* cannot be shared equally by 4"):
        Ranks(0, 4).share(batch)
