"""`hcga masks`: the pseudo-masks of the rounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hcga.cli.pictures import of, picture_file, warn_if_stale, writing
from hcga.errors import InputError
from hcga.runs.revisions import WORKSPACE
from hcga.runs.stage import PATH, clear_errors
from hcga.runs.workspace import Workspace

if TYPE_CHECKING:
    from hcga.masks.repairs import Imported


@click.group()
def masks() -> None:
    """Draw, compare, export and repair the pseudo-masks of the rounds."""


@masks.command("draw")
@click.option("--round", "round_name", required=True, help="Name of the round in params.yaml, such as r2.")
@click.option("--pid", type=int, required=True, help="A training identity; the CSV beside the masks lists them.")
@click.option("--rev", default=WORKSPACE, show_default=True, help="Git revision or DVC experiment.")
@click.option("--output", "-o", type=PATH, help="PNG to write.  [default: masks-ROUND-PID.png, --rev in its name]")
def draw_masks(round_name: str, pid: int, rev: str, output: Path | None) -> None:
    """Draw an identity's images, decoder labels before CPLR, masks and, where known, the truth, as a PNG strip."""
    from PIL import Image

    from hcga.masks.inspection import draw_identity
    from hcga.runs.revisions import open_revision

    with clear_errors():
        target = picture_file(output, "masks", round_name, pid, rev)
        workspace = open_revision(Path(), rev)
        picture = draw_identity(workspace, round_name, pid, f"round {round_name}{of(rev)}, identity {pid}")
        with writing(target):
            Image.fromarray(picture).save(target)
        warn_if_stale(workspace, rev, round_name)
    click.echo(target)


@masks.command()
@click.argument("first")
@click.argument("second", default=WORKSPACE)
@click.option("--round", "round_names", multiple=True, help="Rounds; repeatable.  [default: all that both have]")
@click.option("--top", type=click.IntRange(0), default=10, show_default=True, help="Identities to list.")
@click.option("--csv", "as_csv", is_flag=True, help="All identities as CSV, for other programs.")
def diff(first: str, second: str, round_names: tuple[str, ...], top: int, as_csv: bool) -> None:
    """Say which identities' masks differ between two revisions, and by how much.

    FIRST and SECOND are Git revisions, names of DVC experiments, or `workspace`, which SECOND is if left out; or one
    round of one, such as workspace:r1 and workspace:r2. Shares are per cent of the cells: changed, another label;
    foreground changed, foreground in one alone.
    """
    import pandas as pd

    from hcga.masks.comparison import compare_masks, describe_difference

    with clear_errors():
        (rev, one), (other_rev, other) = split_place(first), split_place(second)
        before, after = (open_side(name) for name in (rev, other_rev))
        named = one or other
        if named and round_names:
            raise InputError("--round: leave it out where FIRST or SECOND names a round")
        common = [name for name in before.params.rounds if name in after.params.rounds]
        pairs = [(one or named, other or named)] if named else [(name, name) for name in round_names or common]
        if not pairs:
            raise InputError(f"{first} and {second} have no round of the same name")
        tables = {
            name if name == to else f"{name} to {to}": compare_masks(before, after, name, to) for name, to in pairs
        }
    if as_csv:
        joined = pd.concat([table.assign(round=name) for name, table in tables.items()])
        click.echo(joined[["round", *(name for name in joined if name != "round")]].to_csv(index=False), nl=False)
        return
    for name, table in tables.items():
        click.echo(describe_difference(name, table, top))
    for rev_name, side, shown in ((rev, before, 0), (other_rev, after, 1)):
        for pair in pairs:
            warn_if_stale(side, rev_name, pair[shown])


