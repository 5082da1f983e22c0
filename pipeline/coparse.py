"""Stage coparse: part masks of the training images (III-B)."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.cluster.connection import connected, workers_of
from hcga.coparsing.coparse import coparse
from hcga.coparsing.inputs import read_translated
from hcga.coparsing.kept import Kept
from hcga.coparsing.sources import POOLED, Material
from hcga.devices import choose_device
from hcga.files import fresh, run_key, scratch
from hcga.masks.parts import mask_attributes
from hcga.runs.stage import PATH, stage
from hcga.samples import read_samples_of
from hcga.store_writing import write_store
from hcga.stores import array, attribute, image_set, open_store, open_store_of, read_all


@stage("coparse", "device", "part_classes", "seed")
@click.option("--samples", type=PATH, required=True)
@click.option("--features", type=PATH, required=True)
@click.option("--images", type=PATH, required=True)
@click.option("--translated", type=PATH, required=True, help="Store of masks made elsewhere.")
@click.option("--previous", type=PATH, required=True, help="Masks of the round before.")
@click.option("--masks", type=PATH, required=True, help="Store of masks and decoder labels to write.")
@click.option("--table", type=PATH, required=True, help="CSV to write, one row an identity.")
def main(params: SimpleNamespace, **paths: Path) -> None:
    """Make the masks of every training identity, with HCNet and CPLR unless params say otherwise."""
    images = open_store(paths["images"])
    features, before = (open_store_of(paths[name], images) for name in ("features", "previous"))
    external, repairs = read_translated(paths["translated"], images, params.part_classes)
    epoch, run, source = attribute(features, "epoch", int), attribute(features, "run", dict), params.coparse.source
    with connected(workers_of("coparse", params.dask) if source in POOLED else None, "cpu", 1) as cluster:
        material = Material(
            samples=read_samples_of(paths["samples"], images),
            features=paths["features"],
            images=paths["images"],
            external=external,
            params=params.coparse,
            part_classes=params.part_classes,
            seed=(params.seed, epoch),
            device=choose_device("cpu" if cluster else params.device),
            cluster=cluster,
        )
        read = ["samples", "features", "translated", *(["images"] if params.coparse.input == "rgb" else [])]
        inputs = [Path(__file__), *(paths[name] for name in read)]
        with scratch(paths["masks"], run_key(inputs, *material.settings)) as folder:
            found = coparse(material, read_all(array(before, "masks")), repairs, Kept(folder))
            run |= {"coparse": material.environment.model_dump(exclude={"threads"})}
            about = {"source": source, "epoch": epoch, "run": run, **image_set(images)}
            write_store(paths["masks"], found.arrays, **about, **mask_attributes(params.part_classes))
            with fresh(paths["table"]) as draft:
                found.table.to_csv(draft, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
