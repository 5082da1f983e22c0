"""Stage coparse: part masks of the training images from their features (III-B)."""

from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np

from hcga.coparsing.coparse import coparse
from hcga.devices import choose_device
from hcga.files import fresh
from hcga.masks import mask_attributes
from hcga.samples import read_samples
from hcga.stage import PATH, stage
from hcga.stores import array, open_store, write_store


@stage("coparse", "device", "part_classes", "seed")
@click.option("--samples", type=PATH, required=True)
@click.option("--features", type=PATH, required=True)
@click.option("--previous", type=PATH, required=True, help="Masks of the round before.")
@click.option("--masks", type=PATH, required=True, help="Store of masks and decoder labels to write.")
@click.option("--table", type=PATH, required=True, help="CSV to write, one row an identity.")
def main(params: SimpleNamespace, samples: Path, features: Path, previous: Path, masks: Path, table: Path) -> None:
    """Co-parse every training identity with HCNet and CPLR."""
    rows = read_samples(samples)
    before = np.asarray(array(open_store(previous), "masks")[:])
    epoch = int(str(open_store(features).attrs["epoch"]))
    device = choose_device(params.device)
    found = coparse(features, rows, before, params.coparse, params.part_classes, (params.seed, epoch), device)
    write_store(
        masks,
        {"masks": found.masks, "labels": found.labels},
        source=params.coparse.source,
        epoch=epoch,
        **mask_attributes(params.part_classes),
    )
    with fresh(table) as draft:
        found.table.to_csv(draft, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
