import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hcga.datasets import occlusion
from hcga.datasets.examples import make_example
from hcga.datasets.occlusion import occlude_data_set
from hcga.datasets.readers import read_data_set
from hcga.errors import InputError

OPTIONS: dict[str, Any] = {
    "splits": ["query"],
    "share": 1.0,
    "cover": (0.35, 0.6),
    "side": "any",
    "occluders": "drawn",
    "seed": 0,
}


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("occluders", ["drawn", "distractors", "folder"])
def test_queries_are_covered_and_nothing_else_changes(tiny_set: Path, tmp_path: Path, occluders: str) -> None:
    before = content(tiny_set)
    source = tiny_set / "bounding_box_train" if occluders == "folder" else occluders
    boxes = occlude_data_set("market1501", tiny_set, tmp_path / "out", **OPTIONS | {"occluders": source})
    assert content(tiny_set) == before, "the source is only read"
    after = content(tmp_path / "out")
    changed = {name for name in before if after[name] != before[name]} - {"occluders.csv"}
    assert {name for name in changed if "truth" not in name} == set(boxes["image"])
    assert {name for name in changed if "truth" in name} <= {f"truth/{name[:-4]}.png" for name in boxes["image"]}
    assert set(boxes["image"]) == {name for name in before if name.startswith("query/")}
    assert after.keys() == before.keys()
    known = pd.read_csv(tiny_set / "occluders.csv")
    noted = pd.read_csv(tmp_path / "out" / "occluders.csv")
    pd.testing.assert_frame_equal(noted[: len(known)][known.columns], known, check_dtype=False)
    pd.testing.assert_frame_equal(noted[len(known) :][boxes.columns].reset_index(drop=True), boxes, check_dtype=False)
    for box in boxes.itertuples():
        old, new = (np.asarray(Image.open(root / str(box.image))).astype(int) for root in (tiny_set, tmp_path / "out"))
        differs = np.abs(old - new).max(2) > 40
        inside = np.zeros_like(differs)
        inside[box.top : box.bottom, box.left : box.right] = True
        assert differs[inside].mean() > 0.2
        assert differs[~inside].mean() < 0.05, "save for what JPEG blurs"
        assert 0.33 <= box.covered <= 0.62
        if occluders != "drawn":  # drawn things have holes
            assert inside.mean() == pytest.approx(box.covered, abs=0.002)


@pytest.mark.parametrize("cover", [(0.1, 0.2), (0.8, 0.9)])
@pytest.mark.parametrize("side", ["any", "left"])
@pytest.mark.parametrize("occluders", ["drawn", "distractors"])
def test_as_much_is_covered_as_was_asked_for(
    tiny_set: Path, tmp_path: Path, cover: tuple[float, float], side: str, occluders: str
) -> None:
    options = OPTIONS | {"cover": cover, "side": side, "occluders": occluders}
    covered = occlude_data_set("market1501", tiny_set, tmp_path / "out", **options)["covered"]
    assert covered.between(cover[0] - 0.02, cover[1] + 0.02).all()


def test_a_cover_that_no_drawn_thing_has_is_refused(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occlusion, "ATTEMPTS", 1)
    with pytest.raises(InputError, match=r"--cover 0\.9 0\.95: of 1 drawn things none covers that much from"):
        occlude_data_set("market1501", tiny_set, tmp_path / "out", **OPTIONS | {"cover": (0.9, 0.95)})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("palette", [False, True])
def test_what_is_hidden_is_background_in_true_masks(tmp_path: Path, palette: bool) -> None:
    root = tmp_path / "set"
    for folder in ("query/3", "parts/query/3"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (30, 60), (0, 90, 0)).save(root / "query/3/1_a.png")
    labels = Image.new("P" if palette else "L", (30, 60), 2)
    if palette:
        labels.putpalette([9, 9, 9, 255, 0, 0, 0, 0, 255])
    labels.save(root / "parts/query/3/1_a.png")
    occlude_data_set("folder", root, tmp_path / "out", **OPTIONS | {"cover": (0.5, 0.5)})
    with Image.open(tmp_path / "out/parts/query/3/1_a.png") as image:
        found = np.asarray(image)
        assert image.mode == labels.mode
        assert image.getpalette() == (labels.getpalette() if palette else None)
    picture = np.asarray(Image.open(tmp_path / "out/query/3/1_a.png")).astype(int)
    assert set(np.unique(found)) == {0, 2}
    assert np.mean(found == 0) == pytest.approx(0.5, abs=0.03)
    assert ((picture == (0, 90, 0)).all(2) == (found == 2)).mean() > 0.95, "save for soft edges"


