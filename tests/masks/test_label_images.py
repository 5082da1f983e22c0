"""Where label images are looked for, and what else lies there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hcga.errors import InputError
from hcga.masks.label_images import find_label_images, names_of, other_files
from hcga.store_writing import write_store

PATHS = ["train/0002_c1.jpg", "train/0002_c2.jpg.jpg"]
SAMPLES = pd.DataFrame({"dataset": "main", "path": PATHS})


def save(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((16, 8), np.uint8)).save(file)


def test_hidden_files_are_no_label_images(tmp_path: Path) -> None:
    save(tmp_path / "0002_c1.png")
    save(tmp_path / "@eaDir/0002_c2.png")  # of a network drive
    (tmp_path / "._0002_c1.png").write_bytes(b"macOS")
    found, strays = find_label_images(tmp_path, SAMPLES)
    assert (list(found), strays) == ([0], [])


def test_label_images_of_no_image_are_strays(tmp_path: Path) -> None:
    for name in ("main/train/0002_c2.png", "0002_c3.png"):
        save(tmp_path / name)
    found, strays = find_label_images(tmp_path, SAMPLES)
    assert ({row: image.file for row, image in found.items()}, strays) == (
        {1: tmp_path / "main/train/0002_c2.png"},
        [tmp_path / "0002_c3.png"],
    )


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    root = tmp_path / "masks"
    save(root / "kept/a.png")
    (root / "0002_c1.png").symlink_to(root / "kept/a.png")
    (tmp_path / "link").symlink_to(root)
    assert list(find_label_images(tmp_path / "link", SAMPLES)[0]) == [0]
    save(tmp_path / "elsewhere.png")
    (root / "0002_c2.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(InputError, match=r"masks/0002_c2.png: a link out of .*/masks, to .*/elsewhere.png; put"):
        find_label_images(root, SAMPLES)


def test_nor_do_those_of_a_store(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"password")
    write_store(tmp_path / "masks.zarr", {"labels": np.zeros((1, 8, 8), np.uint8)}, paths=["a.png"])
    samples = pd.DataFrame({"dataset": ["main"], "path": ["a.jpg"]})
    assert find_label_images(tmp_path / "masks.zarr", samples)[0][0].read().sum() == 0
    (chunk,) = (file for file in (tmp_path / "masks.zarr/labels/c").rglob("*") if file.is_file())
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"a link out of .*masks\.zarr"):
        find_label_images(tmp_path / "masks.zarr", samples)


def test_other_files_but_for_what_systems_and_editors_leave(tmp_path: Path) -> None:
    save(tmp_path / "a.PNG")
    (tmp_path / "@eaDir").mkdir()
    for name in ("@eaDir/a.jpg", ".DS_Store", "Thumbs.db", "a.png~", "b.jpg", "note"):
        (tmp_path / name).write_bytes(b"")
    assert other_files(tmp_path) == [tmp_path / "b.jpg", tmp_path / "note"]


def test_names() -> None:
    assert names_of("main", PATHS[1]) == ["main/train/0002_c2.png", "train/0002_c2.png", "0002_c2.png"]
