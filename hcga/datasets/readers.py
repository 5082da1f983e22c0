"""Readers of re-identification data sets: a folder on disk becomes a sample table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from hcga.datasets.market1501 import read_market1501

READERS: dict[str, Callable[[Path], pd.DataFrame]] = {"market1501": read_market1501}
