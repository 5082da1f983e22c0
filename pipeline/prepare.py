"""Stage prepare: a data set on disk becomes samples.csv, images and true masks."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.files import fresh
from hcga.preparation import list_samples, write_images, write_truth
from hcga.samples import write_samples
from hcga.stage import PATH, stage


@stage("dataset", "image")
@click.option("--samples", type=PATH, required=True, help="Sample table to write, CSV.")
@click.option("--images", type=PATH, required=True, help="Store of images to write.")
@click.option("--truth", type=PATH, required=True, help="Store of true part masks to write; empty if there are none.")
def main(params: SimpleNamespace, samples: Path, images: Path, truth: Path) -> None:
    """List, check, decode and resize a data set once; nothing is replaced unless all of it is sound."""
    table = list_samples(params.dataset)
    with fresh(images) as new_images, fresh(truth) as new_truth, fresh(samples) as new_samples:
        write_images(table, params.dataset, params.image, new_images)
        write_truth(table, params.dataset, params.image, new_truth)
        write_samples(table, new_samples)


if __name__ == "__main__":
    main()
