"""How many workers memory allows."""

import pytest

from hcga.coparsing import memory
from hcga.coparsing.memory import WORKER, choose_workers, hcnet_bytes, isp_bytes
from hcga.errors import InputError

IMAGES = [60, 40, 20, 20]
ONE = WORKER + 60e6
TWO = ONE + WORKER + 40e6


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    monkeypatch.setattr(memory, "available_cores", lambda: 3)


def test_an_image_takes_what_was_measured():
    """A worker at 64 images of 256 x 64 x 32 features: 1.0 GB of its own beside what PyTorch takes."""
    assert 64 * hcnet_bytes((256, 64, 32)) == pytest.approx(1.0e9, rel=0.05)
    assert isp_bytes((256, 32, 16)) == 16 * 256 * 32 * 16


@pytest.mark.parametrize(
    ("wanted", "free", "workers"),
    [(None, 1e12, 3), (2, 1e12, 2), (9, 1e12, 4), (None, TWO, 2), (2, TWO, 2), (1, ONE, 1)],
)
def test_as_many_as_wanted_and_as_fit(wanted, free, workers):
    assert choose_workers(IMAGES, 1e6, wanted, free) == workers


def test_fewer_than_cores_are_told(caplog):
    with caplog.at_level("INFO", "hcga"):
        assert choose_workers(IMAGES, 1e6, None, TWO - 1) == 1
    assert caplog.messages == ["3 workers need about 0.7 GB of memory at most, and 0.5 are free: 1 worker"]


@pytest.mark.parametrize(
    ("wanted", "free", "message"),
    [
        (2, TWO - 1, r"coparse\.workers: 2 workers need about 0\.5 GB of memory .* set it to 1, or to null"),
        (None, ONE - 1, r"the largest identity \(60 images\) needs about 0\.3 GB of memory, and 0\.3 are free; make"),
    ],
)
def test_what_does_not_fit_is_refused(wanted, free, message):
    with pytest.raises(InputError, match=message):
        choose_workers(IMAGES, 1e6, wanted, free)
