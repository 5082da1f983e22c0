"""Masks repaired by hand: taken from a folder of exported and edited pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hcga.errors import InputError
from hcga.external import find_label_images, names_of, to_cells
from hcga.files import fresh
from hcga.images import load_label_image, opened
from hcga.masks import PALETTE, UNLABELLED, part_colour, part_names
from hcga.pictures import PAPER, palette_image
from hcga.samples import read_samples
from hcga.stores import array, open_store
from hcga.workspace import Workspace


def import_masks(workspace: Workspace, source: Path) -> tuple[list[Path], int]:
    """Take edited masks to the folder from which stage translate reads repairs.

    Parameters
    ----------
    workspace : Workspace
    source : Path
        A folder as `hcga.export.export_masks` writes it.

    Returns
    -------
    taken : list of Path
        The files written.
    unchanged : int
        How many were left out: they are, cell by cell, as in some round.

    Raises
    ------
    InputError
        There is no picture, one is of no training image, or one has a colour or number that is no part's; then nothing
        is taken.
    """
    samples = read_samples(workspace.path("prepare", "samples"))
    samples = samples[samples["split"] == "train"]
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; give one that `hcga masks export` has written")
    found, strays = find_label_images(source, samples)
    if strays or not found:
        example = names_of(samples["dataset"].iloc[0], samples["path"].iloc[0])[0]
        raise InputError(
            f"{strays[0]}: of no training image; keep the name of the exported file, such as {example}"
            if strays
            else f"{source}: holds no PNG; give a folder that `hcga masks export` has written"
        )
    part_classes = workspace.params.part_classes
    _, height, width, _ = array(open_store(workspace.path("prepare", "images")), "images").shape
    masks = {row: read_mask(image.file, part_classes) for row, image in found.items()}
    folder, rounds = workspace.path("translate", "repairs"), _masks_of_rounds(workspace)
    taken = []
    for row, mask in masks.items():
        target = folder / names_of(samples["dataset"].iloc[row], samples["path"].iloc[row])[0]
        cells = to_cells(mask, (height, width))
        if target.exists() or not any(np.array_equal(cells, of_round[row]) for of_round in rounds):
            target.parent.mkdir(parents=True, exist_ok=True)
            with fresh(target) as draft:
                palette_image(mask, part_classes).save(draft, "PNG")
            taken.append(target)
    return taken, len(masks) - len(taken)


def _masks_of_rounds(workspace: Workspace) -> list[np.ndarray]:
    """Masks of all rounds that have some, each (N, h, w) uint8."""
    paths = [workspace.path("coparse", "masks", name) for name in workspace.params.rounds]
    return [np.asarray(array(open_store(path), "masks")[:]) for path in paths if path.exists()]


def read_mask(file: Path, part_classes: int) -> np.ndarray:
    """Read a mask from a picture that an editor may have saved in its own way.

    Parameters
    ----------
    file : Path
        Grey: its numbers are part classes. Else its colours are those of the parts, white is unlabelled; with more part
        classes than there are colours, only a palette's numbers can be read.
    part_classes : int
        C.

    Returns
    -------
    (H, W) uint8

    Raises
    ------
    InputError
        It cannot be read, or has a number or a colour that is no part's.
    """
    with opened(file) as image:
        by_colour = image.mode != "L" and part_classes <= len(PALETTE)
        pixels = np.asarray(image.convert("RGB")) if by_colour else None
    if pixels is not None:
        return _by_colour(file, pixels, part_classes)
    mask = load_label_image(file)
    wrong = mask[(mask >= part_classes) & (mask != UNLABELLED)]
    if len(wrong):
        raise InputError(f"{file}: number {wrong[0]}; parts are 0 to {part_classes - 1}, {UNLABELLED} says nothing")
    return mask


def _by_colour(file: Path, pixels: np.ndarray, part_classes: int) -> np.ndarray:
    mask = np.full(pixels.shape[:2], UNLABELLED, np.uint8)
    unknown = (pixels != PAPER).any(-1)
    for part in range(part_classes):
        here = (pixels == part_colour(part)).all(-1)
        mask[here] = part
        unknown &= ~here
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        parts = zip(part_names(part_classes), range(part_classes), strict=True)
        colours = ", ".join("{} #{:02x}{:02x}{:02x}".format(name, *part_colour(part)) for name, part in parts)
        raise InputError(
            f"{file}: the colour #{bytes(pixels[row, column].tolist()).hex()} at row {row}, column {column} is no "
            f"part's; paint with a hard brush in {colours}, or white for what is not known"
        )
    return mask
