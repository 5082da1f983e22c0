"""The page: what each address shows, what it refuses, that names cannot inject anything."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from example import new_checkout, page, picture
from matplotlib import colormaps
from PIL import Image
from starlette.testclient import TestClient

from hcga.masks.parts import part_colour, upsample
from hcga.masks.pictures import colour_labels
from hcga.network.checkpoints import load_model
from hcga.runs.revisions import Place, parse_place
from hcga.samples import identities, rows_of_identity
from hcga.stores import array, open_store
from hcga.view.layers import layer_strip
from hcga.view.places import Archive
from hcga.view.server import HEADERS, create_app

checkout = pytest.fixture(scope="module")(new_checkout)


@pytest.fixture(scope="module")
def client(checkout: Path) -> TestClient:
    return TestClient(create_app(checkout), base_url="http://127.0.0.1:8000", raise_server_exceptions=True)


def refused(client: TestClient, address: str, *fragments: str) -> None:
    response = client.get(address)
    assert response.status_code == 404
    assert all(fragment in response.text for fragment in fragments), response.text
    assert "Traceback" not in response.text


def pids(text: str) -> list[str]:
    return re.findall(r'<td><a href="/identities/(\d+)', text)


ADDRESSES = [
    "/identities",
    "/identities/3",
    "/identities/3?at=r1&at=workspace:r2&layer=masks&layer=changed&layer=labels&layer=head&layer=truth&layer=confidence-1&opacity=20",
    "/changes",
    "/queries",
    "/queries/5",
    "/figures",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_pages_are_whole_and_take_nothing_from_elsewhere(client: TestClient, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 200
    text = response.text
    assert text.rstrip().endswith("</html>")
    found = re.findall(r'(?:src|href|action)="([^"]*)"', text)
    assert found
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in found), found
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "<b onclick" not in text
    assert "<script>" not in text  # the policy would not run it
    for link in re.findall(r'(?:src|href)="(/(?:strips|images|static)[^"]*)"', text):
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link


def test_the_first_page_is_the_list(client: TestClient) -> None:
    response = client.get("/", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (307, "/identities")


def test_identities_in_the_order_of_the_table_or_sorted(client: TestClient) -> None:
    assert pids(page(client, "/identities")) == ["8", "11", "3"]
    assert pids(page(client, "/identities?sort=pid")) == ["3", "8", "11"]
    assert pids(page(client, "/identities?sort=foreground_share")) == ["8", "3", "11"]  # what is not known comes last
    assert pids(page(client, "/identities?sort=foreground_share&order=down")) == ["3", "8", "11"]
    text = page(client, "/identities?sort=images")
    assert 'aria-sort="ascending"' in text
    assert "/identities?at=workspace%3Ar3&amp;sort=images&amp;order=down" in text  # again: turns the order
    assert "10.0" in page(client, "/identities?at=r1")
    assert "20.0" in page(client, "/identities?at=workspace:r2")


def test_filters_by_camera_and_occlusion(client: TestClient) -> None:
    assert pids(page(client, "/identities?camera=2")) == ["11", "3"]
    assert pids(page(client, "/identities?occluded=yes")) == ["3"]
    assert pids(page(client, "/identities?occluded=no")) == ["11", "3"]  # of 8 it is not known
    whole = picture(client, "/strips/workspace:r1/3/images")
    assert picture(client, "/strips/workspace:r1/3/images?camera=2").shape[1] == whole.shape[1] / 2
    text = page(client, "/identities/3?occluded=yes")
    assert "1 image, from left to right" in text
    assert "Only images with an occluder; " in text
    assert "train/b.jpg" in text


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ("camera=2", "from camera 2"),
        ("occluded=yes", "with an occluder"),
        ("occluded=no", "without an occluder"),
        ("camera=1&occluded=yes", "from camera 1 with an occluder"),
        ("camera=2&occluded=no", "from camera 2 without an occluder"),
    ],
)
def test_a_filter_that_leaves_no_image_says_so_and_can_be_taken_away(
    client: TestClient, filters: str, words: str
) -> None:
    text = page(client, f"/identities/8?at=r1&{filters}&layer=head&opacity=20")
    assert f"No image of identity 8 {words}; <a " in text
    assert "<img" not in text
    (link,) = re.findall(r'<a href="([^"]*)">show all</a>', text)
    assert link == "/identities/8?at=r1&amp;layer=head&amp;opacity=20"
    whole = page(client, link.replace("&amp;", "&"))
    assert "<img" in whole
    assert "show all" not in whole
    refused(client, f"/strips/workspace:r1/8/masks?{filters}", f"no image of identity 8 {words}")


def test_neighbours_are_those_that_the_filters_leave(client: TestClient) -> None:
    assert 'data-key="ArrowLeft" href="/identities/8?camera=1"' in page(client, "/identities/3?camera=1")
    assert "ArrowLeft" not in page(client, "/identities/11?camera=2")
    assert 'data-key="ArrowRight" href="/identities/11?camera=2"' in page(client, "/identities/8?camera=2")


def test_an_identity_keeps_the_list_that_it_was_opened_from(client: TestClient) -> None:
    listing = "camera=2&amp;sort=images&amp;order=down"
    text = page(client, "/identities?at=r1&camera=2&sort=images&order=down")
    assert pids(text) == ["11", "3"]
    (link,) = re.findall(r'<td><a href="(/identities/3[^"]*)', text)
    text = page(client, link.replace("&amp;", "&"))
    assert 'data-key="ArrowLeft" href="/identities/11?' in text
    assert "ArrowRight" not in text
    assert f'href="/identities?at=workspace%3Ar1&amp;{listing}"' in text
    (before,) = re.findall(r'data-key="ArrowLeft" href="([^"]*)"', text)
    text = page(client, before.replace("&amp;", "&"))
    assert 'data-key="ArrowRight" href="/identities/3?' in text
    assert f'href="/identities?at=workspace%3Ar1&amp;{listing}"' in text
    for name, value in (("camera", "2"), ("sort", "images"), ("order", "down"), ("list", "workspace:r1")):
        assert f'<input type="hidden" name="{name}" value="{value}">' in text


def test_neighbours_stand_in_the_list_of_their_place(client: TestClient) -> None:
    for column, order in (("pid", "3 8 11"), ("foreground_share", "8 3 11"), ("images", "8 11 3")):
        pids = order.split()
        for number, pid in enumerate(pids):
            text = page(client, f"/identities/{pid}?list=r2&sort={column}")
            found = re.findall(r'data-key="Arrow\w+" href="/identities/(\d+)', text)
            assert found == pids[max(number - 1, 0) : number] + pids[number + 1 : number + 2]


def test_rows_are_added_and_taken_away_by_their_fields(client: TestClient) -> None:
    text = page(client, "/identities/3?at=r2&at=&at=r1")
    assert re.findall(r'<input name="at" value="([^"]*)"', text) == ["workspace:r2", "workspace:r1", ""]
    assert text.count("data-row") == 2


def test_rounds_of_the_list_have_keys(client: TestClient) -> None:
    text = page(client, "/identities?at=r2&sort=pid&camera=1")
    for key, name in (("Left", "r1"), ("Right", "r3")):
        assert f'data-key="Arrow{key}" href="/identities?at=workspace%3A{name}&amp;camera=1&amp;sort=pid"' in text


@pytest.mark.parametrize(
    "address",
    [
        "/identities?at=r1",
        "/identities/3?at=r1",
        "/changes?from=r2&to=r1",
        "/queries?at=r1",
        "/queries/5?at=r1",
        "/figures?at=r1",
    ],
)
def test_links_to_other_pages_keep_the_place(client: TestClient, address: str) -> None:
    nav = re.findall(r"<nav>.*</nav>", page(client, address))[0]
    links = re.findall(r'href="([^"]*)"', nav)
    assert links == [f"/{name}?at=workspace%3Ar1" for name in ("identities", "changes", "queries", "figures")]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/identities", 200),
        ("/", 307),
        ("/static/view.js", 200),
        ("/identities?at=r9", 404),
        ("/nowhere", 404),
        ("/static/nothing.css", 404),
        ("/images/workspace/0", 200),
        ("/revisions", 200),
    ],
)
def test_every_answer_has_the_headers(client: TestClient, address: str, status: int) -> None:
    for host, expected in (("127.0.0.1", status), ("evil.example", 400)):
        response = client.get(address, follow_redirects=False, headers={"host": host})
        assert response.status_code == expected
        assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("address", ["/identities?at=nowhere:r1", "/no<where>"])
def test_what_is_not_there_leaves_a_choice(client: TestClient, address: str) -> None:
    refused(client, address, '<input name="at" value=""', 'formaction="/queries"')
    assert "<where>" not in client.get(address).text


def test_revisions_to_choose_from(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Archive, "known_revisions", lambda archive: ["workspace", "v#1"])
    assert client.get("/revisions").json() == ["workspace", "v#1"]


def test_names_of_parameters_may_be_any(client: TestClient) -> None:
    text = page(client, "/identities/8?path=x&self=y&from=z&list=r1")
    assert 'href="/identities/11?path=x&amp;self=y&amp;from=z&amp;list=r1"' in text


def test_one_image_alone_has_no_gap(client: TestClient) -> None:
    assert picture(client, "/images/workspace/0").shape[:2] == (64, 32)


def test_names_are_escaped(client: TestClient) -> None:
    assert "train/&lt;b onclick=alert(1)&gt;&amp;&#39;.jpg" in page(client, "/identities/3")
    refused(client, "/identities?at=<script>:r1", "&lt;script&gt;: no such revision")


def test_neighbours_and_rounds_have_keys(client: TestClient) -> None:
    text = page(client, "/identities/8")
    assert 'data-key="ArrowRight" href="/identities/11"' in text
    assert "ArrowLeft" not in text
    assert text.count("data-row") == 3
    for number in (1, 2, 3):
        assert f"foreground share {number}0.0" in text
    text = page(client, "/identities/11")
    assert "images 2" in text
    assert "foreground share" not in text  # not known
    assert 'data-key="ArrowLeft" href="/identities/8"' in text
    assert 'data-key="ArrowRight" href="/identities/3"' in text


def test_strips_lie_exactly_over_the_images(client: TestClient, checkout: Path) -> None:
    images = picture(client, "/strips/workspace:r1/3/images")
    assert images.shape == (64, 2 * (32 + 4), 4)
    assert (images[..., 3].reshape(64, 2, 36) == ([255] * 32 + [0] * 4)).all()
    masks = np.asarray(array(open_store(checkout / "data/masks/r1.zarr"), "masks")[:2])
    strip = picture(client, "/strips/workspace:r1/3/masks")
    assert strip.shape == (16, 2 * (8 + 1), 4)
    for number in range(2):
        tile = strip[:, number * 9 : number * 9 + 8]
        np.testing.assert_array_equal(tile[..., 3] > 0, masks[number] > 0)
        for part in (1, 2, 3):
            assert (tile[masks[number] == part][:, :3] == part_colour(part)).all()
    labels = picture(client, "/strips/workspace:r1/3/labels")[:, :8]
    np.testing.assert_array_equal(labels[..., :3], colour_labels(masks[:1] + 20)[0])
    assert (labels[..., 3] == 255).all()
    parsed = np.asarray(array(open_store(checkout / "data/embeddings/r1.zarr"), "parsed")[0])
    np.testing.assert_array_equal(picture(client, "/strips/workspace:r1/3/head")[:, :8, 3] > 0, parsed > 0)
    truth = np.asarray(array(open_store(checkout / "data/truth.zarr"), "truth")[0])
    np.testing.assert_array_equal(picture(client, "/strips/workspace:r1/3/truth")[:, :32, 3] > 0, truth > 0)
    assert upsample(masks).shape[1:] == (*images.shape[:1], 32)


def test_confidence_is_that_of_the_rounds_own_network(client: TestClient, checkout: Path) -> None:
    network, _ = load_model(checkout / "data/models/r2.safetensors")
    pixels = torch.from_numpy(np.asarray(array(open_store(checkout / "data/images.zarr"), "images")[:2]))
    with torch.inference_mode():
        expected = network.parsing_head(network.maps(pixels)).softmax(1)[:, 2].numpy()
    found = picture(client, "/strips/workspace:r2/3/confidence-2")
    scale = colormaps["viridis"](np.arange(256), bytes=True)
    shown = np.array([[np.flatnonzero((scale == colour).all(1))[0] for colour in row] for row in found[:, :8]])
    np.testing.assert_allclose(shown, 255 * expected[0], atol=1.01)  # two pairs of steps have one colour


def test_what_changed_links_both_places(client: TestClient) -> None:
    text = page(client, "/changes")
    assert "What changed from workspace:r2 to workspace:r3" in text
    assert "at=workspace%3Ar2&amp;at=workspace%3Ar3" in text
    for at, pair in (("r1", "r1 to workspace:r2"), ("r2", "r1 to workspace:r2"), ("r3", "r2 to workspace:r3")):
        assert f"What changed from workspace:{pair}" in page(client, f"/changes?at={at}")
    same = page(client, "/changes?from=r2&to=r2")
    assert "What changed from workspace:r2 to workspace:r2" in same
    assert "The masks of all 3 identities are the same." in same
    assert "<img" not in same


def test_keys_go_through_the_rounds_of_changes(client: TestClient) -> None:
    found = {
        at: dict(re.findall(r'data-key="Arrow(\w+)" href="/changes\?at=workspace%3A(r\d)"', page(client, where)))
        for at, where in (("r2", "/changes?at=r1"), ("r3", "/changes"), ("other", "/changes?from=r3&to=r1"))
    }
    assert found == {"r2": {"Right": "r3"}, "r3": {"Left": "r2"}, "other": {}}


def test_images_that_moved_most_before_and_after(client: TestClient, checkout: Path) -> None:
    before, after = (
        np.asarray(array(open_store(checkout / f"data/masks/{name}.zarr"), "masks")[:]) for name in ("r1", "r2")
    )
    shares = 100 * (before != after).mean((1, 2))
    text = page(client, "/changes?from=r1&to=r2")
    articles = {int(re.findall(r"Identity (\d+)", article)[0]): article for article in text.split("<article")[1:]}
    changed = {3: shares[:2].mean(), 8: shares[2], 11: shares[3]}
    assert list(articles) == sorted(changed, key=lambda pid: -changed[pid])
    shown, order = articles[3], np.argsort(-shares[:2])
    captions = re.findall(r'<span title="camera (\d): [^"]*">(\d+) %', shown)
    assert captions == [(str(1 + row), f"{shares[row]:.0f}") for row in order]
    rows = "at=workspace%3Ar1&amp;at=workspace%3Ar2&amp;layer=masks&amp;layer=changed"
    assert re.findall(r'href="([^"]*)"', shown) == [f"/identities/3?{rows}"] * 2
    sources = [source.replace("&amp;", "&") for source in re.findall(r'loading="lazy" src="([^"]*)"', shown)]
    assert len(sources) == shown.count("<img") == 6
    images = picture(client, sources[0])
    assert images.shape == (64, 2 * (32 + 4), 4)
    for source, masks in zip(sources[1::2], (before, after, before != after), strict=True):
        tiles = picture(client, source)[..., 3].reshape(16, 2, 9)[..., :8]
        np.testing.assert_array_equal(tiles.swapaxes(0, 1) > 0, masks[order] > 0)


def test_strips_of_some_images_in_their_order(client: TestClient) -> None:
    whole = picture(client, "/strips/workspace:r1/3/masks")
    turned = picture(client, "/strips/workspace:r1/3/masks?image=1&image=0")
    np.testing.assert_array_equal(turned[:, :9], whole[:, 9:])
    np.testing.assert_array_equal(turned[:, 9:], whole[:, :9])
    refused(client, "/strips/workspace:r1/3/masks?image=2", "image 2 is none of identity 3; its images: 0, 1")
    refused(client, "/strips/workspace:r1/3/masks?image=x", "image x is none of identity 3")


@pytest.mark.parametrize(
    ("address", "fragment"),
    [
        ("/identities?at=nowhere:r1", "nowhere: no such revision"),
        ("/identities?at=r9", "no round &#39;r9&#39; in params.yaml; known: r1, r2, r3, r4"),
        ("/identities?at=perim", "known: r1, r2, r3, r4; nor is there a revision of this name"),
        ("/identities/3?at=perim", "known: r1, r2, r3, r4; nor is there a revision of this name"),
        ("/identities?at=workspace:perim", "no round &#39;perim&#39; in params.yaml"),
        ("/identities?at=r4", "workspace:r4: no masks of this round yet; run `dvc repro`"),
        ("/identities?sort=height", "no column &#39;height&#39;; known: pid, images"),
        ("/identities?sort=pid&order=x", "order is &#39;x&#39;; it can be up or down"),
        ("/identities?camera=77", "camera is &#39;77&#39;; the training images are from 1, 2, 3"),
        ("/identities/3?camera=77", "camera is &#39;77&#39;"),
        ("/identities?occluded=maybe", "occluded is &#39;maybe&#39;; it can be yes or no"),
        (
            "/identities/3?opacity=1;background:red",
            "opacity is &#39;1;background:red&#39;; it can be a number from 0 to 100",
        ),
        ("/identities/3?opacity=101", "opacity is &#39;101&#39;"),
        ("/identities/3?zoom=0", "zoom is &#39;0&#39;; it can be a number from 0.5 to 8"),
        ("/identities/3?zoom=nan", "zoom is &#39;nan&#39;"),
        ("/identities/4", "identity 4 is not among the 3 training identities; nearest: 3, 8"),
        ("/strips/workspace:r1/3/shoes", "no layer &#39;shoes&#39;; known: masks, alone"),
        ("/strips/workspace:r1/3/confidence-9", "no layer &#39;confidence-9&#39;"),
        ("/strips/workspace:r4/3/masks", "r4.zarr: no readable store"),
        ("/queries/0", "image 0 is no query with a match"),
        ("/images/workspace/99", "image 99 is not among the 12 images"),
        ("/figures?rev=nowhere", "nowhere: no such revision"),
    ],
)
def test_what_is_not_there_is_said_with_the_remedy(client: TestClient, address: str, fragment: str) -> None:
    refused(client, address, fragment)


@pytest.mark.parametrize(
    "address", ["/etc/passwd", "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2f..%2fparams.py"]
)
def test_no_other_file_can_be_had(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("rev", ["../..", "/etc", "..%2f.."])
def test_a_revision_is_never_a_path(client: TestClient, rev: str) -> None:
    assert client.get(f"/strips/{rev}:r1/3/masks").status_code == 404
    assert client.get(f"/images/{rev}/0").status_code == 404


def test_it_answers_to_names_of_this_machine_only(checkout: Path) -> None:
    app = create_app(checkout)
    for host, status in (("localhost:1", 200), ("127.0.0.1", 200), ("evil.example", 400)):
        assert TestClient(app, base_url=f"http://{host}").get("/identities").status_code == status


@pytest.mark.parametrize(
    ("text", "place"),
    [("r1", Place("workspace", "r1")), ("HEAD~1:r2", Place("HEAD~1", "r2")), ("a/b:c:r2", Place("a/b:c", "r2"))],
)
def test_places_are_written_with_a_colon(text: str, place: Place) -> None:
    assert parse_place(text) == place
    assert parse_place(str(place)) == place


def test_cells_that_changed_from_the_row_above(client: TestClient, checkout: Path) -> None:
    first, second = (
        np.asarray(array(open_store(checkout / f"data/masks/{name}.zarr"), "masks")[:2]) for name in ("r1", "r2")
    )
    strip = picture(client, "/strips/workspace:r2/3/changed?before=r1")
    for number in range(2):
        shown = strip[:, number * 9 : number * 9 + 8, 3] > 0
        np.testing.assert_array_equal(shown, first[number] != second[number])
    assert not picture(client, "/strips/workspace:r2/3/changed?before=r2")[..., 3].any()
    text = page(client, "/identities/3?at=r1&at=r2&at=r3&layer=changed")
    pairs = re.findall(r"/(workspace:r\d)/3/changed\?[^\"]*before=(workspace%3Ar\d)", text)
    assert pairs == [("workspace:r2", "workspace%3Ar1"), ("workspace:r3", "workspace%3Ar2")]  # the row above
    assert text.count("changed from the row above: there is no row above") == 1


def test_images_of_another_revision_are_found_by_name(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(checkout)
    samples = archive.samples("workspace")
    other = samples.iloc[[2, 1, 3, 4, 5, 6]].reset_index(drop=True)
    monkeypatch.setattr(archive, "samples", lambda rev: samples if rev == "workspace" else other)
    assert archive.same_images("workspace", np.array([0, 1, 2]), "other").tolist() == [-1, 1, 0]
    assert archive.same_images("workspace", np.array([0, 1, 2]), "workspace").tolist() == [0, 1, 2]
    strip = Image.open(io.BytesIO(layer_strip(archive, Place("workspace", "r1"), "labels", np.array([-1, 1]))))
    alpha = np.asarray(strip)[..., 3]
    assert not alpha[:, :9].any()
    assert alpha[:, 9:17].all()


def test_images_in_another_order_are_found_by_name(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many, and none is where it was; one is a query there and so has no mask."""
    archive = Archive(checkout)
    samples = archive.samples("workspace")
    other = samples.iloc[::-1].reset_index(drop=True)
    other.loc[other["path"] == samples["path"][1], "split"] = "query"
    monkeypatch.setattr(archive, "samples", lambda rev: samples if rev == "workspace" else other)
    last = len(samples) - 1
    assert archive.same_images("workspace", np.array([0, 1, 2]), "other").tolist() == [last, -1, last - 2]


