"""The packages of the extra `dask`, which only those need who compute on a cluster."""

from __future__ import annotations

from importlib.util import find_spec

from hcga.errors import InputError
from hcga.params import Dask


def need_packages(params: Dask) -> None:
    """Refuse params whose packages are not installed, `InputError`."""
    needed = ["distributed", *(["dask_jobqueue"] if params.cluster else []), *(["fsspec"] if params.share else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise InputError(f"dask: needs {', '.join(missing)}; pip install -e '.[dask]', or set dask to null")
