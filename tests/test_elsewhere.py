"""A run on the workers of a Dask cluster, and artifacts on a remote of DVC: as docs/dask.md and remotes.md have it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import Machines
from s3 import ACCESS, BUCKET, s3_server
from test_pipeline import ALL, TINY, Checkout, new_checkout

pytestmark = pytest.mark.slow
WHO = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Give a checkout in which `dvc repro` has run once, and that may ask the server for S3."""
    made = new_checkout(tmp_path_factory.mktemp("elsewhere") / "checkout", TINY, **ACCESS)
    assert made.repro() == ALL
    commit(made, "run")
    return made


def commit(checkout: Checkout, message: str) -> None:
    for command in (("git", "add", "-A"), ("git", *WHO, "commit", "-q", "-m", message)):
        done = checkout.run(*command)
        assert done.returncode == 0, done.stderr


def test_stages_on_a_cluster_write_the_same_bytes_and_none_is_due_for_it(checkout: Checkout, tmp_path: Path) -> None:
    before = checkout.outputs()
    with Machines(tmp_path, PYTHONPATH=str(checkout.folder)) as machines:
        for _ in range(2):
            machines.add_worker(PYTHONPATH=str(checkout.folder))
        stages = ["extract", "coparse", "embed"]
        dask = {"scheduler": machines.address, "cluster": None, "share": None, "stages": stages}
        with checkout.changed({"dask": dask}):
            assert checkout.repro() == {"check", "report"}, "which depend on params.yaml as a whole"
            for verb in stages:
                done = checkout.dvc("repro", "--force", "--single-item", f"{verb}@r2")
                assert done.returncode == 0, done.stdout + done.stderr
                assert f"computing on the workers of {machines.address}" in done.stderr
            assert checkout.outputs() == before
        assert machines.scheduler.poll() is None


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_the_masks_of_one_round_come_from_a_remote_to_another_machine(
    checkout: Checkout, server: str, tmp_path: Path, kind: str
) -> None:
    url = {"local": str(tmp_path / "remote"), "s3": f"s3://{BUCKET}/dvc"}[kind]
    assert checkout.dvc("remote", "add", "-d", kind, url).returncode == 0
    if kind == "s3":
        assert checkout.dvc("remote", "modify", kind, "endpointurl", server).returncode == 0
    commit(checkout, "remote")
    pushed = checkout.dvc("push")
    assert pushed.returncode == 0, pushed.stderr
    assert checkout.run("git", "clone", "-q", ".", str(tmp_path / "other")).returncode == 0
    other = Checkout(tmp_path / "other", **ACCESS)
    pulled = other.dvc("pull", "coparse@r2")
    assert pulled.returncode == 0, pulled.stderr
    found = {name for name in other.outputs() if name.startswith("data/masks/")}
    assert found == {
        name for name in checkout.outputs() if name.startswith(("data/masks/r2.zarr", "data/masks/r2.csv"))
    }
    assert not (other.folder / "data/images.zarr").exists()
    seen = other.run("hcga", "masks", "draw", "--round", "r1", "--pid", "2", "--rev", "HEAD")
    assert seen.returncode == 0, seen.stderr
    assert (other.folder / "masks-HEAD-r1-2.png").exists()
    drawn = ("data/samples.csv", "data/images.zarr", "data/truth.zarr")
    assert other.dvc("pull", *drawn).returncode == 0
    assert other.run("hcga", "masks", "draw", "--round", "r2", "--pid", "2").returncode == 0
