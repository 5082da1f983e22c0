"""Search: exact, in blocks, and shown as picture and page."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from PIL import Image, ImageDraw
from trained import new_checkout, new_crops, new_model, new_weights

from hcga.errors import InputError
from hcga.retrieval import search as blocks
from hcga.terms import Seen
from hcga.using import ranked as pages
from hcga.using.building import build_gallery
from hcga.using.crops import find_crops
from hcga.using.drawing import colours_of, draw_ranked
from hcga.using.model import Model
from hcga.using.ranked import build_page, require_pictures, require_ranked, write_ranked
from hcga.using.search import Ranked, opened_gallery, search, tabulate
from hcga.using.store import open_gallery

weights = pytest.fixture(scope="module")(new_weights)
checkout = pytest.fixture(new_checkout)
model = pytest.fixture(new_model)
crops = pytest.fixture(new_crops)


def find(model: Model, queries: list[Path], gallery: Path, count: int = 10, **options: Path) -> list[Ranked]:
    with opened_gallery(gallery, model, options.get("pictures"), "error") as opened:
        asked = model.embed_files(queries)
        return search(model, [[file] for file in asked.files], asked.embedded, opened, count)


@pytest.fixture
def query(crops: Path) -> Path:
    """Give an image that is much like one of the gallery, outside it."""
    image = Image.open(crops / "cam1/3.png").resize((40, 70))
    image.save(crops.parent / "query.png")
    return crops.parent / "query.png"


@pytest.mark.parametrize("kind", ["folder", ".zarr", ".parquet"])
@pytest.mark.parametrize("width", [2, 2**14])
def test_the_list_is_that_of_all_similarities(
    model: Model, crops: Path, query: Path, kind: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_BLOCK_COLUMNS", width)
    gallery = crops
    if kind != "folder":
        gallery = crops.parent / f"g{kind}"
        build_gallery(model, find_crops([crops]), gallery, "error")
    (found,) = find(model, [query], gallery, 5)
    everything = find_crops([crops])
    alike = model.compare(model.embed_files([query]).embedded, model.embed_files(everything.files).embedded)
    order = np.argsort(-alike.similarity[0], kind="stable")[:5]
    assert [entry.name for entry in found.entries] == [everything.names[row] for row in order]
    assert [entry.rank for entry in found.entries] == [1, 2, 3, 4, 5]
    assert [entry.file for entry in found.entries] == [everything.files[row] for row in order]
    np.testing.assert_allclose([entry.similarity for entry in found.entries], alike.similarity[0, order], atol=1e-5)
    table = tabulate(model, found)
    for name, values in alike.features.items():
        np.testing.assert_allclose(table[name], values[0, order], atol=1e-4)
    assert found.entries[0].name == "cam1/3.png"
    assert not list(crops.parent.glob(".*"))


def test_a_query_does_not_find_itself(model: Model, crops: Path, query: Path) -> None:
    first, second = find(model, [crops / "cam1/0.png", query], crops)
    assert len(first.entries) == 6
    assert "cam1/0.png" not in {entry.name for entry in first.entries}
    assert (first.left_out, second.left_out) == (1, 0)
    assert len(second.entries) == 7


def test_nor_does_it_when_it_is_asked_for_twice(model: Model, crops: Path) -> None:
    lists = find(model, [crops / "cam1/0.png", crops / "cam1/1.png", crops / "cam1/0.png"], crops, 3)
    own = ["cam1/0.png", "cam1/1.png", "cam1/0.png"]
    assert [len(ranked.entries) for ranked in lists] == [3, 3, 3]
    assert not any(name in {entry.name for entry in ranked.entries} for name, ranked in zip(own, lists, strict=True))
    assert [e.name for e in lists[0].entries] == [e.name for e in lists[2].entries]


@pytest.mark.parametrize(
    ("name", "listed"), [("foreground", 1), ("parts", 1), ("likely", 1), ("guided", 1), ("peak", 1), ("image", 7)]
)
def test_what_is_no_number_is_refused(model: Model, crops: Path, query: Path, name: str, listed: int) -> None:
    store = crops.parent / "g.zarr"
    build_gallery(model, find_crops([crops]), store, "error")
    for value in (np.nan, -np.inf):
        damaged: Any = zarr.open_group(str(store), mode="r+")[name]
        damaged[5] = value
        with pytest.raises(InputError, match=rf"g.zarr/{name}: holds numbers that are not finite; make it anew with"):
            find(model, [query], store, listed)


def test_a_gallery_that_is_not_there_is_named(model: Model, crops: Path, query: Path) -> None:
    with pytest.raises(InputError, match=r"--gallery .*none: no such file or folder"):
        find(model, [query], crops.parent / "none")


def test_pictures_are_sought_where_one_says(model: Model, crops: Path, query: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    store = tmp_path / "sub/g.zarr"
    build_gallery(model, find_crops([crops]), store, "error")
    with pytest.raises(InputError, match=r"ranked.png: the store does not lie beside its pictures; say --pictures"):
        require_pictures(tmp_path / "ranked.png", open_gallery(store, model))
    lists = find(model, [query], store, pictures=crops)
    assert lists[0].entries[0].file == crops / lists[0].entries[0].name
    (crops / "cam1/3.png").unlink()
    with pytest.raises(InputError, match=r"cam1/3.png: no such file"):
        write_ranked(tmp_path / "ranked.png", model, lists)
    assert not [path for path in tmp_path.iterdir() if "ranked" in path.name]


def test_a_page_needs_no_other_file_and_obeys_no_name(model: Model, crops: Path, query: Path) -> None:
    hostile = crops / "cam1/<script>x.png"
    (crops / "cam1/3.png").rename(hostile)
    lists = find(model, [query], crops)
    page = build_page(model, lists)
    assert "<script>" not in page
    assert "cam1/&lt;script&gt;x.png" in page
    assert page.count("data:image/webp;base64,") == 8
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    shown = re.findall(r'class="score">(\d): ([\d.]+)<', page)
    assert shown == [(str(entry.rank), f"{entry.similarity:.3f}") for entry in lists[0].entries]
    values = [f"{term.cosine:.3f}" for entry in lists[0].entries for term in entry.terms if term.weight]
    assert re.findall(r"<dd>(-?\d\.\d+)\*?</dd>", page) == values


def test_a_picture_shows_query_and_gallery_in_order(model: Model, crops: Path, query: Path) -> None:
    lists = find(model, [query, crops / "cam1/0.png"], crops, 3)
    sheet = np.asarray(draw_ranked(model, lists)).astype(int)
    assert sheet.shape[1] >= 4 * 128
    one = np.asarray(draw_ranked(model, lists[:1])).astype(int)
    assert len(sheet) - len(one) == len(one) - 32  # a row more below the remark
    np.testing.assert_array_equal(sheet[: len(one), : one.shape[1]], one[:, : sheet.shape[1]])
    left = 8
    tile = sheet[56:248, left : left + 100]
    assert (tile != 255).any(2).mean() > 0.5, "the query stands at the left"


def test_a_picture_fills_the_squares_of_the_parts_that_an_image_shows(model: Model, crops: Path, query: Path) -> None:
    (found,) = find(model, [query], crops, 3)
    parts = list(colours_of(model))
    shows = [parts, parts[:1], []]
    seen = [[Seen(part, 1.0, False) for part in of] + [Seen(parts[2], 0.4, False)] * (len(of) < 3) for of in shows]
    entries = [entry._replace(seen=of) for entry, of in zip(found.entries, seen, strict=True)]
    sheet = draw_ranked(model, [found._replace(entries=entries)])
    for rank, of in enumerate(shows, 1):
        for line, (part, colour) in enumerate(colours_of(model).items()):
            corner = (24 + 136 * rank, 56 + 192 + 32 + 16 * line + 5)  # of the square, below the foreground's line
            assert sheet.getpixel(corner) == colour
            assert (sheet.getpixel((corner[0] + 4, corner[1] + 4)) == colour) == (part in of)


def test_a_picture_names_the_prior_of_its_probabilities(
    model: Model, crops: Path, query: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plain,) = find(model, [query], crops, 3)
    likely = plain._replace(entries=[entry._replace(probability=0.00123) for entry in plain.entries], prior=0.01)
    texts: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda _, place, text, *rest, **more: texts.append(text))
    draw_ranked(model, [plain])
    assert not [text for text in texts if "prior" in text]
    draw_ranked(model, [likely])
    assert [text for text in texts if text.endswith("p : probability of the same person, at a prior of 0.01")]
    assert len([text for text in texts if text.endswith(",  p 0.00123")]) == 3


def test_outputs_that_cannot_be_written_are_refused(crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "nowhere/a.png", "cam1"):
        with pytest.raises(InputError, match=r"give a name that ends in .png or .html in a folder that exists"):
            require_ranked(crops / name, 1, 1, 10)
    monkeypatch.setattr(pages, "MOST", 1)
    with pytest.raises(InputError, match=r"2 queries, of which 1 can be shown; name fewer"):
        require_ranked(crops / "a.png", 2, 2, 10)
    require_ranked(crops / "a.png", 1, 1, 10)


def test_a_picture_has_a_bearable_number_of_images(crops: Path) -> None:
    told = r"a.png: 2,020 images with --top 100, of which 2,000 can be shown; lower --top or name fewer queries"
    with pytest.raises(InputError, match=told):
        require_ranked(crops / "a.png", 20, 20, 100)
    with pytest.raises(InputError, match=r"3,010 images with --top 10, of which 2,000"):
        require_ranked(crops / "a.html", 3000, 1, 10)
    require_ranked(crops / "a.png", 20, 20, 99)


def test_names_beyond_ascii_come_back(model: Model, crops: Path) -> None:
    build_gallery(model, find_crops([crops / "cam2"]), crops / "g.zarr", "error")
    assert open_gallery(crops / "g.zarr", model).names[0] == "später/4.png"
