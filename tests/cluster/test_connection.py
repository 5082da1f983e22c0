"""What params.yaml may say of a cluster, and the jobs that come of it."""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import dask
import pytest
import tasks
from conftest import ROOT, WriteParams

from hcga.cluster.connection import connected, slurm_cluster, workers_of
from hcga.cluster.extra import need_packages
from hcga.errors import InputError
from hcga.params import Dask, Slurm, load_params

SLURM = {"kind": "slurm", "jobs": 3, "workers": 4, "cores": 8, "memory": "24GB", "walltime": "01:30:00"}
SCHEDULER = {"scheduler": "tcp://10.0.0.1:8786", "cluster": None, "share": None, "stages": ["coparse"]}


@pytest.mark.parametrize(
    "dask",
    [
        SCHEDULER,
        {**SCHEDULER, "scheduler": "tls://head.cluster:8786", "share": "s3://bucket/folder"},
        {**SCHEDULER, "scheduler": None, "cluster": SLURM},
    ],
)
def test_these_are_valid(write_params: WriteParams, dask: dict[str, Any]) -> None:
    found = load_params(write_params({"dask": dask})).dask
    assert found
    assert found.model_dump() == dask


@pytest.mark.parametrize(
    ("dask", "told"),
    [
        ({**SCHEDULER, "cluster": SLURM}, "set one of scheduler and cluster, and the other to null"),
        ({**SCHEDULER, "scheduler": None}, "set one of scheduler and cluster, and the other to null"),
        ({**SCHEDULER, "scheduler": "10.0.0.1:8786"}, r"dask\.scheduler"),
        ({**SCHEDULER, "scheduler": "tcp://10.0.0.1"}, r"dask\.scheduler"),
        ({**SCHEDULER, "share": "/mnt/share"}, r"dask\.share"),
        ({**SCHEDULER, "workers": 3}, r"dask\.workers"),
        ({**SCHEDULER, "stages": ["train"]}, r"dask\.stages"),
        ({**SCHEDULER, "stages": []}, r"dask\.stages"),
        ({**SCHEDULER, "scheduler": None, "cluster": {**SLURM, "kind": "pbs"}}, r"dask\.cluster\.kind"),
        ({**SCHEDULER, "scheduler": None, "cluster": {**SLURM, "memory": "24"}}, r"dask\.cluster\.memory"),
        ({**SCHEDULER, "scheduler": None, "cluster": {**SLURM, "walltime": "90"}}, r"dask\.cluster\.walltime"),
        ({**SCHEDULER, "scheduler": None, "cluster": {**SLURM, "jobs": 0}}, r"dask\.cluster\.jobs"),
    ],
)
def test_these_are_refused(write_params: WriteParams, dask: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_params(write_params({"dask": dask}))


def test_stages_that_are_not_named_compute_here() -> None:
    params = Dask(**SCHEDULER)
    assert workers_of("coparse", params) == params
    assert workers_of("extract", params) is None
    assert workers_of("coparse", None) is None


def test_a_job_has_a_worker_of_one_task_for_each_that_is_wanted() -> None:
    with slurm_cluster(Slurm.model_validate(SLURM)) as cluster:
        script = cluster.job_script()
    lines = script.splitlines()
    assert "#SBATCH --cpus-per-task=8" in lines
    assert "#SBATCH --mem=23G" in lines  # 24e9 bytes, rounded up to whole GiB
    assert "#SBATCH -t 01:30:00" in lines
    assert {"--nthreads 1", "--nworkers 4"} <= set(re.findall(r"--n(?:threads|workers) \d+", script))
    assert "distributed.cli.dask_worker tcp://" in script


@pytest.fixture
def jobs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have processes of this machine for jobs."""
    interrupted = signal.getsignal(signal.SIGINT)
    from dask_jobqueue.local import LocalJob

    from hcga.cluster.jobs import Jobs

    signal.signal(signal.SIGINT, interrupted)

    class Here(LocalJob):  # type: ignore[misc]
        def __init__(self, *arguments: Any, job_cpu: int, **options: Any) -> None:
            super().__init__(*arguments, **options)

    monkeypatch.setattr(Jobs, "job_cls", Here)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("jobs_here")
def test_a_job_that_has_ended_is_submitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """The only one, with its workers and what they were at."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, Path(tasks.__file__).parent))))
    monkeypatch.chdir(tmp_path)
    params = Dask.model_validate(
        {**SCHEDULER, "scheduler": None, "cluster": {**SLURM, "jobs": 1, "workers": workers, "memory": "2GB"}}
    )
    todo = {key: (tmp_path / "ended", key) for key in range(6)}
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}), connected(params, "cpu", 1) as cluster:
        assert cluster
        assert dict(cluster.map(tasks.end_job_once, todo, "task", 1, in_order=False)) == {key: key for key in todo}
    assert (tmp_path / "ended").exists()


def test_a_stage_is_stopped_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """dask-jobqueue would have it end without an exception that a stage could see."""
    for name in [name for name in sys.modules if name.startswith(("dask_jobqueue", "hcga.cluster.jobs"))]:
        monkeypatch.delitem(sys.modules, name)
    with slurm_cluster(Slurm.model_validate(SLURM)), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("distributed", "dask_jobqueue"):
        monkeypatch.setitem(sys.modules, name, None)
    params = Dask.model_validate({**SCHEDULER, "scheduler": None, "cluster": SLURM})
    with pytest.raises(InputError, match=r"dask: needs distributed, dask_jobqueue; pip install -e '.\[dask\]'"):
        need_packages(params)
    with pytest.raises(InputError, match="needs distributed;"), connected(Dask(**SCHEDULER), "cpu", 1):
        pass


def test_without_a_cluster_nothing_is_connected() -> None:
    with connected(None, "cpu", 1) as cluster:
        assert cluster is None
