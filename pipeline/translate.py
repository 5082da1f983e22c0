"""Stage translate: part masks made elsewhere, in our own part classes."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.files import fresh
from hcga.masks.external import translate
from hcga.masks.parts import mask_attributes
from hcga.runs.stage import PATH, stage
from hcga.samples import describe_image_set, read_samples
from hcga.store_writing import write_store


@stage("external", "image", "part_classes")
@click.option("--samples", type=PATH, required=True)
@click.option("--repairs", type=PATH, required=True, help="Folder of masks made by hand.")
@click.option("--masks", type=PATH, required=True, help="Store of masks to write: external, repairs.")
@click.option("--table", type=PATH, required=True, help="CSV to write, one row a training image.")
def main(params: SimpleNamespace, samples: Path, repairs: Path, masks: Path, table: Path) -> None:
    """Translate another parser's label images and gather masks made by hand."""
    size = (params.image.height, params.image.width)
    root, labels = Path(params.external.root), params.external.labels
    by_hand = repairs if params.external.repairs else None
    listed = read_samples(samples)
    found = translate(listed, root, labels, by_hand, size, params.part_classes)
    arrays = {"external": found.external, "repairs": found.repairs}
    write_store(masks, arrays, **mask_attributes(params.part_classes), **describe_image_set(listed, params.image))
    with fresh(table) as draft:
        found.table.to_csv(draft, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
