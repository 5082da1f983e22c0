"""`hcga model`: a model as one file."""

from __future__ import annotations

from pathlib import Path

import click

from hcga.cli_pictures import writing
from hcga.errors import InputError
from hcga.stage import PATH, clear_errors


@click.group()
def model() -> None:
    """Make one file of a trained model, with all that is needed to use it, and read what such a file says."""


@model.command()
@click.argument("place", metavar="[REV:]ROUND")
@click.option("--output", "-o", "target", type=PATH, required=True, help="File to write; it ends in .safetensors.")
@click.option("--licence", help="Terms for those who get it, for the card.  [default: that none was given]")
@click.option("--calibrate", "calibrated", is_flag=True, help="Learn from held-out people what similarities mean.")
def export(place: str, target: Path, licence: str | None, calibrated: bool) -> None:
    """Write the model of a round as one file that loads with no other.

    Its card says how people are embedded and compared, which data sets it was trained and tested on, the round's
    figures and the commit. A round whose figures are of an earlier run is refused. Weights that were trained on a data
    set for research are under its terms, not under the licence of this program: say so with --licence.

    --calibrate wants a run with prepare.validation: query and gallery are no test identities then.
    """
    from hcga.revisions import parse_place
    from hcga.using.card import NO_LICENCE
    from hcga.using.model import Model
    from hcga.using.rounds import read_round

    with clear_errors():
        _require_output(target)
        made = Model(*read_round(Path(), parse_place(place), licence or NO_LICENCE))
        if calibrated:
            from hcga.using.calibrating import calibrate_model
            from hcga.using.people import held_out_people

            calibrate_model(made, held_out_people(Path(), parse_place(place), made))
        with writing(target):
            made.save(target)
    click.echo(f"{target}: model {made.digest[:12]} of {place}; `hcga model show {target}` says what it is")
    if licence is None:
        click.echo("note: its card names no licence; say one with --licence before you pass it on", err=True)


@model.command()
@click.argument("source", metavar="FILE")
@click.option("--people", type=PATH, required=True, help="Folder: query/12/1_a.jpg, gallery/12/2_b.jpg and so on.")
@click.option("--output", "-o", "target", type=PATH, required=True, help="File to write; it ends in .safetensors.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto")
def calibrate(source: str, people: Path, target: Path, device: str) -> None:
    """Learn from labelled people what a model's similarities mean, and write it with that.

    Embeddings and similarities stay as they are, and so do stores. The people must neither have trained the model nor
    test it; nobody can check that here. At least five are wanted, with images at two cameras or more each, and some
    hundred for thresholds that hold.
    """
    from hcga.using.calibrating import calibrate_model
    from hcga.using.calibration import describe_calibration
    from hcga.using.model import Model
    from hcga.using.people import labelled_people

    with clear_errors():
        _require_output(target)
        made = Model.load(source, device)
        calibrate_model(made, labelled_people(people, made))
        with writing(target):
            made.save(target)
    click.echo(f"{target}: calibrated\n{describe_calibration(made.calibration)}")


@model.command()
@click.argument("source", metavar="FILE")
def show(source: str) -> None:
    """Say what a model is: FILE as `hcga model export` writes it, or a round such as r3 or HEAD:r3."""
    from hcga.using.card import describe_card
    from hcga.using.model import Model

    with clear_errors():
        loaded = Model.load(source, device="cpu")
        click.echo(describe_card(loaded.card, loaded.digest[:12]))


def _require_output(target: Path) -> None:
    if target.suffix != ".safetensors" or not target.parent.is_dir() or target.is_dir():
        raise InputError(f"--output {target}: give a name that ends in .safetensors in a folder that exists")
