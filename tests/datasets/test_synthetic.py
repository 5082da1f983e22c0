import csv
import hashlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hcga.datasets.synthetic import synthesise

FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
NAME = re.compile(r"(\d{4})_c(\d+)s(\d+)_(\d{6})_(\d{2})\.jpg")
SMALL = {
    "seed": 3,
    "train_identities": 6,
    "test_identities": 6,
    "images_per_identity": 6,
    "cameras": 4,
    "height": 128,
    "width": 64,
    "distractors": 5,
    "query_occlusion": 0.9,
    "other_occlusion": 0.15,
}
TINY = SMALL | {
    "train_identities": 2,
    "test_identities": 2,
    "images_per_identity": 4,
    "cameras": 2,
    "height": 64,
    "width": 32,
    "distractors": 2,
}


def make(root: Path, arguments: dict[str, Any], **changes: Any) -> Path:
    synthesise(root, **(arguments | changes))
    return root


def images(root: Path, folder: str) -> list[tuple[int, int, int, int, Path]]:
    """List (pid, camera, sequence, frame, path) of a folder's images."""
    found = []
    for path in sorted((root / folder).iterdir()):
        match = NAME.fullmatch(path.name)
        assert match is not None, path.name
        pid, camera, sequence, frame, _ = (int(v) for v in match.groups())
        found.append((pid, camera, sequence, frame, path))
    return found


def truth_of(root: Path, path: Path) -> np.ndarray:
    return np.asarray(Image.open(root / "truth" / path.parent.name / f"{path.stem}.png"))


def occluders(root: Path) -> dict[str, dict[str, str]]:
    with (root / "occluders.csv").open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("sets") / "small", SMALL)


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("sets") / "clear", SMALL, query_occlusion=0.0, other_occlusion=0.0)


def test_counts_of_images_and_identities(small: Path) -> None:
    train, query, gallery = (images(small, folder) for folder in FOLDERS)
    assert len(train) == 6 * 6
    assert sum(pid == 0 for pid, *_ in gallery) == 5
    assert len(query) + len(gallery) - 5 == 6 * 6
    assert len({pid for pid, *_ in train}) == len({pid for pid, *_ in query}) == 6
    assert not {pid for pid, *_ in train} & {pid for pid, *_ in query + gallery}
    assert 0 not in {pid for pid, *_ in train + query}


def test_each_image_is_an_rgb_jpeg_of_the_size_asked_for(small: Path) -> None:
    for folder in FOLDERS:
        for *_, path in images(small, folder):
            with Image.open(path) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 128))


def test_two_to_four_cameras_see_each_identity(small: Path) -> None:
    seen: dict[int, set[int]] = {}
    for folder in FOLDERS:
        for pid, camera, *_ in images(small, folder):
            if pid:
                seen.setdefault(pid, set()).add(camera)
    assert all(2 <= len(cameras) <= 4 for cameras in seen.values())
    assert set().union(*seen.values()) == {1, 2, 3, 4}


def test_one_query_for_each_identity_and_camera_with_a_match_elsewhere(small: Path) -> None:
    query, gallery = images(small, "query"), images(small, "bounding_box_test")
    keys = [(pid, camera) for pid, camera, *_ in query]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(pid, camera) for pid, camera, *_ in query + gallery if pid}
    for pid, camera in keys:
        assert any(p == pid and c != camera for p, c, *_ in gallery)


def test_same_arguments_same_bytes_and_another_seed_other_images(tmp_path: Path) -> None:
    first, again = make(tmp_path / "a", TINY), make(tmp_path / "b", TINY)
    other = make(tmp_path / "c", TINY, seed=4)
    assert digests(first) == digests(again)
    assert not set(digests(first).values()) & {d for n, d in digests(other).items() if n.endswith(".jpg")}


def test_more_identities_leave_the_others_as_they_were(tmp_path: Path) -> None:
    few, many = make(tmp_path / "a", TINY), make(tmp_path / "b", TINY, train_identities=3, distractors=3)
    before, after = digests(few), digests(many)
    assert all(after[name] == digest for name, digest in before.items() if name != "occluders.csv")


def test_truth_has_the_size_of_the_image_and_part_labels_only(small: Path) -> None:
    for folder in FOLDERS:
        listed = images(small, folder)
        assert len(list((small / "truth" / folder).iterdir())) == len(listed)
        for *_, path in listed:
            truth = truth_of(small, path)
            assert (truth.shape, truth.dtype) == ((128, 64), np.dtype(np.uint8))
            assert set(np.unique(truth)) <= {0, 1, 2, 3}
            assert truth.any()


def test_parts_are_in_the_order_head_upper_lower(clear: Path) -> None:
    for folder in FOLDERS:
        for *_, path in images(clear, folder):
            truth = truth_of(clear, path)
            head, upper, lower = (np.nonzero(truth == part)[0].mean() for part in (1, 2, 3))
            assert head + 10 < upper < lower - 10
            assert 0.10 < (truth > 0).mean() < 0.75


