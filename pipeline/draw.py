"""Stage draw: a picture of a round's masks."""

from pathlib import Path
from types import SimpleNamespace

import click

from hcga.csv_files import read_table
from hcga.files import fresh
from hcga.masks.sheet import contact_sheet_of
from hcga.runs.stage import PATH, stage
from hcga.samples import read_samples_of
from hcga.stores import array, open_store, open_store_of


@stage()
@click.option("--samples", type=PATH, required=True)
@click.option("--images", type=PATH, required=True)
@click.option("--masks", type=PATH, required=True)
@click.option("--table", type=PATH, required=True, help="CSV of the identities.")
@click.option("--sheet", type=PATH, required=True, help="PNG to write.")
def main(params: SimpleNamespace, samples: Path, images: Path, masks: Path, table: Path, sheet: Path) -> None:
    """Draw a contact sheet: some images of some identities, with their masks."""
    store = open_store(images)
    people, drawn = read_samples_of(samples, store), open_store_of(masks, store)
    picture = contact_sheet_of(array(store, "images"), people, drawn, read_table(table), sheet.stem)
    with fresh(sheet) as draft:
        picture.save(draft, "PNG")


if __name__ == "__main__":
    main()
