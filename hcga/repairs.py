"""Masks repaired by hand: taken from a folder of exported and edited pictures, all or none."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hcga.artifacts import open_images
from hcga.datasets.layouts.listing import BYSTANDERS, HIDDEN
from hcga.errors import InputError
from hcga.export_note import FILE, ExportNote, read_note
from hcga.external import LabelImage, find_label_images, names_of
from hcga.files import fresh
from hcga.masks import UNLABELLED
from hcga.originals import image_files, own_size
from hcga.painted import read_mask
from hcga.pictures import palette_image
from hcga.samples import read_samples
from hcga.stores import array
from hcga.workspace import Workspace


class Imported(NamedTuple):
    """What became of the pictures of a folder."""

    taken: list[Path]  # the repairs written
    replaced: int  # how many of them replace an earlier repair
    left: int  # pictures left out


class Picture(NamedTuple):
    """A picture that may become the repair of an image."""

    file: Path
    name: str  # under which it was exported
    image: Path
    repair: LabelImage | None  # that the image has now


def import_masks(workspace: Workspace, source: Path, everything: bool = False) -> Imported:
    """Take edited masks to the folder from which stage translate reads repairs.

    Parameters
    ----------
    workspace : Workspace
    source : Path
        A folder as `hcga.export.export_masks` writes it; what is taken is added to its note.
    everything : bool
        Take every picture that says something, edited or not, whatever repair its image has.

    Returns
    -------
    Imported
        Left out is what is, cell by cell, as it was exported or imported last.

    Raises
    ------
    InputError
        There is no picture, or, unless `everything` is set, no note; a picture is of no training image, of another kind
        or size than wanted, has a colour or number that is no part's, or says nothing; its image has a repair that it
        was not drawn from. Then nothing is taken.
    """
    folder, part_classes = workspace.path("translate", "repairs"), workspace.params.part_classes
    pictures = _find_pictures(workspace, source, folder)
    note = _note_of(workspace, source, everything)
    wanted: list[tuple[Picture, np.ndarray]] = []
    for picture in pictures:
        mask = read_mask(picture.file, part_classes)
        _check_size(picture, mask, note)
        cells = note.cells_of(mask)
        silent = bool((cells == UNLABELLED).all())
        if note.holds(picture.name, cells) and (silent or not everything):
            continue
        if silent:
            raise InputError(
                f"{picture.file}: white in every cell, so it says nothing and replaces no mask; paint it or remove it"
            )
        if not everything:
            _refuse_to_lose(picture, cells, note)
        wanted.append((picture, mask))
    taken = [_take(picture, mask, folder, part_classes) for picture, mask in wanted]
    if (source / FILE).is_file():
        for picture, mask in wanted:
            note.add(picture.name, mask)
        note.write(source)
    replaced = sum(picture.repair is not None for picture, _ in wanted)
    return Imported(taken, replaced, len(pictures) - len(taken))


def _find_pictures(workspace: Workspace, source: Path, repairs: Path) -> list[Picture]:
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; give one that `hcga masks export` has written")
    _refuse_other_files(source)
    samples = read_samples(workspace.path("prepare", "samples"))
    samples = samples[samples["split"] == "train"]
    found, strays = find_label_images(source, samples)
    names = [names_of(*image)[0] for image in zip(samples["dataset"], samples["path"], strict=True)]
    if strays:
        raise InputError(f"{strays[0]}: of no training image; keep the name of the exported file, such as {names[0]}")
    if not found:
        raise InputError(f"{source}: holds no PNG; give a folder that `hcga masks export` has written")
    there, _ = find_label_images(repairs, samples)
    images = [workspace.checkout / file for file in image_files(workspace, samples)]
    return [Picture(picture.file, names[row], images[row], there.get(row)) for row, picture in found.items()]


def _refuse_other_files(source: Path) -> None:
    """Refuse what an editor may have saved in place of the PNG; its backups (`~`) may lie there."""
    for file in sorted(source.rglob("*")):
        hidden = any(part.startswith(HIDDEN) for part in file.relative_to(source).parts)
        idle = hidden or file.name.endswith("~") or file.name.lower() in BYSTANDERS or file == source / FILE
        if file.is_file() and not idle and file.suffix.lower() != ".png":
            raise InputError(f"{file}: no PNG; save it as PNG under the name of the exported file, or move it away")


def _note_of(workspace: Workspace, source: Path, everything: bool) -> ExportNote:
    if note := read_note(source):
        return note
    if not everything:
        raise InputError(
            f"{source}: has no {FILE}, so nobody can tell which pictures were edited; put it back, or copy the edited "
            "ones into a new export, or take every picture with --all"
        )
    _, height, width, _ = array(open_images(workspace), "images").shape
    return ExportNote(height=height, width=width)


def _check_size(picture: Picture, mask: np.ndarray, note: ExportNote) -> None:
    """Refuse a size other than that of the export, or, of a picture that was never exported, than an export's."""
    entry, network = note.masks.get(picture.name), (note.height, note.width)
    sizes = [(entry.height, entry.width)] if entry else [own_size(picture.image) or network, network]
    if mask.shape not in sizes:
        here, *there = dict.fromkeys(f"{height} x {width}" for height, width in (mask.shape, *sizes))
        raise InputError(
            f"{picture.file}: {here} pixels (height x width), wanted is {' or '.join(there)}; do not scale or crop it"
        )


def _refuse_to_lose(picture: Picture, cells: np.ndarray, note: ExportNote) -> None:
    """Refuse to replace a repair that the picture was not drawn from."""
    if picture.repair is None:
        return
    there = note.cells_of(picture.repair.read())
    if not (note.holds(picture.name, there) or np.array_equal(there, cells)):
        raise InputError(
            f"{picture.file}: its image has another repair by now, {picture.repair.file}; export it again and edit "
            "that, or delete the repair if this one is to replace it"
        )


def _take(picture: Picture, mask: np.ndarray, folder: Path, part_classes: int) -> Path:
    target = picture.repair.file if picture.repair else folder / picture.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with fresh(target) as draft:
        palette_image(mask, part_classes).save(draft, "PNG")
    return target
