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
def export(place: str, target: Path, licence: str | None) -> None:
    """Write the model of a round as one file that loads with no other.

    Its card says how people are embedded and compared, which data sets it was trained and tested on, the round's
    figures and the commit. A round whose figures are of an earlier run is refused. Weights that were trained on a data
    set for research are under its terms, not under the licence of this program: say so with --licence.
    """
    from hcga.revisions import parse_place
    from hcga.using.card import NO_LICENCE
    from hcga.using.model import SUFFIX, Model
    from hcga.using.rounds import read_round

    with clear_errors():
        if target.suffix != SUFFIX or not target.parent.is_dir() or target.is_dir():
            raise InputError(f"--output {target}: give a name that ends in {SUFFIX} in a folder that exists")
        made = Model(*read_round(Path(), parse_place(place), licence or NO_LICENCE))
        with writing(target):
            made.save(target)
    click.echo(f"{target}: model {made.digest[:12]} of {place}; `hcga model show {target}` says what it is")
    if licence is None:
        click.echo("note: its card names no licence; say one with --licence before you pass it on", err=True)


@model.command()
@click.argument("source", metavar="FILE")
def show(source: str) -> None:
    """Say what a model is: FILE as `hcga model export` writes it, or a round such as r3 or HEAD:r3."""
    from hcga.using.card import describe_card
    from hcga.using.model import Model

    with clear_errors():
        loaded = Model.load(source, device="cpu")
        click.echo(describe_card(loaded.card, loaded.digest[:12]))
