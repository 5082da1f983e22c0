"""What lies over the images: what is not labelled, other revisions, and what cannot be shown, in words."""

import html
import os
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import torch
from example import BRANCH, HOSTILE, PEOPLE, new_checkout, open_revisions, page, picture, write_checkout
from starlette.testclient import TestClient

from hcga.network.checkpoints import load_model, save_model
from hcga.store_writing import write_store
from hcga.stores import array, open_store
from hcga.view import confidence
from hcga.view.confidence import confidence_maps
from hcga.view.layers import HATCH, colour_parts
from hcga.view.server import create_app

OTHERS = [PEOPLE[1], PEOPLE[4], PEOPLE[2], *PEOPLE[5:]]  # a row less and another order


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without embeddings and model of r2, and with masks of another size in r3."""
    root = new_checkout(tmp_path_factory)
    shutil.rmtree(root / "data/embeddings/r2.zarr")
    (root / "data/models/r2.safetensors").unlink()
    size = array(open_store(root / "data/masks/r3.zarr"), "masks").shape
    write_store(
        root / "data/masks/r3.zarr", {"masks": np.ones((size[0], 8, 4), np.uint8)}, source="hcnet", part_classes=4
    )
    return root


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("other") / "checkout"
    write_checkout(root, OTHERS)
    return root


@pytest.fixture
def client(checkout: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    open_revisions(monkeypatch, {BRANCH: other})
    return TestClient(create_app(checkout), base_url="http://127.0.0.1")


def test_what_is_not_labelled_is_hatched_and_background_clear() -> None:
    cells = np.array([[[0, 255, 255], [1, 255, 255]]], np.uint8)
    drawn = colour_parts(cells)[0]
    assert drawn[0, 0, 3] == 0
    assert drawn[1, 0].tolist() == [230, 159, 0, 255]
    light, dark = HATCH[0].tolist(), HATCH[1].tolist()
    assert drawn[:, 1:].tolist() == [[dark, light], [light, dark]]
    pixels = colour_parts(cells.repeat(2, 1).repeat(2, 2), 2)[0]
    np.testing.assert_array_equal(pixels, drawn.repeat(2, 0).repeat(2, 1))


def test_masks_alone_have_no_photo_below_and_a_background(client: TestClient) -> None:
    text = page(client, "/identities/3?at=r1&layer=masks&layer=alone")
    strips = re.findall(r'<div class="strip"><span>([^<]*)</span><div>(.*?)</div>', text)
    assert [(name, re.findall(r'class="(\w+)"', images), images.count("<img")) for name, images in strips] == [
        ("images", [], 1),
        ("masks", ["over"], 2),
        ("masks without photos", ["alone"], 1),
    ]
    assert "background: #000000" in text  # of the legend
    assert "background: #000000" not in page(client, "/identities/3?at=r1&layer=masks")
    masks, alone = (picture(client, f"/strips/workspace:r1/3/{layer}")[:, :8] for layer in ("masks", "alone"))
    assert (alone[..., 3] == 255).all()
    np.testing.assert_array_equal(alone[..., :3], np.where(masks[..., 3:], masks[..., :3], 0))


@pytest.mark.parametrize("layer", ["masks", "labels"])
def test_an_image_without_a_mask_is_hatched_all_over(client: TestClient, layer: str) -> None:
    strip = picture(client, f"/strips/workspace:r1/11/{layer}")
    assert {tuple(colour) for colour in strip[:, 9:17].reshape(-1, 4)} == {tuple(colour) for colour in HATCH.tolist()}
    assert not {tuple(colour) for colour in strip[:, :8].reshape(-1, 4)} & {tuple(colour) for colour in HATCH.tolist()}
    assert 'class="hatched"' in page(client, "/identities/11")


def test_another_revision_lies_over_the_same_images(client: TestClient, other: Path) -> None:
    there = np.asarray(array(open_store(other / "data/masks/r1.zarr"), "masks")[:])
    address = f"/identities/3?at=r1&at={quote(BRANCH, safe='')}:r1&layer=masks"
    text = html.unescape(page(client, address))
    assert f"{BRANCH}:r1</strong>" in text
    assert "1 of the images are not in this revision" in text
    (strip,) = [link for link in re.findall(r'class="over" src="([^"]*)"', text) if "workspace:r1/" not in link]
    drawn = picture(client, strip)
    assert not drawn[:, :8].any()  # the first image of the identity is none of that revision
    np.testing.assert_array_equal(drawn[:, 9:17, 3] > 0, there[0] > 0)


@pytest.mark.parametrize(
    "where", ["/identities?at={}:r1", "/identities/3?at={}:r1", "/changes?from=r1&to={}:r1", "/queries/3?at={}:r1"]
)
def test_odd_names_of_revisions_break_no_address(client: TestClient, where: str) -> None:
    where = where.replace("{}", quote(BRANCH, safe=""))
    text = html.unescape(page(client, where))
    links = re.findall(r'(?:src|href)="(/[^"]*)"', text)
    assert any("%231" in link and "50%25%3F" in link for link in links)
    for link in links:
        assert client.get(link).status_code == 200, link


def test_cells_that_another_revision_has_otherwise(client: TestClient, checkout: Path, other: Path) -> None:
    here, there = (array(open_store(root / "data/masks/r1.zarr"), "masks") for root in (checkout, other))
    address = f"/strips/{quote(BRANCH)}:r1/3/changed?base=workspace&before=workspace:r1"
    drawn = picture(client, address)
    assert not drawn[:, :8].any()
    np.testing.assert_array_equal(drawn[:, 9:17, 3] > 0, np.asarray(here[1]) != np.asarray(there[0]))
    turned = picture(client, f"/strips/workspace:r1/3/changed?before={quote(BRANCH)}:r1")
    np.testing.assert_array_equal(turned, drawn)  # of an image that the other does not have nothing is known


@pytest.mark.parametrize(
    ("at", "layer", "words"),
    [
        ("r1", "zzz", "zzz: no layer 'zzz'; known: masks, alone, changed, labels, head, truth, confidence-1 and so"),
        ("r1", "confidence-4", "no layer 'confidence-4': the network of workspace:r1 has 4 part classes; known: conf"),
        ("r2", "head", "parsing head: .*r2.zarr: no readable store"),
        ("r2", "confidence-1", "confidence, head: workspace:r2: no model of this round yet; run `dvc repro`"),
        ("r3", "labels", "labels: .*r3.zarr: no array 'labels'; it has: masks"),
        ("r3", "changed", "changed from the row above: masks of 16 x 8 and of 8 x 4 cells; compare"),
    ],
)
def test_a_layer_that_cannot_be_shown_is_said_in_its_row(client: TestClient, at: str, layer: str, words: str) -> None:
    text = html.unescape(page(client, f"/identities/3?at=r1&at={at}&layer={layer}"))
    assert re.search(words, text)
    for link in re.findall(r'src="(/strips[^"]*)"', text):
        assert client.get(link).status_code == 200, link
    assert f"/{at}/3/{layer}" not in text


def test_confidence_comes_in_batches_and_is_kept(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = checkout / "data/models/r1.safetensors", checkout / "data/images.zarr"
    rows = np.array([3, 0, 1, 4, 2])
    found = confidence_maps(model, images, rows)
    assert found.shape == (5, 4, 16, 8)
    assert found.dtype == np.uint8
    assert abs(found.astype(int).sum(1) - 255).max() <= 2
    assert confidence_maps(model, images, rows) is found
    assert confidence_maps(model, images, rows[:0]).shape == (0, 4, 16, 8), "as of a revision without these images"
    monkeypatch.setattr(confidence, "BATCH", 2)
    for number, row in enumerate(rows):
        alone = confidence_maps(model, images, rows[number : number + 1])
        np.testing.assert_allclose(alone[0].astype(int), found[number], atol=1, err_msg=str(row))


def test_confidence_is_that_of_a_model_trained_again(checkout: Path, tmp_path: Path) -> None:
    model, images, rows = tmp_path / "model.safetensors", checkout / "data/images.zarr", np.array([0])
    shutil.copy(checkout / "data/models/r1.safetensors", model)
    before = confidence_maps(model, images, rows)
    network, card = load_model(model)
    torch.nn.init.normal_(network.parsing_head.weight, std=9.0)
    save_model(network, card, model)
    os.utime(model, (1, 1))
    assert (confidence_maps(model, images, rows) != before).any()


def test_confidence_has_a_scale(client: TestClient) -> None:
    text = page(client, "/identities/3?at=r1&layer=confidence-2")
    assert 'class="scale"' in text
    assert "background</span>" not in text
    assert "background</span>" in page(client, "/identities/3?at=r1&layer=confidence-2&layer=labels")
    assert 'class="scale"' not in page(client, "/identities/3?at=r1&layer=masks")


@pytest.mark.parametrize(
    "where",
    ["/identities?at={}", "/identities/3?at={}", "/changes?from=r1&to={}", "/queries?at={}", "/queries/3?at={}"],
)
def test_a_revision_alone_is_its_last_round_with_masks(client: TestClient, where: str) -> None:
    text = html.unescape(page(client, where.replace("{}", quote(BRANCH, safe=""))))
    assert re.search(rf'name="(at|to)" value="{re.escape(BRANCH)}:r3"', text)


def test_a_revision_alone_as_list_figures_and_workspace(client: TestClient) -> None:
    name = quote(BRANCH, safe="")
    assert f'value="{BRANCH}" checked' in html.unescape(page(client, f"/figures?at={name}"))
    assert "workspace:r3</strong>" in page(client, "/identities/3?at=workspace")
    assert f"list of {BRANCH}:r3" in html.unescape(page(client, f"/identities/3?at=r1&list={name}"))


def test_a_round_that_a_revision_does_not_have(client: TestClient) -> None:
    text = html.unescape(client.get(f"/identities?at={quote(BRANCH, safe='')}:r9").text)
    assert f"{BRANCH}: no round 'r9' in params.yaml; known: r1, r2, r3, r4</p>" in text


def test_names_of_images_stay_names(client: TestClient) -> None:
    assert HOSTILE in html.unescape(page(client, "/identities/3?at=r1"))
