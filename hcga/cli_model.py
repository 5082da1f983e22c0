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
@click.argument("source", metavar="[REV:]ROUND|FILE")
@click.option("--output", "-o", "target", type=PATH, required=True, help="File to write: .safetensors, .onnx or .pt2.")
@click.option("--licence", help="Terms for those who get it, for the card of a round.  [default: that none was given]")
def export(source: str, target: Path, licence: str | None) -> None:
    """Write the model of a round, or of a .safetensors file, as one file.

    .safetensors is what this program uses. .onnx and .pt2 (PyTorch's ExportedProgram) run without it: images in,
    features and visibility of the parts out, see docs/using.md.

    Its card says how people are embedded and compared, which data sets it was trained and tested on, the round's
    figures and the commit. A round whose figures are of an earlier run is refused. Weights that were trained on a data
    set for research are under its terms, not under the licence of this program: say so with --licence.
    """
    from hcga.using.card import NO_LICENCE
    from hcga.using.deployed import ONNX, PROGRAM
    from hcga.using.model import SUFFIX, Model

    endings = (SUFFIX, ONNX, PROGRAM)
    with clear_errors():
        if target.suffix not in endings or not target.parent.is_dir() or target.is_dir():
            raise InputError(
                f"--output {target}: give a name that ends in {', '.join(endings)} in a folder that exists"
            )
        made = Model.load(source, "cpu", licence=licence or NO_LICENCE)
        if licence not in (None, made.card.use.licence):
            raise InputError(f"--licence: {source} has one in its card; export the round anew with another")
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
