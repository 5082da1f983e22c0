"""Stage catalogue: what a data set on disk consists of."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.datasets.catalogue import catalogue, write_catalogue
from hcga.datasets.check import check_counts
from hcga.files import fresh
from hcga.runs.stage import PATH, stage


@stage("datasets")
@click.option("--dataset", required=True, help="Its name in params.yaml.")
@click.option("--table", type=PATH, required=True, help="CSV to write, one row an image.")
def main(params: SimpleNamespace, dataset: str, table: Path) -> None:
    """List a data set's images, with digests of their files, and compare their numbers with the published ones."""
    entry = params.datasets[dataset]
    found = catalogue(entry.layout, Path(entry.root), entry.splits, entry.truth)
    check_counts(found, entry.layout, entry.counts)
    with fresh(table) as draft:
        write_catalogue(found, draft)


if __name__ == "__main__":
    main()
