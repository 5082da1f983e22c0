"""What the page says of a run whose files are damaged, gone, or left over from other images."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from example import new_checkout
from starlette.testclient import TestClient

from hcga.store_writing import write_store
from hcga.stores import array, open_store, read_all
from hcga.view.pages import Pages
from hcga.view.server import create_app

example = pytest.fixture(scope="module")(new_checkout)


@pytest.fixture
def checkout(example: Path, tmp_path: Path) -> Path:
    """To be damaged."""
    return Path(shutil.copytree(example, tmp_path / "checkout"))


def shard_of(store: Path, name: str) -> Path:
    return next(path for path in (store / name / "c").rglob("*") if path.is_file())


def cut(data: Path) -> None:
    shard = shard_of(data / "masks/r1.zarr", "masks")
    shard.write_bytes(shard.read_bytes()[:-1])


def lose(data: Path) -> None:
    shard_of(data / "masks/r1.zarr", "masks").unlink()


def cut_images(data: Path) -> None:
    shard = shard_of(data / "images.zarr", "images")
    shard.write_bytes(shard.read_bytes()[:-1])


def lose_array(data: Path) -> None:
    shutil.rmtree(data / "masks/r1.zarr/masks")


def lose_rows(data: Path) -> None:
    masks = read_all(array(open_store(data / "masks/r1.zarr"), "masks"))
    shutil.rmtree(data / "masks/r1.zarr")
    write_store(data / "masks/r1.zarr", {"masks": masks[:1], "labels": masks[:1]})


def of_others(data: Path) -> None:
    write_store(data / "masks/r1.zarr", {"masks": np.zeros((5, 16, 8), np.uint8)}, image_set="others")


def empty(*files: str) -> Callable[[Path], None]:
    return lambda data: [(data / file).write_bytes(b"") for file in files] and None


def shorten(file: str) -> Callable[[Path], None]:
    """Keep the first two lines."""

    def cut_lines(data: Path) -> None:
        (data / file).write_text("".join((data / file).read_text().splitlines(keepends=True)[:2]))

    return cut_lines


STRIP = "/strips/workspace:r1/3/masks"
DAMAGES = [
    (cut, STRIP, "r1.zarr/masks: damaged ("),
    (cut, "/changes?from=r1&to=r2", "r1.zarr/masks: damaged ("),
    (lose, STRIP, "r1.zarr/masks: damaged, its file c/0/0/0 is missing or empty"),
    (lose, "/changes?from=r1&to=r2", "r1.zarr/masks: damaged, its file c/0/0/0 is missing or empty"),
    (cut_images, STRIP.replace("masks", "images"), "images.zarr/images: damaged ("),
    (cut_images, "/identities/3?at=r1", "images.zarr/images: damaged ("),
    (lose_array, STRIP, "r1.zarr: no array &#39;masks&#39;; it has: labels. "),
    (lose_rows, STRIP, "r1.zarr/masks: has 1 rows and no row 1, so it is of other images"),
    (of_others, STRIP, "so its rows belong to other people"),
    (of_others, "/changes?from=r1&to=r2", "so its rows belong to other people"),
    (empty("history/r1.csv"), "/figures", "history/r1.csv: no readable table"),
    (empty("identities/r3.csv"), "/identities", "identities/r3.csv: no readable table"),
    (
        shorten("identities/r3.csv"),
        "/identities",
        "r3.csv: lacks 2 of the 3 training identities, the first 3: it is cut",
    ),
    (shorten("identities/r3.csv"), "/identities/8?at=r3", "r3.csv: lacks 2 of the 3 training identities"),
    (empty("rankings/r3.csv"), "/queries", "rankings/r3.csv: no readable table"),
    (empty("rankings/r3.csv"), "/queries/5", "rankings/r3.csv: no readable table"),
    (empty("samples.csv"), "/identities", "samples.csv: no readable table"),
    (empty("metrics/r1.json"), "/figures", "metrics/r1.json: no valid JSON"),
]


@pytest.mark.parametrize(("damage", "address", "words"), DAMAGES)
def test_damage_is_said_with_the_remedy(
    checkout: Path, damage: Callable[[Path], None], address: str, words: str
) -> None:
    if damage is of_others:
        images = read_all(array(open_store(checkout / "data/images.zarr"), "images"))
        write_store(checkout / "data/images.zarr", {"images": images}, image_set="these")
    client = TestClient(create_app(checkout), base_url="http://127.0.0.1")
    assert client.get(address).status_code == 200
    damage(checkout / "data")
    response = TestClient(create_app(checkout), base_url="http://127.0.0.1").get(address)
    assert response.status_code == 404
    assert words in response.text
    assert "`dvc repro`" in response.text


def rename(file: str, column: str) -> Callable[[Path], None]:
    """Call a column of a table otherwise."""
    return lambda data: pd.read_csv(data / file).rename(columns={column: "other"}).to_csv(data / file, index=False)


def write(file: str, content: str) -> Callable[[Path], None]:
    return lambda data: (data / file).write_text(content) and None


EMBEDDINGS = '{"zarr_format": 3, "node_type": "group", "attributes": {"epoch": 1}}'
OTHER_VERSIONS = [
    (rename("samples.csv", "pid"), "/identities", "samples.csv: no column &#39;pid&#39;; it has: split, other, camid"),
    (rename("identities/r3.csv", "pid"), "/identities", "identities/r3.csv: no column &#39;pid&#39;"),
    (rename("rankings/r3.csv", "hit"), "/queries", "rankings/r3.csv: no column &#39;hit&#39;"),
    (rename("history/r1.csv", "loss"), "/figures", "history/r1.csv: no column &#39;loss&#39;"),
    (rename("occlusion.csv", "left"), "/identities/3?at=r1", "occlusion.csv: no column &#39;left&#39;"),
    (write("metrics/r1.json", "[]"), "/figures", "metrics/r1.json: holds list, not figures by name"),
    (
        write("embeddings/r1.zarr/zarr.json", EMBEDDINGS),
        "/strips/workspace:r1/3/head",
        "r1.zarr: no attribute &#39;parsing&#39; (bool); it has: epoch. ",
    ),
]
NO_STORES = [
    (write("masks/r1.zarr/zarr.json", "[]"), STRIP, "r1.zarr: no readable store of zarr&#39;s format 3 ("),
    (write("masks/r1.zarr/zarr.json", "1"), STRIP, "r1.zarr: no readable store of zarr&#39;s format 3 ("),
    (write("masks/r1.zarr/masks/zarr.json", "1"), STRIP, "r1.zarr/masks: damaged ("),
]


@pytest.mark.parametrize(("damage", "address", "words"), OTHER_VERSIONS + NO_STORES)
def test_what_another_version_wrote_is_said_with_the_remedy(
    checkout: Path, damage: Callable[[Path], None], address: str, words: str
) -> None:
    damage(checkout / "data")
    response = TestClient(create_app(checkout), base_url="http://127.0.0.1").get(address)
    assert response.status_code == 404
    assert words in response.text
    assert "`dvc repro`" in response.text
    assert ("`git worktree add`" in response.text) == ((damage, address, words) in OTHER_VERSIONS)


def test_without_truth_that_layer_alone_is_missing(checkout: Path) -> None:
    shutil.rmtree(checkout / "data/truth.zarr")
    client = TestClient(create_app(checkout), base_url="http://127.0.0.1")
    text = client.get("/identities/3?at=r1&layer=masks&layer=truth").text
    assert re.findall(r'<p class="problem">(.*?): [^ ]*truth.zarr: no readable store', text) == ["truth"]
    assert 'alt="masks of workspace:r1"' in text
    assert 'name="layer" value="truth" checked' in text


@pytest.mark.parametrize("damage", [cut, lose])
def test_a_damaged_layer_is_words_in_its_row(checkout: Path, damage: Callable[[Path], None]) -> None:
    damage(checkout / "data")
    text = TestClient(create_app(checkout), base_url="http://127.0.0.1").get("/identities/3?at=r1&at=r2").text
    assert text.count('<p class="problem">masks: ') == 1
    assert "r1.zarr/masks: damaged" in text
    assert 'alt="masks of workspace:r1"' not in text
    assert 'alt="masks of workspace:r2"' in text


def test_the_list_needs_no_masks(checkout: Path) -> None:
    shutil.rmtree(checkout / "data/masks/r1.zarr/masks")
    response = TestClient(create_app(checkout), base_url="http://127.0.0.1").get("/identities?at=r1")
    assert response.status_code == 200


def test_what_nobody_has_thought_of_is_a_page_too(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> str:
        raise ZeroDivisionError("<b>")

    monkeypatch.setattr(Pages, "queries", fail)
    response = TestClient(create_app(checkout), base_url="http://127.0.0.1").get("/queries")
    assert response.status_code == 500
    assert "ZeroDivisionError" in response.text
    assert "&lt;b&gt;" in response.text
    assert "default-src" in response.headers["Content-Security-Policy"]
    assert "Traceback" in caplog.text


def test_one_row_that_cannot_be_shown_leaves_the_others(checkout: Path) -> None:
    (checkout / "data/identities/r2.csv").write_bytes(b"")
    client = TestClient(create_app(checkout), base_url="http://127.0.0.1")
    response = client.get("/identities/3?at=r1&at=nowhere:r1&at=r2&at=r3&layer=masks&layer=changed")
    assert response.status_code == 200
    for words in ("nowhere: no such revision", "identities/r2.csv: no readable table"):
        assert words in response.text
    shown = re.findall(r'class="over" src="([^"]*)"', response.text)
    assert [address.split("/")[2] for address in shown] == ["workspace:r1", "workspace:r3", "workspace:r3"]
    assert all(client.get(address.replace("&amp;", "&")).status_code == 200 for address in shown)
    assert client.get("/identities/3?at=nowhere:r1&at=r1").status_code == 404  # whose images should be shown?
    assert client.get("/identities/3?at=r2&at=r1").status_code == 404


def test_one_revision_without_figures_leaves_the_others(checkout: Path) -> None:
    client = TestClient(create_app(checkout), base_url="http://127.0.0.1")
    response = client.get("/figures?rev=nowhere&rev=workspace")
    assert response.status_code == 200
    assert "nowhere: no such revision" in response.text
    assert "<svg" in response.text
    assert client.get("/figures?rev=nowhere").status_code == 404


def test_a_model_cut_short_is_words_in_its_row(checkout: Path) -> None:
    model = checkout / "data/models/r1.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    client = TestClient(create_app(checkout), base_url="http://127.0.0.1")
    text = client.get("/identities/3?at=r1&layer=confidence-1").text
    assert "r1.safetensors: damaged (" in text
    assert 'class="over"' not in text
