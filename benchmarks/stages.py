"""Wall time and peak memory of each stage of the pipeline in this folder, run anew one after another.

    python benchmarks/stages.py

DVC's own start (about a second a stage here, once for a whole `dvc repro`) is contained. Memory is the largest resident
set of the stage's process; for co-parsing's workers see benchmarks/coparsing.py.
"""

from __future__ import annotations

from pathlib import Path

import click
from runs import time_stages


@click.command()
def main() -> None:
    """Run every stage with `dvc repro --force --single-item` and print a table."""
    summed = time_stages(Path.cwd())
    click.echo(summed.round(1).to_string())
    click.echo(f"all: {summed['seconds'].sum():.0f} s, {summed['peak MB'].max():.0f} MB")


if __name__ == "__main__":
    main()