@masks.command("export")
@click.argument("target", type=PATH)
@click.option("--round", "round_name", required=True, help="Name of the round in params.yaml, such as r2.")
@click.option("--format", "kind", type=click.Choice(["png", "npz", "coco"]), default="png", show_default=True)
@click.option("--pid", "pids", type=int, multiple=True, help="A training identity; repeatable.  [default: all]")
@click.option("--rev", default=WORKSPACE, show_default=True, help="Git revision or DVC experiment.")
def export_masks_(target: Path, round_name: str, kind: str, pids: tuple[int, ...], rev: str) -> None:
    """Write masks to TARGET: a folder of PNG or one file of COCO's JSON at image resolution, or one npz.

    PNG is for looking and repairing: of an image that was repaired by hand already it is that repair, except with
    --rev. The masks of npz are at the network's size, so that all fit into one array.
    """
    from hcga.masks.export import export_masks
    from hcga.masks.painted import name_colours
    from hcga.runs.revisions import open_revision

    with clear_errors():
        workspace = open_revision(Path(), rev)
        done = export_masks(workspace, round_name, kind, list(pids), target)
        warn_if_stale(workspace, rev, round_name)
    by_hand = f", {done.repaired} of them as repaired by hand" if done.repaired else ""
    click.echo(f"{target}: {done.masks} mask(s) of {round_name}{by_hand}")
    if done.missing:
        click.echo(
            f"note: {len(done.missing)} image file(s) are not there, such as {done.missing[0]}: their masks have the "
            "network's size",
            err=True,
        )
    if kind == "png":
        click.echo(f"to repair some, paint in {name_colours(done.part_classes)}; then `hcga masks import {target}`")


@masks.command("import")
@click.argument("source", type=PATH)
@click.option("--all", "everything", is_flag=True, help="Take all pictures, edited or not, whatever they replace.")
def import_masks_(source: Path, everything: bool) -> None:
    """Take masks that were repaired by hand, so that they replace those of co-parsing in every round.

    SOURCE is a folder as `hcga masks export --format png` writes it, with the names and sizes of its files as they
    were. All are checked before any is taken; those without a change are left out. With --all they are taken too: to
    keep a round's masks as they are, or from a folder that was made elsewhere. To take one back, delete it from the
    folder that this command names, and from SOURCE if you go on with that.
    """
    from hcga.masks.repairs import import_masks

    with clear_errors():
        workspace = Workspace(Path())
        done = import_masks(workspace, source, everything)
    folder = workspace.path("translate", "repairs").relative_to(workspace.root)
    replaced = f", {done.replaced} of them in place of an earlier repair" if done.replaced else ""
    reason = "say nothing" if everything else "are as they were exported or imported last"
    left = f"; {done.left} {reason}" if done.left else ""
    click.echo(f"{folder}: {len(done.taken)} mask(s) taken{replaced}{left}")
    for note in notes_of(done, folder, source):
        click.echo(f"note: {note}", err=True)
    used = workspace.params.external.repairs
    if not used or workspace.params.coparse.source == "none":
        reason = "coparse.source is none" if used else "external.repairs is false"
        click.echo(f"note: {reason} in params.yaml, so they are not used", err=True)
    elif done.taken:
        click.echo("`dvc repro` goes on with them; experiments in a folder of their own see what is committed")


def notes_of(done: Imported, folder: Path, source: Path) -> Iterator[str]:
    """What somebody would not expect of an import from `source` into `folder`."""
    from hcga.masks.parts import STRIDE

    if slight := done.slight:
        yield (
            f"{len(slight)} picture(s) were edited too little to change a cell, such as {slight[0]}; a cell is "
            f"{STRIDE} x {STRIDE} pixels of the network's input and takes what most of them have"
        )
    if restored := done.restored:
        yield (
            f"{len(restored)} of the masks taken were repairs before and were gone from {folder}, such as "
            f"{restored[0].name}; to take a repair back, remove its picture from {source} too"
        )


def open_side(rev: str) -> Workspace:
    """Open a revision; if there is none, but a round of this name, `InputError` says how to write that."""
    from hcga.runs.revisions import open_revision

    try:
        return open_revision(Path(), rev)
    except InputError as error:
        if rev not in Workspace(Path()).params.rounds:
            raise
        raise InputError(f"{error}; for the round of this name write {WORKSPACE}:{rev}") from None


def split_place(text: str) -> tuple[str, str | None]:
    """Read `revision:round` or `revision`."""
    rev, colon, name = text.rpartition(":")
    return (rev, name) if colon else (text, None)
