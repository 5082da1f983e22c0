"""CSV files that stages write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from hcga.errors import OTHER_VERSION, REMEDY, InputError


def read_table(path: Path, columns: Iterable[str] = (), **options: Any) -> pd.DataFrame:
    """Read a CSV.

    Parameters
    ----------
    path : Path
    columns : iterable of str
        That it must have.
    **options
        Of `pandas.read_csv`.

    Raises
    ------
    InputError
        It is missing, empty or no CSV, or lacks a column.
    """
    try:
        table = pd.read_csv(path, **options)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {REMEDY}") from None
    except (ValueError, OverflowError, OSError) as error:  # pandas' own kinds are ValueErrors
        raise InputError(f"{path}: no readable table ({str(error).strip()}); {REMEDY}") from None
    if lacking := [name for name in columns if name not in table]:
        known = ", ".join(map(str, table))
        raise InputError(f"{path}: no column {lacking[0]!r}; it has: {known}. Perhaps {OTHER_VERSION}")
    return table