LOCK = """stages:
  coparse@r1:
    deps: [{path: data/features/r1.zarr, md5: any.dir}]
    outs: [{path: data/masks/r1.zarr, md5: new.dir}]
  embed@r1:
    outs: [{path: data/embeddings/r1.zarr, md5: same.dir}]
  evaluate@r1:
    deps: [{path: data/masks/r1.zarr, md5: old.dir}, {path: data/embeddings/r1.zarr, md5: same.dir}]
  extract@r2:
    params: {params.yaml: {device: cuda}}
    outs: [{path: data/features/r2.zarr, md5: any.dir}]
  coparse@r2:
    deps: [{path: data/features/r2.zarr, md5: any.dir}]
    outs: [{path: data/masks/r2.zarr, md5: any.dir}]
  evaluate@r2:
    deps: [{path: data/masks/r2.zarr, md5: any.dir}]
  evaluate@r3:
    deps: [{path: data/masks/r3.zarr, md5: any.dir}]
"""
OLD_FIGURES, OLD_MASKS = (
    "figures and matching are of an earlier",
    "the masks, and what is made with them, are of an earlier",
)


def test_figures_of_other_masks_than_there_are_now_are_said_to_be_old(checkout: Path, tmp_path: Path) -> None:
    """As while the pipeline runs again, or where one stage alone was run."""
    root = Path(shutil.copytree(checkout, tmp_path / "checkout"))
    (root / "dvc.lock").write_text(LOCK)
    client = TestClient(create_app(root), base_url="http://127.0.0.1")
    for address in ("/identities", "/queries", "/identities/3", "/queries/5"):
        old, new = (client.get(f"{address}?at={name}").text for name in ("r1", "r3"))
        assert f"workspace:r1: {OLD_FIGURES}" in old, address
        assert "of an earlier" not in new
    assert f"workspace:r1, workspace:r2: {OLD_FIGURES}" in client.get("/figures").text
    assert "of an earlier" not in client.get("/changes?from=r1&to=r1").text  # masks alone
    assert "foreground share" in client.get("/identities?at=r2").text
    assert "foreground share" not in client.get("/identities?at=r1").text  # the table as co-parsing left it


