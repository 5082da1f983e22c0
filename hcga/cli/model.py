"""`hcga model`: a model as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcga.cli.pictures import writing
from hcga.cli.search import device_option, name_left_out, on_bad_image_option
from hcga.errors import InputError
from hcga.outputs import require_output
from hcga.runs.stage import PATH, clear_errors

if TYPE_CHECKING:
    from hcga.using.model import OnBadImage

_people = click.option(
    "--people",
    type=PATH,
    required=True,
    help="Folder of the people; query/12/1_a.jpg and gallery/12/2_b.jpg show person 12 at cameras 1 and 2.",
)


@click.group()
def model() -> None:
    """Export a trained model as one file, show what such a file says, calibrate and test it."""


@model.command()
@click.argument("source", metavar="[REV:]ROUND|REV|FILE")
@click.option("--output", "-o", "target", type=PATH, required=True, help="File to write: .safetensors, .onnx or .pt2.")
@click.option("--licence", help="Terms of use to name in the card of a round.  [default: says that none was given]")
@click.option("--calibrate", "calibrated", is_flag=True, help="Learn from the held-out people what similarities mean.")
def export(source: str, target: Path, licence: str | None, calibrated: bool) -> None:
    """Write the model of a round (REV alone: its last), or of a .safetensors file, as one file.


    .safetensors is what this program uses. .onnx and .pt2 (PyTorch's ExportedProgram) run without it: images in,
    features and visibility of the parts out, see docs/using.md.

    Its card says how people are embedded and compared, which data sets it was trained and tested on, the round's
    figures and the commit. A round whose figures are of an earlier run is refused. Weights that were trained on a data
    set for research are under its terms, not under the licence of this program: say so with --licence.

    --calibrate wants a run with prepare.validation: query and gallery are held-out training identities then, not test
    identities. The card's figures are of the same people.
    """
    from hcga.using.card import NO_LICENCE
    from hcga.using.deployed import ONNX, PROGRAM
    from hcga.using.model import SUFFIX, Model

    with clear_errors():
        require_output(target, SUFFIX, ONNX, PROGRAM)
        made = Model.load(source, "cpu", licence=licence or NO_LICENCE)
        if licence and made.card.use.licence == NO_LICENCE:
            made.card = made.card.with_use(licence=licence)
        if licence not in (None, made.card.use.licence):
            raise InputError(f"--licence: {source} has one in its card; export the round anew with another")
        if calibrated:
            from hcga.runs.revisions import find_place
            from hcga.using.calibrating import calibrate_model
            from hcga.using.people import held_out_people

            if Path(source).is_file():
                raise InputError(f"--calibrate: {source} has no held-out people; see `hcga model calibrate`")
            calibrate_model(made, held_out_people(Path(), find_place(Path(), source), made))
        remark = ""
        with writing(target):
            if target.suffix == SUFFIX:
                made.save(target)
            else:
                remark = f"\non images of noise it is off by {made.export(target):.1g} of the largest value at most"
    click.echo(f"{target}: model {made.digest[:12]} of {source}; `hcga model show {target}` says what it is{remark}")
    if made.card.use.licence == NO_LICENCE:
        click.echo("note: its card names no licence; say one with --licence before you pass it on", err=True)


@model.command()
@click.argument("source", metavar="FILE")
@_people
@click.option("--output", "-o", "target", type=PATH, required=True, help="File to write; it ends in .safetensors.")
@device_option
@on_bad_image_option
def calibrate(source: str, people: Path, target: Path, device: str, on_bad_image: OnBadImage) -> None:
    """Learn from labelled people what a model's similarities mean, and write it with that.

    Embeddings and similarities stay as they are, and so do stores. The people must neither have trained the model nor
    test it; nobody can check that here. At least five are wanted, with images at two cameras or more each, and some
    hundred for thresholds that hold.
    """
    from hcga.using.calibrating import calibrate_model
    from hcga.using.calibration import describe_calibration
    from hcga.using.model import SUFFIX, Model
    from hcga.using.people import labelled_people

    with clear_errors():
        require_output(target, SUFFIX)
        made = Model.load(source, device)
        found, left_out = labelled_people(people, made, on_bad_image)
        name_left_out(left_out, "image")
        calibrate_model(made, found)
        with writing(target):
            made.save(target)
    click.echo(f"{target}: calibrated\n{describe_calibration(made.calibration)}")


@model.command()
@click.argument("source", metavar="FILE")
@_people
@click.option("--csv", "as_csv", is_flag=True, help="Print the figures as CSV, for other programs.")
@device_option
@on_bad_image_option
def test(source: str, people: Path, as_csv: bool, device: str, on_bad_image: OnBadImage) -> None:
    """Test a model on labelled people: the figures of a round, for query and gallery of a folder.

    The figures are those of plain ranking and of decisions, not of re-ranking and multi-query. They say how good the
    model is for cameras like those of the people. Nobody can check here whether the people have trained it.
    """
    from hcga.using.model import Model
    from hcga.using.people import figures_of, labelled_people

    with clear_errors():
        made = Model.load(source, device)
        found, left_out = labelled_people(people, made, on_bad_image)
        name_left_out(left_out, "image")
        figures = figures_of(found, made.card.use.matching)
    if as_csv:
        click.echo("\n".join(["figure,value", *(f"{name},{value}" for name, value in figures.items())]))
        return
    for name, value in figures.items():
        click.echo(f"{name:24}{f'{value:,}' if isinstance(value, int) else f'{value:.1f} %':>12}")


@model.command()
@click.argument("source", metavar="FILE")
def show(source: str) -> None:
    """Say what a model is: FILE as `hcga model export` writes it, or a round such as r3 or HEAD:r3."""
    from hcga.using.card import describe_card
    from hcga.using.deployed import ONNX, PROGRAM, read_card
    from hcga.using.model import Model

    with clear_errors():
        if Path(source).suffix in (ONNX, PROGRAM):
            card, digest = read_card(Path(source))
        else:
            loaded = Model.load(source, device="cpu")
            card, digest = loaded.card, loaded.digest
        click.echo(describe_card(card, digest[:12]))
