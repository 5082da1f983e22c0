from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hcga.datasets.cuhk03_archive import extract_cuhk03
from hcga.datasets.readers import read_data_set
from hcga.errors import InputError

h5py = pytest.importorskip("h5py")
PEOPLE = (3, 2)  # of two camera pairs
NAMES = [f"{pair}_{person:03d}_{view}_{column:02d}.png" for pair, person, view, column in [
    (1, 1, 1, 1), (1, 1, 2, 6), (1, 2, 1, 2), (1, 2, 2, 7), (1, 2, 2, 8), (2, 2, 1, 1), (2, 2, 2, 9)
]]  # fmt: skip
LABELS = [1, 1, 2, 2, 2, 5, 5]


def picture(pair: int, person: int, column: int) -> np.ndarray:
    """Give (H, W, 3) pixels that tell which image it is, of a size of its own."""
    image = np.full((20 + person, 10 + column, 3), (10 * pair, 10 * person, 10 * column), np.uint8)
    image[0] = 255
    return image


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Write an archive as MATLAB 7.3 lays it out, transposed, and a protocol; columns 5 and 10 are empty."""
    archive, protocol = tmp_path / "cuhk-03.mat", tmp_path / "protocol.mat"
    with h5py.File(archive, "w") as file:
        pairs = []
        for pair, people in enumerate(PEOPLE, 1):
            cells = np.empty((10, people), h5py.ref_dtype)
            for person in range(1, people + 1):
                for column in range(1, 11):
                    empty = column in (5, 10)
                    values = np.zeros(2, np.uint64) if empty else picture(pair, person, column).T
                    stored = file.create_dataset(f"images/{pair}_{person}_{column}", data=values)
                    cells[column - 1, person - 1] = stored.ref
            pairs.append(file.create_dataset(f"pairs/{pair}", data=cells).ref)
        file.create_dataset("detected", data=np.array([pairs], h5py.ref_dtype))
    write_protocol(protocol)
    return archive, protocol


def write_protocol(path: Path, names: list[str] = NAMES) -> None:
    cells = np.array([[name] for name in names], object)
    places = {"train_idx": [[1], [2]], "query_idx": [[3], [6], [7]], "gallery_idx": [[4], [5]]}
    savemat(path, {"filelist": cells, "labels": np.array(LABELS)[:, None], **places})


def test_images_are_filed_by_the_protocol(files: tuple[Path, Path], tmp_path: Path) -> None:
    root = tmp_path / "out"
    extract_cuhk03(*files, "detected", root)
    found = read_data_set("cuhk03:detected", root)
    rows = sorted(found[["split", "pid", "camid", "path"]].itertuples(index=False, name=None))
    assert rows == [
        ("gallery", 2, 2, "bounding_box_test/0002_c2_4.png"),
        ("gallery", 2, 2, "bounding_box_test/0002_c2_5.png"),
        ("query", 2, 1, "query/0002_c1_3.png"),
        ("query", 5, 1, "query/0005_c1_6.png"),
        ("query", 5, 2, "query/0005_c2_7.png"),
        ("train", 1, 1, "bounding_box_train/0001_c1_1.png"),
        ("train", 1, 2, "bounding_box_train/0001_c2_2.png"),
    ]
    np.testing.assert_array_equal(np.asarray(Image.open(root / "query/0002_c1_3.png")), picture(1, 2, 2))
    np.testing.assert_array_equal(np.asarray(Image.open(root / "query/0005_c2_7.png")), picture(2, 2, 9))


def test_what_does_not_fit_is_named_and_nothing_is_left(files: tuple[Path, Path], tmp_path: Path) -> None:
    archive, protocol = files
    root = tmp_path / "out"
    for arguments, message in (
        ((tmp_path / "no.mat", protocol, "detected"), r"no\.mat: no such file; it is cuhk-03\.mat"),
        ((archive, tmp_path / "no.mat", "detected"), r"no\.mat: no such file; it comes with the code of Zhong"),
        ((archive, protocol, "labeled"), r"cuhk-03\.mat: cannot be read as cuhk-03\.mat .*labeled"),
        ((protocol, protocol, "detected"), r"protocol\.mat: cannot be read as cuhk-03\.mat"),
        ((archive, archive, "detected"), r"cuhk-03\.mat: no protocol of CUHK03-NP"),
    ):
        with pytest.raises(InputError, match=message):
            extract_cuhk03(*arguments, root)
        assert not root.exists()
    write_protocol(protocol, ["1_001_1_05.png", *NAMES[1:]])
    with pytest.raises(InputError, match=r"no image 1_001_1_05\.png of detected"):
        extract_cuhk03(archive, protocol, "detected", root)
    write_protocol(protocol, NAMES[:5])
    with pytest.raises(
        InputError, match=r"protocol\.mat: no protocol of CUHK03-NP \(places 1 to 7 of 5 names, 7 labels\)"
    ):
        extract_cuhk03(archive, protocol, "detected", root)
    for odd in ("0_001_1_05.png", "1_001_3_05.png", "1_001_1.png", "x.png"):
        write_protocol(protocol, [odd, *NAMES[1:]])
        with pytest.raises(InputError, match=rf"protocol\.mat: no protocol of CUHK03-NP \('{odd}' is no name such as"):
            extract_cuhk03(archive, protocol, "detected", root)
    write_protocol(protocol, NAMES)
    cut = tmp_path / "cut.mat"
    for length in (0, 50, 300, protocol.stat().st_size - 40):
        cut.write_bytes(protocol.read_bytes()[:length])
        with pytest.raises(InputError, match=r"cut\.mat: no protocol of CUHK03-NP"):
            extract_cuhk03(archive, cut, "detected", root)
    (tmp_path / "page.mat").write_text("<!DOCTYPE html>" * 99)
    with pytest.raises(InputError, match="a file saved from a web page may hold the page instead"):
        extract_cuhk03(archive, tmp_path / "page.mat", "detected", root)
    assert not root.exists()
    with pytest.raises(InputError, match="is there already"):
        extract_cuhk03(archive, protocol, "detected", tmp_path)