def test_outlines_of_the_truth_are_edges_of_the_image(clear: Path) -> None:
    ratios = []
    for *_, path in images(clear, "bounding_box_train"):
        truth, grey = truth_of(clear, path), np.asarray(Image.open(path).convert("L"), dtype=float)
        slope = np.hypot(*np.gradient(grey))
        outline = np.hypot(*np.gradient((truth > 0).astype(float))) > 0
        ratios.append(slope[outline].mean() / slope[np.roll(outline, 12, axis=1)].mean())
    assert np.median(ratios) > 1.4


def test_occluded_area_is_background_in_the_truth(small: Path, clear: Path) -> None:
    rows = occluders(small)
    assert rows
    for name, row in rows.items():
        path = Path(name)
        hidden, whole = truth_of(small, path), truth_of(clear, path)
        box = np.zeros(hidden.shape, dtype=bool)
        box[int(row["top"]) : int(row["bottom"]), int(row["left"]) : int(row["right"])] = True
        assert (hidden == whole)[~box].all()
        assert (hidden != whole).any()
        assert (hidden > 0)[hidden != whole].mean() < 0.1
        lost = 1 - (hidden > 0).sum() / (whole > 0).sum()
        assert lost == pytest.approx(float(row["covered"]), abs=0.04)


def test_the_covered_pixels_show_the_occluder(small: Path, clear: Path) -> None:
    changed = []
    for name in occluders(small):
        gone = (truth_of(clear, Path(name)) > 0) & (truth_of(small, Path(name)) == 0)
        pair = [np.asarray(Image.open(root / name), dtype=float) for root in (small, clear)]
        changed.append(np.abs(pair[0] - pair[1])[gone].mean())
    assert np.median(changed) > 20


def test_occlusion_is_as_frequent_and_as_large_as_asked(small: Path, clear: Path) -> None:
    rows = occluders(small)
    queries = [name for name in rows if name.startswith("query/")]
    others = len(rows) - len(queries)
    asked = len(images(small, "query"))
    assert 0.7 <= len(queries) / asked <= 1.0
    assert 0.03 <= others / (6 * 6 + 6 * 6 + 5 - asked) <= 0.3
    covered = [float(row["covered"]) for row in rows.values()]
    assert min(covered) > 0.15
    assert max(covered) < 0.65
    assert 0.35 < np.mean(covered) < 0.55
    assert not occluders(clear)


def test_frames_of_a_sequence_share_their_background(clear: Path) -> None:
    frames: dict[tuple[int, int], list[np.ndarray]] = {}
    for pid, camera, _, _, path in images(clear, "bounding_box_train"):
        frames.setdefault((pid, camera), []).append(_border(path))
    within = [np.abs(a - b).mean() for same in frames.values() for a, b in pairwise(same)]
    across = [np.abs(frames[one][0] - frames[two][0]).mean() for one in frames for two in frames if one[1] < two[1]]
    assert np.median(within) < 0.5 * np.median(across)


def _border(path: Path) -> np.ndarray:
    """Return the mean colours of an image's upper corners in 4 x 4 blocks."""
    image = np.asarray(Image.open(path), dtype=float)[:64]
    corners = np.stack([image[:, :8], image[:, -8:]])
    return np.asarray(corners.reshape(2, 16, 4, 2, 4, 3).mean(axis=(2, 4)))


def test_frame_numbers_of_a_sequence_rise_evenly(small: Path) -> None:
    frames: dict[tuple[int, int, int], list[int]] = {}
    for pid, camera, sequence, frame, _ in images(small, "bounding_box_train"):
        frames.setdefault((pid, camera, sequence), []).append(frame)
    assert all(set(np.diff(numbers)) == {25} for numbers in frames.values())


@pytest.mark.parametrize("size", [(128, 64), (256, 128), (32, 16), (97, 41)])
def test_small_sets_of_several_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    root = make(tmp_path / "set", TINY, train_identities=1, test_identities=1, height=size[0], width=size[1])
    for folder in FOLDERS:
        assert all(truth_of(root, path).shape == size for *_, path in images(root, folder))
    assert len(images(root, "query")) == 2


def test_no_identities_leave_empty_folders(tmp_path: Path) -> None:
    root = make(tmp_path / "set", TINY, train_identities=0, test_identities=0, distractors=0)
    assert [len(images(root, folder)) for folder in FOLDERS] == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("train_identities", -1),
        ("test_identities", 5000),
        ("images_per_identity", 3),
        ("cameras", 1),
        ("height", 8),
        ("width", 4),
        ("width", 1000),
        ("distractors", -2),
        ("query_occlusion", 1.5),
        ("other_occlusion", float("nan")),
    ],
)
def test_a_bad_argument_is_named_with_its_value(tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be .*got {re.escape(str(value))}$"):
        make(tmp_path / "set", TINY, **{name: value})
    assert not (tmp_path / "set").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=re.escape(str(tmp_path))):
        make(tmp_path, TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
