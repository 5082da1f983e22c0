"""CSV files that stages write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from hcga.errors import REMEDY, InputError


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV.

    Parameters
    ----------
    path : Path
    **options
        Of `pandas.read_csv`.

    Raises
    ------
    InputError
        It is missing, empty or no CSV.
    """
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {REMEDY}") from None
    except (ValueError, OSError) as error:  # pandas' own kinds are ValueErrors
        raise InputError(f"{path}: no readable table ({str(error).strip()}); {REMEDY}") from None
