"""Wall time and peak memory of each stage of the pipeline in this folder, run anew one after another.

    python benchmarks/stages.py

DVC's own start (about a second a stage here, once for a whole `dvc repro`) is contained. Memory is the largest resident
set of any one process of the stage; co-parsing has one such process a worker.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click
import pandas as pd

DVC = str(Path(sys.executable).parent / "dvc")


@click.command()
def main() -> None:
    """Run every stage with `dvc repro --force --single-item` and print a table."""
    listed = subprocess.run([DVC, "repro", "--dry", "--force"], check=True, capture_output=True, text=True).stdout
    stages = [line.split("'")[1] for line in listed.splitlines() if line.startswith("Running stage")]
    rows = []
    for stage in stages:
        start = time.perf_counter()
        child = subprocess.Popen([DVC, "repro", "--force", "--single-item", stage], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise click.ClickException(f"stage {stage} failed")
        rows.append({"stage": stage, "seconds": time.perf_counter() - start, "peak MB": usage.ru_maxrss / 1024})
        click.echo(f"{stage}: {rows[-1]['seconds']:.1f} s", err=True)
    table = pd.DataFrame(rows)
    table["stage"] = table["stage"].str.split("@").str[0]
    summed = table.groupby("stage", sort=False).agg({"seconds": "sum", "peak MB": "max"})
    click.echo(summed.round(1).to_string())
    click.echo(f"all: {summed['seconds'].sum():.0f} s, {summed['peak MB'].max():.0f} MB")


if __name__ == "__main__":
    main()
