"""`hcga coparse`: co-parsing of one identity, watched."""

from __future__ import annotations

from pathlib import Path

import click

from hcga.cli.pictures import of, picture_file, warn_if_stale, writing
from hcga.cli.settings import read_settings
from hcga.errors import InputError
from hcga.runs.revisions import WORKSPACE
from hcga.runs.stage import PATH, clear_errors

EXAMPLE = "local_weight=1"


@click.group()
def coparse() -> None:
    """Watch co-parsing itself."""


@coparse.command()
@click.option("--round", "round_name", required=True, help="Name of the round in params.yaml, such as r2.")
@click.option("--pid", type=int, required=True, help="A training identity; the CSV beside the masks lists them.")
@click.option("--rgb", is_flag=True, help="Train on the images themselves instead of the round's features.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Another value of section coparse.")
@click.option("--rev", default=WORKSPACE, show_default=True, help="Git revision or DVC experiment.")
@click.option("--output", "-o", type=PATH, help="PNG to write; a GIF beside it.  [default: trace-ROUND-PID.png or so]")
def trace(round_name: str, pid: int, rgb: bool, settings: tuple[str, ...], rev: str, output: Path | None) -> None:
    """Train HCNet on one identity again and draw its labels after each iteration, as a PNG strip and a GIF.

    Prints and draws the labels left and the terms of the loss: semantic (Eq. 3), local (Eq. 2) and back (Eq. 4), each
    without its weight, and their weighted sum. With --rgb the weights are rgb_local_weight and rgb_back_weight:
    try --set rgb_local_weight=1, as the paper has other weights there too, but does not say which.
    """
    import torch
    from PIL import Image

    from hcga.runs.revisions import open_revision
    from hcga.tracing import describe_images, draw_frames, draw_strip, tabulate, trace_round

    if rgb:
        settings = ("input=rgb", *settings)
    with clear_errors():
        target = picture_file(output, "trace", round_name, pid, rev, *settings)
        changes = {key.removeprefix("coparse."): value for key, value in read_settings(settings, EXAMPLE).items()}
        if rgb and changes["input"] != "rgb":
            raise InputError(f"--rgb and --set input={changes['input']} contradict each other; leave one of them out")
        torch.set_num_threads(1)  # as the stage's workers, so that rounding is the same
        workspace = open_revision(Path(), rev)
        traced = trace_round(workspace, round_name, pid, changes)
        title = ", ".join([f"round {round_name}{of(rev)}", f"identity {pid}", *settings])
        first, *others = [Image.fromarray(frame).quantize() for frame in draw_frames(traced, title)]
        animation = target.with_suffix(".gif")
        with writing(target):
            Image.fromarray(draw_strip(traced, title)).save(target)
            first.save(animation, save_all=True, append_images=others, duration=[400] * len(others) + [2000], loop=0)
        warn_if_stale(workspace, rev, round_name)
    click.echo(tabulate(traced.steps).to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    if traced.repeats is False:
        click.echo(
            "note: the round's own labels are others: made on another kind of processor, by other code or params"
        )
    click.echo(f"drawn: {describe_images(traced)}\n{target}\n{animation}")