def test_masks_of_an_earlier_run_are_said_to_be_old(checkout: Path, tmp_path: Path) -> None:
    """As where a run stopped before their round: what they were made of has changed, however far before them."""
    root = Path(shutil.copytree(checkout, tmp_path / "checkout"))
    (root / "dvc.lock").write_text(LOCK)
    client = TestClient(create_app(root), base_url="http://127.0.0.1")
    for address in (
        "/identities?at=r2",
        "/identities/3?at=r3&at=r2",
        "/changes?from=r2&to=r3",
        "/changes?from=r3&to=r2",
    ):
        text = client.get(address).text
        assert f"workspace:r2: {OLD_MASKS}" in text, address
        assert OLD_FIGURES not in text
    assert f"workspace:r2: {OLD_FIGURES}" in client.get("/queries?at=r2").text


def test_matching_of_other_images_is_refused(checkout: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(checkout, tmp_path / "checkout"))
    samples = pd.read_csv(root / "data/samples.csv")
    samples.assign(dataset="other").to_csv(root / "data/samples.csv", index=False)
    client = TestClient(create_app(root), base_url="http://127.0.0.1")
    refused(client, "/queries?at=r1", "its matching was of other images than samples.csv has now, or another version")
    refused(client, "/queries/5?at=r1", "its matching was of other images than samples.csv has now, or another version")


def test_columns_of_an_identity_name_camera_and_occlusion(client: TestClient, checkout: Path) -> None:
    archive = Archive(checkout)
    rows = rows_of_identity(identities(archive.samples("workspace")), 3)
    occluded = archive.occlusion("workspace").occluded[rows]
    assert 0 < occluded.sum() < len(rows)
    cameras = archive.samples("workspace")["camid"][rows]
    found = re.findall(r'<span title="[^"]*">([^<]*)</span>', page(client, "/identities/3?at=r1"))
    assert found == [f"{camid}{' occluded' * of}" for camid, of in zip(cameras, occluded.tolist(), strict=True)]