def test_a_true_mask_of_another_size_is_named(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for folder, size in (("query/3", (30, 60)), ("parts/query/3", (15, 30))):
        (root / folder).mkdir(parents=True)
        Image.new("L", size).save(root / folder / "1_a.png")
    with pytest.raises(InputError, match=r"parts/query/3/1_a\.png: \(30, 15\), but its image is \(60, 30\)"):
        occlude_data_set("folder", root, tmp_path / "out", **OPTIONS)


def test_a_query_that_is_listed_from_the_gallery_becomes_a_query_of_its_own(tmp_path: Path) -> None:
    """Occluded-DukeMTMC with name lists: the gallery keeps its image."""
    root, out = tmp_path / "set", tmp_path / "out"
    make_example("occluded_dukemtmc", root)
    before = read_data_set("occluded_dukemtmc", root)
    (moved,) = before["path"][(before["split"] == "query") & before["path"].str.startswith("bounding_box_test")]
    listed = occlude_data_set("occluded_dukemtmc", root, out, **OPTIONS)
    own = moved.replace("bounding_box_test", "query")
    assert own in set(listed["image"])
    assert (out / moved).read_bytes() == (root / moved).read_bytes() != (out / own).read_bytes()
    after = read_data_set("occluded_dukemtmc", out)
    replaced = before["path"].where((before["split"] != "query") | (before["path"] != moved), own)
    pd.testing.assert_frame_equal(after, before.assign(path=replaced))


def test_share_and_seed_decide_which(tiny_set: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"splits": ["query", "gallery", "train"], "share": 0.5}
    chosen = [
        set(occlude_data_set("market1501", tiny_set, tmp_path / name, **options | {"seed": seed})["image"])
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert chosen[0] == chosen[1] != chosen[2]
    assert 6 < len(chosen[0]) < 24
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("side", ["below", "left", "right"])
@pytest.mark.parametrize("occluders", ["drawn", "distractors"])
def test_the_side_is_where_it_comes_from(tiny_set: Path, tmp_path: Path, side: str, occluders: str) -> None:
    options = OPTIONS | {"side": side, "occluders": occluders}
    boxes = occlude_data_set("market1501", tiny_set, tmp_path / "out", **options)
    touching = {"below": boxes["bottom"] == 64, "left": boxes["left"] <= 3, "right": boxes["right"] >= 29}[side]
    assert touching.mean() > 0.6  # a thin pole may stand off the edge


def test_what_is_refused(tiny_set: Path, tmp_path: Path) -> None:
    def refused(message: str, target: Path = tmp_path / "out", **changes: Any) -> None:
        with pytest.raises(InputError, match=message):
            occlude_data_set("market1501", tiny_set, target, **OPTIONS | changes)
        assert not (tmp_path / "out").exists()

    refused("is there already", target=tmp_path)
    refused("lies in the data set", target=tiny_set / "new")
    (tmp_path / "empty").mkdir()
    refused("empty: holds no image to take occluders from", occluders=tmp_path / "empty")
    make_example("partial_ilids", tmp_path / "test_only")
    with pytest.raises(InputError, match="test_only: has no images of split train to occlude; name one it has"):
        occlude_data_set("partial_ilids", tmp_path / "test_only", tmp_path / "out", **OPTIONS | {"splits": ["train"]})


def test_an_image_of_two_splits_is_refused(tiny_set: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"path": "a.jpg", "split": ["query", "gallery"], "pid": 1, "camid": 1})
    root = tmp_path / "set"
    root.mkdir()
    (root / "a.jpg").write_bytes(next((tiny_set / "query").iterdir()).read_bytes())
    table.to_csv(root / "samples.csv", index=False)
    with pytest.raises(InputError, match=r"a\.jpg: is of several splits, not all of which are to be occluded"):
        occlude_data_set("table", root, tmp_path / "out", **OPTIONS)
    both = OPTIONS | {"splits": ["query", "gallery"]}
    assert set(occlude_data_set("table", root, tmp_path / "out", **both)["image"]) == {"a.jpg"}


@pytest.mark.parametrize("ending", [".png", ".tif", ".jpg"])
def test_an_image_is_covered_as_it_is_shown(tmp_path: Path, ending: str) -> None:
    """Turned as its EXIF says, in its own format."""
    root = tmp_path / "set"
    (root / "query" / "3").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    Image.new("RGB", (60, 30), (0, 90, 0)).save(root / "query" / "3" / f"1_a{ending}", exif=exif)
    occlude_data_set("folder", root, tmp_path / "out", **OPTIONS)
    with Image.open(tmp_path / "out" / "query" / "3" / f"1_a{ending}") as image:
        assert image.size == (30, 60)
        assert image.getexif().get(0x0112, 1) == 1


def test_an_image_that_cannot_be_decoded_is_named_and_nothing_is_left(tiny_set: Path, tmp_path: Path) -> None:
    root = shutil.copytree(tiny_set, tmp_path / "set")
    image = max((root / "query").iterdir())
    image.write_bytes(image.read_bytes()[:900])
    with pytest.raises(InputError, match=rf"{image.name}: cannot be decoded"):
        occlude_data_set("market1501", root, tmp_path / "out", **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
