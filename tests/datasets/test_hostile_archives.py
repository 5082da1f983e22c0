"""Archives of MATLAB that unpack without end, claim any size or take their values from other files."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hcga.datasets import matlab
from hcga.datasets.cuhk03_archive import _read_protocol, extract_cuhk03
from hcga.datasets.matlab import HEADER, read_arrays
from hcga.errors import InputError

h5py = pytest.importorskip("h5py")
SHAPE = (3, 20, 10)
Make = Callable[[Any, Path], None]  # of the archive, in a folder with `other`


def hold(file: Any, image: Any) -> None:
    """Let every cell of an archive be one image."""
    cells = np.full((10, 3), image.ref, h5py.ref_dtype)
    pair = file.create_dataset("pair", data=cells)
    file.create_dataset("detected", data=np.array([[pair.ref]], h5py.ref_dtype))


def of_another_file(file: Any, folder: Path) -> None:
    hold(file, file.create_dataset("image", SHAPE, np.uint8, external=[(str(folder / "other"), 0, 600)]))


def virtual(file: Any, folder: Path) -> None:
    layout = h5py.VirtualLayout(SHAPE, np.uint8)
    layout[:] = h5py.VirtualSource(str(folder / "other.mat"), "image", SHAPE)
    hold(file, file.create_virtual_dataset("image", layout))


def a_link(file: Any, folder: Path) -> None:
    file["detected"] = h5py.ExternalLink(str(folder / "other.mat"), "detected")


def huge(file: Any, folder: Path) -> None:
    hold(file, file.create_dataset("image", (3, 10**6, 10**6), np.uint8, chunks=(3, 100, 100)))


def many_pairs(file: Any, folder: Path) -> None:
    file.create_dataset("detected", (1, 10**12), h5py.ref_dtype, chunks=(1, 1000))


def a_folder(file: Any, folder: Path) -> None:
    file.create_group("detected")


def nothing(file: Any, folder: Path) -> None:
    file.create_dataset("detected", (1, 5), h5py.ref_dtype)


def packed_without_end(file: Any, folder: Path) -> None:
    image = file.create_dataset("image", (3, 8, 8), np.uint8, chunks=(3, 8, 8), compression="gzip")
    image.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(10**6)))
    hold(file, image)


def packed_otherwise(file: Any, folder: Path) -> None:
    hold(file, file.create_dataset("image", data=np.ones(SHAPE, np.uint8), chunks=SHAPE, compression="lzf"))


def write_protocol(path: Path, **changes: Any) -> None:
    places = {f"{split}_idx": [[1]] for split in ("train", "query", "gallery")}
    names = np.array([["1_001_1_01.png"]], object)
    savemat(path, {"filelist": names, "labels": [[1]], **places} | changes, do_compression=True)


ARCHIVES: list[Make] = [
    *(of_another_file, virtual, a_link, huge, many_pairs, a_folder, nothing),
    *(packed_without_end, packed_otherwise),
]


@pytest.mark.parametrize("make", ARCHIVES)
def test_archives(tmp_path: Path, make: Make) -> None:
    (tmp_path / "other").write_bytes(b"secret" * 1000)
    with h5py.File(tmp_path / "other.mat", "w") as file:
        hold(file, file.create_dataset("image", data=np.ones(SHAPE, np.uint8)))
    with h5py.File(tmp_path / "archive.mat", "w") as file:
        make(file, tmp_path)
    write_protocol(tmp_path / "protocol.mat")
    with pytest.raises(
        InputError, match=r"archive\.mat: cannot be read as cuhk-03\.mat .*; take it from the archive anew"
    ):
        extract_cuhk03(tmp_path / "archive.mat", tmp_path / "protocol.mat", "detected", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.zeros((1, 70 * 2**20), np.uint8)}, "unpacks to more than 64 MB"),
        ({"labels": [[np.inf]]}, "infinity"),
        ({"labels": [[1e300]]}, "identities"),
        ({"labels": [[-1]]}, "identities"),
        ({"filelist": {"a": 1}}, ""),
        ({"filelist": np.array([["../../1_001_1_01.png"]], object)}, r"'\.\./\.\./1_001_1_01\.png' is no name"),
        ({"filelist": np.array([["1" * 5000 + "_001_1_01.png"]], object)}, "is no name"),
        ({"query_idx": [[10**9]]}, "places 1 to 1000000000 of 1 names"),
    ],
)
def test_protocols(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_protocol(tmp_path / "protocol.mat", **changes)
    with pytest.raises(InputError, match=rf"protocol\.mat: no protocol of CUHK03-NP .*{message}") as caught:
        extract_cuhk03(tmp_path / "archive.mat", tmp_path / "protocol.mat", "detected", tmp_path / "new")
    assert len(str(caught.value)) < 1000


def test_a_part_that_unpacks_to_all_that_is_allowed_leaves_nothing_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_protocol(tmp_path / "protocol.mat")
    head, own = (tmp_path / "protocol.mat").read_bytes()[:HEADER], b""
    for size in (992, 10**6):  # of an array of bytes; its own description has 32
        savemat(tmp_path / "x.mat", {"x": np.zeros((1, size), np.uint8)}, do_compression=True)
        own += (tmp_path / "x.mat").read_bytes()[HEADER:]
    (tmp_path / "protocol.mat").write_bytes(head + own)
    content = (tmp_path / "protocol.mat").read_bytes()
    first = len(zlib.decompressobj().decompress(content[HEADER + 8 :]))
    monkeypatch.setattr(matlab, "UNPACKED", first)
    given = []
    unpack = matlab._unpack
    monkeypatch.setattr(matlab, "_unpack", lambda part, most: given.append(most) or unpack(part, most))
    with pytest.raises(ValueError, match="unpacks to more than"):
        read_arrays(content)
    assert given == [first, 0]


def test_cells_within_cells(tmp_path: Path) -> None:
    """A few thousand of them made scipy's reader crash the process."""
    nested: Any = np.array([["x"]], object)
    for _ in range(50):
        outer = np.empty((1, 1), object)
        outer[0, 0] = nested
        nested = outer
    write_protocol(tmp_path / "protocol.mat", filelist=nested)
    with pytest.raises(InputError, match="no protocol of CUHK03-NP"):
        extract_cuhk03(tmp_path / "archive.mat", tmp_path / "protocol.mat", "detected", tmp_path / "new")


@pytest.mark.parametrize(
    ("size", "told"),
    [(2**31, r"2,147,483,648 bytes; 67,108,864 are the most"), (10**6, "does not begin as a MAT-file of level 5 does")],
)
def test_what_is_no_protocol_is_not_read_for_long(tmp_path: Path, size: int, told: str) -> None:
    """As when somebody gives the archive itself for it."""
    file = tmp_path / "protocol.mat"
    with file.open("wb") as opened:
        opened.truncate(size)
    with pytest.raises(InputError, match=rf"protocol\.mat: no protocol of CUHK03-NP \(.*{told}"):
        _read_protocol(file)
