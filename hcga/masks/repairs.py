"""Masks repaired by hand: taken from a folder of exported and edited pictures, all or none."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hcga.artifacts import open_images
from hcga.errors import InputError
from hcga.files import fresh
from hcga.masks.export_note import FILE, ExportNote, read_note
from hcga.masks.label_images import LabelImage, find_label_images, names_of, other_files
from hcga.masks.painted import read_mask
from hcga.masks.parts import UNLABELLED
from hcga.masks.repair_files import find_repairs, write_mask
from hcga.originals import image_files, own_size
from hcga.runs.workspace import Workspace
from hcga.samples import read_samples
from hcga.stores import array


class Imported(NamedTuple):
    """What became of the pictures of a folder."""

    taken: list[Path]  # the repairs written
    replaced: int  # how many of them replace an earlier repair
    left: int  # pictures left out
    slight: list[Path]  # those left out that were edited, but in which no cell has changed
    restored: list[Path]  # those taken whose image had lost its repair


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
        A folder as `hcga.masks.export.export_masks` writes it; what is taken is added to its note.
    everything : bool
        Take every picture that says something, edited or not, whatever repair its image has.

    Returns
    -------
    Imported
        Left out is what is, cell by cell, as it was exported or imported last; but not if it was its image's repair
        then, and the image has none now.

    Raises
    ------
    InputError
        There is no picture, or, unless `everything` is set, no note; it was exported with other part classes; a picture
        is of no training image, of another kind or size than wanted, has a colour or number that is no part's, or says
        nothing; its image has a repair that it was not drawn from. Then nothing is taken.
    """
    folder, part_classes = workspace.path("translate", "repairs"), workspace.params.part_classes
    pictures = _find_pictures(workspace, source, folder)
    note = _note_of(workspace, source, everything)
    wanted: list[tuple[Picture, np.ndarray]] = []
    slight: list[Path] = []
    for picture in pictures:
        mask = read_mask(picture.file, part_classes)
        _check_size(picture, mask, note)
        if _is_wanted(picture, mask, note, everything):
            wanted.append((picture, mask))
        elif not note.holds_pixels(picture.name, mask):
            slight.append(picture.file)
    taken = [_take(picture, mask, folder, part_classes) for picture, mask in wanted]
    replaced = sum(picture.repair is not None for picture, _ in wanted)
    restored = [target for target, (picture, _) in zip(taken, wanted, strict=True) if _has_lost(picture, note)]
    if (source / FILE).is_file():
        for picture, mask in wanted:
            note.add(picture.name, mask, repair=True)
        note.write(source)
    return Imported(taken, replaced, len(pictures) - len(taken), slight, restored)


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
    there, _ = find_repairs(repairs, samples, workspace.params.part_classes)
    images = [workspace.checkout / file for file in image_files(workspace, samples)]
    return [Picture(picture.file, names[row], images[row], there.get(row)) for row, picture in found.items()]


def _refuse_other_files(source: Path) -> None:
    """Refuse what an editor may have saved in place of the PNG."""
    for file in other_files(source):
        if file != source / FILE:
            raise InputError(f"{file}: no PNG; save it as PNG under the name of the exported file, or move it away")


def _note_of(workspace: Workspace, source: Path, everything: bool) -> ExportNote:
    part_classes = workspace.params.part_classes
    if note := read_note(source):
        if note.part_classes != part_classes:
            raise InputError(
                f"{source}: exported with part_classes {note.part_classes}, not {part_classes}, so its colours mean "
                "other parts; set part_classes back in params.yaml, or export masks that were made with it as it is"
            )
        return note
    if not everything:
        raise InputError(
            f"{source}: has no {FILE}, so nobody can tell which pictures were edited; put it back, or copy the edited "
            "ones into a new export, or take every picture with --all"
        )
    _, height, width, _ = array(open_images(workspace), "images").shape
    return ExportNote(part_classes=part_classes, height=height, width=width)


def _check_size(picture: Picture, mask: np.ndarray, note: ExportNote) -> None:
    """Refuse a size other than that of the export, or, of a picture that was never exported, than an export's."""
    entry, network = note.masks.get(picture.name), (note.height, note.width)
    sizes = [(entry.height, entry.width)] if entry else [own_size(picture.image) or network, network]
    if mask.shape not in sizes:
        here, *there = dict.fromkeys(f"{height} x {width}" for height, width in (mask.shape, *sizes))
        raise InputError(
            f"{picture.file}: {here} pixels (height x width), wanted is {' or '.join(there)}; do not scale or crop it"
        )


def _is_wanted(picture: Picture, mask: np.ndarray, note: ExportNote, everything: bool) -> bool:
    """Whether to take a picture; refuse one edited so that it says nothing, or would replace another repair."""
    cells = note.cells_of(mask)
    edited, silent = not note.holds(picture.name, cells), bool((cells == UNLABELLED).all())
    if edited and silent:
        raise InputError(
            f"{picture.file}: white in every cell, so it says nothing and replaces no mask; paint it or remove it"
        )
    if edited and not everything:
        _refuse_to_lose(picture, cells, note)
    return not silent and (edited or everything or _has_lost(picture, note))


def _has_lost(picture: Picture, note: ExportNote) -> bool:
    """Whether a picture was its image's repair when it was exported or imported last, and the image has none now."""
    return picture.repair is None and note.was_repair(picture.name)


def _refuse_to_lose(picture: Picture, cells: np.ndarray, note: ExportNote) -> None:
    """Refuse to replace a repair that the picture was not drawn from."""
    if picture.repair is None:
        return
    there = note.cells_of(picture.repair.read())
    if not (note.holds(picture.name, there) or np.array_equal(there, cells)):
        raise InputError(
            f"{picture.file}: was not drawn from the repair that its image has, {picture.repair.file}; delete that if "
            "this one is to replace it, or export again, with external.repairs: true, and edit that"
        )


def _take(picture: Picture, mask: np.ndarray, folder: Path, part_classes: int) -> Path:
    target = picture.repair.file if picture.repair else folder / picture.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with fresh(target) as draft:
        write_mask(draft, mask, part_classes)
    return target
