"""`hcga embed` and `index`: make a gallery of one's own crops, to be searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcga.cli.pictures import writing
from hcga.cli.search import name_left_out, of_model, on_bad_image_option, pictures_option
from hcga.runs.stage import PATH, clear_errors
from hcga.wording import counted

if TYPE_CHECKING:
    from hcga.using.embedded import Dtype
    from hcga.using.model import OnBadImage


@click.command()
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="FOLDER|FILE...")
@click.option("--output", "-o", "target", type=PATH, required=True, help="Store to write: .zarr or .parquet.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    show_default=True,
    help="Type of the numbers of the vectors in a .zarr store; int8 takes a quarter of the space of float32.",
)
@of_model
@on_bad_image_option
def embed(
    images: tuple[Path, ...], target: Path, dtype: Dtype, source: str, device: str, on_bad_image: OnBadImage
) -> None:
    """Embed all images below folders, or those named, into a store for `hcga search`.

    The store has the features, what says which parts are visible, the images' paths below their folder, and by which
    model it was made. It holds data on people: docs/privacy.md.
    """
    from hcga.using.building import build_gallery
    from hcga.using.crops import find_crops
    from hcga.using.model import Model

    with clear_errors():
        model = Model.load(source, device)
        crops = find_crops(images)
        name_left_out((f"{path}: no image" for path in crops.others), "file")
        with writing(target):
            written = build_gallery(model, crops, target, on_bad_image, dtype)
        name_left_out(written.problems, "image")
    before = f", {written.kept:,} of them by a run that was stopped" if written.kept else ""
    click.echo(f"{target}: {counted(written.images, 'image')} embedded by model {model.digest[:12]}{before}")


@click.command()
@click.argument("gallery", type=PATH, metavar="STORE")
@click.option("--output", "-o", "target", type=PATH, required=True, help="Index to write, such as crops.index.zarr.")
@click.option(
    "--queries",
    type=PATH,
    multiple=True,
    help="Image or folder of images to measure the recall with; may be given several times.  [default: images drawn "
    "from the gallery]",
)
@pictures_option
@of_model
def index(
    gallery: Path, target: Path, queries: tuple[Path, ...], pictures: Path | None, source: str, device: str
) -> None:
    """Index a large .zarr store of `hcga embed`, for `hcga search --index`.

    A search then compares a few hundred candidates, those whose vector of the person is most like the query's, and not
    the whole gallery. The table says how much of what an exact search lists first is among so many candidates
    (recall@10). Images of the gallery are easy queries, as others of the same moment are there: for a figure that holds
    in use give --queries, such as occluded crops of another camera. A query that is itself in
    the gallery is left out of its own list, if the store knows its folder; else say --pictures.
    """
    from hcga.using.crops import find_crops
    from hcga.using.index import save_index
    from hcga.using.indexing import measured_index, require_index_file
    from hcga.using.model import Model
    from hcga.using.store import open_gallery, require_pictures_folder

    with clear_errors():
        require_index_file(gallery, target)
        require_pictures_folder(pictures)
        model = Model.load(source, device)
        made = measured_index(
            open_gallery(gallery, model, pictures), model, find_crops(queries).files if queries else ()
        )
        with writing(target):
            save_index(made, model, target)
    click.echo(target)
    click.echo("candidates  recall@10")
    for count, share in made.recall.items():
        click.echo(f"{count:10,}  {100 * share:7.1f} %")
