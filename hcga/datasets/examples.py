"""Tiny data sets in every layout, drawn with the synthetic people: to try a params file, and for tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from hcga.datasets.layouts.market1501 import FOLDERS, read_market1501
from hcga.datasets.synthetic import synthesise

PEOPLE: dict[str, Any] = {
    "train_identities": 6,
    "test_identities": 6,
    "images_per_identity": 6,
    "cameras": 2,
    "height": 128,
    "width": 64,
    "query_occlusion": 0.9,
    "other_occlusion": 0.15,
}
Place = Callable[[pd.DataFrame, Path], None]


def make_example(layout: str, root: Path, seed: int = 3) -> None:
    """Draw 12 identities with 6 images each and file them as a layout has them.

    Parameters
    ----------
    layout : str
        A key of `LAYOUTS`; what follows a colon makes no difference.
    root : Path
        Folder to make.
    seed : int

    Raises
    ------
    FileExistsError
        The root exists.
    """
    root.mkdir(parents=True)
    distractors = 2 if layout in ("market1501", "synthetic", "table", "folder") else 0
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "set"
        synthesise(drawn, seed=seed, distractors=distractors, **PEOPLE)
        table = read_market1501(drawn).sort_values(["split", "pid", "camid", "frame"], ignore_index=True)
        table["file"] = [drawn / path for path in table["path"]]
        table["number"] = table.groupby(["split", "pid"]).cumcount() + 1
        PLACES[layout.partition(":")[0]](table, root)


def _market1501(table: pd.DataFrame, root: Path) -> None:
    _copy(table, root, list(table["path"]))


def _dukemtmc(table: pd.DataFrame, root: Path) -> None:
    _copy(
        table,
        root,
        [_duke_path(FOLDERS[s], p, c, f) for s, p, c, f in _fields(table, "split", "pid", "camid", "frame")],
    )


def _duke_path(folder: str, pid: int, camid: int, frame: int) -> str:
    return f"{folder}/{pid:04d}_c{camid}_f{frame:07d}.jpg"


def _occluded_dukemtmc(table: pd.DataFrame, root: Path) -> None:
    """A copy of DukeMTMC-reID with the name lists: training images left out, a query that lies in the gallery."""
    _dukemtmc(table, root)
    for split, folder in FOLDERS.items():
        names = sorted(path.name for path in (root / folder).iterdir())
        if split == "train":
            names = names[1:]
        if split == "query":
            moved = min((root / FOLDERS["gallery"]).iterdir())
            names = sorted([*names, moved.name])
        (root / f"{split}.list").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _occluded_reid(table: pd.DataFrame, root: Path) -> None:
    """Every identity has 3 occluded and 3 whole images; here that is a name only."""
    numbers = {pid: number for number, pid in enumerate(sorted(table["pid"].unique()), 1)}
    place = table.groupby("pid").cumcount()
    kinds = place.map(lambda k: "occluded_body_images" if k < 3 else "whole_body_images")
    pids = table["pid"].map(numbers)
    names = [f"{kind}/{pid:03d}/{pid:03d}_{k % 3 + 1:02d}.tif" for kind, pid, k in zip(kinds, pids, place, strict=True)]
    _copy(table, root, names)


def _p_dukemtmc(table: pd.DataFrame, root: Path) -> None:
    side = table["split"].map(lambda split: "train" if split == "train" else "test")
    pids = table["pid"].groupby(side).rank("dense").astype(int)
    place = table.groupby("pid").cumcount()
    names = [
        f"{part}/{'occluded' if k < 3 else 'whole'}_body_images/{pid:03d}/{pid:04d}_{k + 1}.jpg"
        for part, pid, k in zip(side, pids, place, strict=True)
    ]
    _copy(table, root, names)


def _cuhk03(table: pd.DataFrame, root: Path) -> None:
    numbered = enumerate(_fields(table, "split", "pid", "camid"), 1)
    _copy(table, root, [f"{FOLDERS[split]}/{pid:04d}_c{camid}_{n}.png" for n, (split, pid, camid) in numbered])


def _partial_reid(table: pd.DataFrame, root: Path) -> None:
    pids = table["pid"].rank(method="dense").astype(int)
    place = table.groupby("pid").cumcount()
    folders = [f"{kind}_body_images" for kind in ("occluded", "partial", "whole")]
    _copy(table, root, [f"{folders[k % 3]}/{pid:03d}_{k // 3 + 1:03d}.jpg" for pid, k in zip(pids, place, strict=True)])


def _partial_ilids(table: pd.DataFrame, root: Path) -> None:
    first = table.assign(place=table.groupby("pid").cumcount(), number=table["pid"].rank(method="dense").astype(int))
    first = first[first["place"] < 2]
    folders = ("Probe", "Gallery")
    _copy(first, root, [f"{folders[k]}/{n:03d}.jpg" for k, n in _fields(first, "place", "number")])


def _msmt17(table: pd.DataFrame, root: Path) -> None:
    """Identities are numbered from 0 in training and in test; one image of each training identity is for validation."""
    side = table["split"].map(lambda split: "train" if split == "train" else "test")
    pids = table["pid"].groupby(side).rank("dense").astype(int) - 1
    names = [
        f"{pid:04d}/{pid:04d}_{n:03d}_{camid:02d}_0303morning_{frame % 10000:04d}_0.jpg"
        for pid, (n, camid, frame) in zip(pids, _fields(table, "number", "camid", "frame"), strict=True)
    ]
    _copy(table, root, [f"{part}/{name}" for part, name in zip(side, names, strict=True)])
    lists = table["split"].mask((table["split"] == "train") & (table["number"] == 1), "val")
    lines = pd.Series([f"{name} {pid}\n" for name, pid in zip(names, pids, strict=True)])
    for name, of in lines.groupby(lists):
        (root / f"list_{name}.txt").write_text("".join(of), encoding="utf-8")


def _table(table: pd.DataFrame, root: Path) -> None:
    paths = [f"images/{number}.jpg" for number in range(len(table))]
    _copy(table, root, paths)
    columns = ["path", "split", "pid", "camid", "sequence", "frame"]
    table.assign(path=paths)[columns].to_csv(root / "samples.csv", index=False, lineterminator="\n")


def _folder(table: pd.DataFrame, root: Path) -> None:
    fields = _fields(table, "split", "pid", "camid", "frame", "number")
    _copy(table, root, [f"{split}/{pid}/{camid}_{frame:06d}_{n}.jpg" for split, pid, camid, frame, n in fields])


def _fields(table: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return list(table[list(columns)].itertuples(index=False, name=None))


def _copy(table: pd.DataFrame, root: Path, names: list[str]) -> None:
    """Put the drawn files under new names; another ending is another format."""
    for file, name in zip(table["file"], names, strict=True):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".jpg":
            shutil.copyfile(file, target)
        else:
            with Image.open(file) as image:
                image.save(target)


PLACES: dict[str, Place] = {
    "synthetic": _market1501,
    "market1501": _market1501,
    "dukemtmc": _dukemtmc,
    "occluded_dukemtmc": _occluded_dukemtmc,
    "occluded_reid": _occluded_reid,
    "p_dukemtmc": _p_dukemtmc,
    "cuhk03": _cuhk03,
    "partial_reid": _partial_reid,
    "partial_ilids": _partial_ilids,
    "msmt17": _msmt17,
    "table": _table,
    "folder": _folder,
}
