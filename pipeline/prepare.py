"""Stage prepare: catalogued data sets become samples.csv, images and true masks."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.files import fresh, resumable
from hcga.occluders import write_occlusion
from hcga.preparation import join_samples, leave_out, preparation_key, write_images, write_truth
from hcga.runs.stage import PATH, stage
from hcga.samples import write_samples


@stage("datasets", "image", "prepare")
@click.option("--catalogues", type=PATH, required=True, help="Folder of <data set>.csv.")
@click.option("--samples", type=PATH, required=True, help="Sample table to write, CSV.")
@click.option("--images", type=PATH, required=True, help="Store of images to write.")
@click.option("--truth", type=PATH, required=True, help="Store of true part masks to write; empty if there are none.")
@click.option("--occlusion", type=PATH, required=True, help="CSV to write of what is known of occluders.")
@click.option("--skipped", type=PATH, required=True, help="CSV to write of the images left out.")
def main(params: SimpleNamespace, catalogues: Path, images: Path, **paths: Path) -> None:
    """Check, decode and resize all images once; nothing is replaced unless all of it is sound."""
    files = {name: catalogues / f"{name}.csv" for name in params.datasets}
    table, skip = join_samples(files, params.prepare.validation), params.prepare.on_bad_image == "skip"
    key = preparation_key(table, files, params.image, skip)
    with (
        resumable(images, key) as new_images,
        fresh(paths["truth"]) as truth,
        fresh(paths["samples"]) as samples,
        fresh(paths["occlusion"]) as occlusion,
        fresh(paths["skipped"]) as skipped,
    ):
        bad = write_images(table, params.datasets, params.image, skip, new_images)
        table = leave_out(table, bad)
        write_truth(table, params.datasets, params.image, truth)
        write_samples(table, samples)
        write_occlusion(table, occlusion)
        bad.to_csv(skipped, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
