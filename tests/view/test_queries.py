"""Retrieval: the order of the queries, and that the page shows what the run compares, and how it counts."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from example import QUERIES, new_checkout, page, picture, write_checkout, write_without_masks
from ruamel.yaml import YAML
from starlette.testclient import TestClient

from hcga.params import Params
from hcga.retrieval.similarity import FEATURES, VARIANTS, similarity
from hcga.retrieval.stored import StoredEmbeddings
from hcga.runs.revisions import Place
from hcga.samples import read_samples
from hcga.stores import array, open_store, read_all
from hcga.view import queries
from hcga.view.matching import match_features, rank_of_first_match
from hcga.view.places import Archive
from hcga.view.server import create_app

QUERY, GALLERY = 5, np.array([9, 10, 11])
checkout = pytest.fixture(scope="module")(new_checkout)


def text_of(root: Path, address: str) -> str:
    client = TestClient(create_app(root), base_url="http://127.0.0.1")
    response = client.get(address)
    assert response.status_code == 200, response.text
    return response.text


def test_queries_without_a_hit_come_first_the_surest_mistake_before_others(checkout: Path) -> None:
    text = text_of(checkout, "/queries")
    assert re.findall(r'href="(/queries/\d)', text) == QUERIES
    assert re.findall(r"<td>(none|\d+)</td>", text)[1::2] == ["none", "none", "2", "1"]


def test_of_several_hits_the_first_counts(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pd.DataFrame({"rank": [1, 2, 3], "similarity": [0.9, 0.8, 0.7], "hit": [False, True, True]})
    found = found.assign(query="main/query/d.jpg", gallery="main/gallery/f.jpg")
    monkeypatch.setattr(Archive, "rankings", lambda archive, place: found)
    (listed,) = queries.list_queries(Archive(checkout), Place("workspace", "r1"))
    assert (listed["first hit"], listed["similarity of the first"]) == (2, 0.9)


@pytest.mark.parametrize("number", range(4))
def test_neighbours_of_a_query_are_those_of_the_list(checkout: Path, number: int) -> None:
    text = text_of(checkout, f"{QUERIES[number]}?at=r2")
    found = dict(re.findall(r'data-key="Arrow(Left|Right)" href="(/queries/\d)\?at=workspace:?%3Ar2"', text))
    before, after = QUERIES[:number][-1:], QUERIES[number + 1 :][:1]
    assert found == dict(zip(["Left"], before, strict=False)) | dict(zip(["Right"], after, strict=False))


@pytest.mark.parametrize(
    ("path", "keys"),
    [("/queries", ("ArrowLeft", "ArrowRight")), ("/queries/5", ("ArrowUp", "ArrowDown"))],
)
def test_rounds_of_list_and_query_have_keys(checkout: Path, path: str, keys: tuple[str, str]) -> None:
    for at, neighbours in (("r1", (None, "r2")), ("r2", ("r1", "r3")), ("r3", ("r2", None))):
        text = text_of(checkout, f"{path}?at={at}")
        for key, name in zip(keys, neighbours, strict=True):
            link = f'data-key="{key}" href="{path}?at=workspace%3A{name}"'
            assert (link in text) == (name is not None)
        assert f"<strong>{at}</strong>" in text


def test_a_query_and_its_gallery(checkout: Path) -> None:
    text = text_of(checkout, "/queries/5?at=r1")
    assert re.findall(r'class="card (\w+)"', text) == ["asked", "hit", "miss"]
    assert re.findall(r"(.) \d: (0\.\d+)<br>identity (\d), camera", text) == [("✓", "0.900", "4"), ("✗", "0.500", "0")]
    assert re.findall(r"<br>shows ([^<\n]*)", text) == [
        "head (empty), lower body",
        "head, upper body",
        "head (empty), lower body",
    ]
    found = ["foreground", "head<br>(one empty)", "upper body", "lower body"]
    assert re.findall(r"<dt>(.*?)</dt>", text) == [*found, found[0], "head<br>(both empty)", *found[2:]]
    assert "the same for every image. Two of them have cosine 1.00 whatever the images show" in text
    assert "the same for every image" not in text_of(checkout, "/queries/8?at=r1")
    cards = [re.findall(r"<dd>([^<]*)</dd><dd class=\"weight\">([^<]*)</dd>", card) for card in text.split("<dl>")[1:]]
    shown = [[weight for cosine, weight in card if cosine != "–"] for card in cards]
    assert shown == [["&times; 1", "&times; 0.5"], ["&times; 1", "&times; 0.5", "&times; 0.5"]]


@pytest.mark.parametrize("visibility", ["any", "confident", "share", "soft"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("features", FEATURES)
def test_terms_add_up_to_the_similarity_of_the_run(
    checkout: Path, default_params: Params, features: str, variant: str, visibility: str
) -> None:
    changes = {"features": features, "similarity": variant, "visibility": visibility}
    params = default_params.evaluate.model_copy(update=changes)
    store = open_store(checkout / "data/embeddings/r1.zarr")
    query, gallery = (StoredEmbeddings(store, rows, params).take(slice(None)) for rows in (np.array([QUERY]), GALLERY))
    expected = similarity(query, gallery, features, variant)[0]
    matched = match_features(store, QUERY, GALLERY, params)
    for terms, value in zip(matched.gallery, expected, strict=True):
        names = [name for letter, name in (("I", "image"), ("F", "foreground")) if letter in features.split("+")]
        parts = ["head", "upper body", "lower body"] if "P" in features else []
        assert [term.feature for term in terms] == names + parts
        if variant == "authors":
            found = sum(term.weight * (term.cosine + 1) / 2 for term in terms)
        else:
            whole = 1 if variant == "mean" else 2
            both = sum(term.weight * (1 if term.feature in names else whole) for term in terms)
            found = sum(term.weight * term.cosine for term in terms) / both if both else 0.0
        assert found == pytest.approx(float(value), abs=1e-6)
    shown = np.concatenate([query.visible, gallery.visible]).tolist()
    for seen, visible in zip(matched.seen, shown, strict=True):
        parts = {part: far for part, far in zip(["head", "upper body", "lower body"], visible, strict=True) if far}
        assert {one.part: one.visibility for one in seen} == (parts if "P" in features else {})


@pytest.mark.parametrize("features", FEATURES)
def test_the_first_match_is_found_however_late(checkout: Path, default_params: Params, features: str) -> None:
    """Of the query in row 7 the last of the gallery, row 11, is the match; row 8 has one under its own camera alone."""
    params = default_params.evaluate.model_copy(update={"features": features})
    store, samples = open_store(checkout / "data/embeddings/r1.zarr"), read_samples(checkout / "data/samples.csv")
    query, gallery = (StoredEmbeddings(store, rows, params).take(slice(None)) for rows in (np.array([7]), GALLERY))
    alike = similarity(query, gallery, features, params.similarity)[0]
    assert rank_of_first_match(store, samples, 7, params) == 1 + int((alike > alike[-1]).sum())
    samples.loc[[8, 11], ["pid", "camid"]] = 6, 1
    assert rank_of_first_match(store, samples, 8, params) is None


def test_a_match_beyond_the_list_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "rank_of_first_match", lambda store, samples, row, params: {7: 37}.get(row))
    words = "None of these is the person: "
    assert f"{words}the first match is at rank 37." in text_of(checkout, "/queries/7?at=r1")
    assert f"{words}the gallery has no image of this identity" in text_of(checkout, "/queries/6?at=r1")
    assert words not in text_of(checkout, "/queries/5?at=r1")


def test_the_parsing_head_lies_over_query_and_gallery(checkout: Path) -> None:
    client = TestClient(create_app(checkout), base_url="http://127.0.0.1")
    text = page(client, "/queries/5?at=r2&opacity=30")
    assert '<div class="query" data-looks style="--opacity: 30">' in text
    assert "lower body</span>" in text  # of the legend
    links = re.findall(r'<img class="over" src="([^"]*)"', text)
    assert links == [f"/parsed/workspace:r2/{row}" for row in (5, 9, 10)]
    parsed = read_all(array(open_store(checkout / "data/embeddings/r2.zarr"), "parsed"))
    for link, row in zip(links, (5, 9, 10), strict=True):
        drawn = picture(client, link)
        assert drawn.shape == (16, 8, 4)
        np.testing.assert_array_equal(drawn[..., 3] > 0, parsed[row] > 0)
    assert client.get("/parsed/workspace:r2/12").status_code == 404
    assert len(re.findall(r'data-key="Arrow\w+" href="[^"]*&amp;opacity=30"', text)) == 3


def test_without_masks_the_image_is_compared_and_nothing_else(tmp_path: Path) -> None:
    write_without_masks(tmp_path / "bare")
    text = text_of(tmp_path / "bare", "/queries/5")
    assert re.findall(r"<dt>([^<]*)</dt>", text) == ["image"] * 2
    assert "shows" not in text
    assert 'class="over"' not in text
    assert "Compared are the features I " in text
    text = text_of(tmp_path / "bare", "/identities")
    assert "This run has no masks (coparse.source is none" in text
    assert "worst first" not in text
    assert text.count("<td><a") == 3
    text = TestClient(create_app(tmp_path / "bare"), base_url="http://127.0.0.1").get("/changes").text
    assert "has no masks: its coparse.source is none; choose another revision" in text
    text = text_of(tmp_path / "bare", "/identities/3?at=r1&layer=masks&layer=labels&layer=head&layer=confidence-1")
    assert text.count("workspace:r1 has no masks: its coparse.source is none") == 3
    assert text.count("workspace:r1 has no parsing head: its coparse.source is none") == 1
    assert 'class="over"' not in text


def test_what_has_changed_since_the_evaluation_is_said(tmp_path: Path) -> None:
    write_checkout(tmp_path / "changed")
    assert "since this round was evaluated" not in text_of(tmp_path / "changed", "/queries/5")
    evaluate = YAML(typ="safe").load(tmp_path / "changed/params.yaml")["evaluate"]
    evaluate["visibility"] = "soft"
    lock = {"stages": {"evaluate@r3": {"params": {"params.yaml": {"evaluate": evaluate, "seed": 7}}}}}
    YAML().dump(lock, tmp_path / "changed/dvc.lock")
    text = text_of(tmp_path / "changed", "/queries/5")
    assert "Changed in params.yaml since this round was evaluated: evaluate.visibility." in text


def test_a_query_is_found_by_name_where_its_row_is_another(checkout: Path) -> None:
    """As from one revision to another: the form of the page names the image."""
    by_row = text_of(checkout, "/queries/5?at=r1")
    name = re.findall(r'name="image" value="([^"]*)"', by_row)[0]
    assert name.startswith("main/query/")
    assert text_of(checkout, f"/queries/0?at=r1&image={name}") == by_row
    client = TestClient(create_app(checkout), base_url="http://127.0.0.1")
    response = client.get("/queries/5?at=r1&image=main/query/zzz.jpg")
    assert (response.status_code, "zzz.jpg is not among the images of workspace" in response.text) == (404, True)
