from pathlib import Path

from PIL import Image

from hcga.originals import image_files, own_size
from hcga.runs.workspace import Workspace
from hcga.samples import read_samples


def test_files_lie_below_the_root_of_their_data_set(workspace_folder: Path) -> None:
    samples = read_samples(workspace_folder / "data/samples.csv")
    samples.loc[1, "dataset"] = "gone"  # from params.yaml since
    assert image_files(Workspace(workspace_folder), samples)[:2] == [
        "data/synthetic/train/3_1.jpg",
        "gone/train/3_2.jpg",
    ]


def test_size_is_height_and_width_as_shown(tmp_path: Path) -> None:
    assert own_size(tmp_path / "a.jpg") is None
    picture = Image.new("RGB", (10, 30))
    picture.save(tmp_path / "a.jpg")
    assert own_size(tmp_path / "a.jpg") == (30, 10)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=turned)
    assert own_size(tmp_path / "a.jpg") == (10, 30)
