"""Ctrl-C on a terminal reaches `dvc repro` and the stage that it runs."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from test_pipeline import ALL, TINY, new_checkout

pytestmark = pytest.mark.slow


def test_no_stage_begins_after_ctrl_c_and_the_next_run_goes_on(tmp_path: Path) -> None:
    checkout = new_checkout(tmp_path / "checkout", TINY)
    # As a shell starts a job of the foreground: a group of its own, in which SIGINT is heard.
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout
    before = []
    for line in process.stdout:
        before.append(line)
        if line.startswith("extract@r1: ") and "device" in line:  # it computes
            break
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    after = process.stdout.read()
    assert process.wait() != 0, "".join(before) + after
    assert time.monotonic() - began < 60
    assert "Running stage" not in after
    assert "extract@r1: stopped by SIGINT; `dvc repro` goes on from what is done" in after
    assert "Traceback" not in after
    done = {line.split("'")[1] for line in before if line.startswith("Running stage '")}
    assert checkout.repro() == ALL - done | {"extract@r1"}
