"""The first request to stop is noted, the second ends the process."""

import os
import signal

import pytest

from hcga.stopping import Stopped, stop_requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_request_is_noted(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_requests() as stop:
        assert stop() is None
        os.kill(os.getpid(), number)
        asked = stop()
        assert signal.getsignal(number) == before, "a second one ends the process"
    assert isinstance(asked, Stopped)
    assert (asked.code, str(asked)) == (128 + number, f"stopped by {number.name}")


def test_a_second_ctrl_c_stops_at_once() -> None:
    def insist() -> None:
        with stop_requests():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        insist()


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)]
    with stop_requests():
        assert [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)] == before
