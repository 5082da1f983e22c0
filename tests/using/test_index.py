"""Galleries in fewer bits, and the index that says which of their images are worth an exact look."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from conftest import ROOT
from trained import new_checkout, new_crops, new_file, new_model, new_weights

from hcga.cli.main import main
from hcga.errors import InputError
from hcga.stores import array
from hcga.using import indexing
from hcga.using.building import build_gallery
from hcga.using.crops import find_crops
from hcga.using.embedded import VECTORS, Embedded, quantise
from hcga.using.index import Index, build_index, open_index, save_index
from hcga.using.indexing import drawn, measure_recall, measured_index, require_index_file
from hcga.using.model import Model
from hcga.using.search import rank_gallery
from hcga.using.store import Gallery, open_gallery, zarr_rows

IMAGES = 1500
faiss = pytest.importorskip("faiss")
weights = pytest.fixture(scope="module")(new_weights)
checkout = pytest.fixture(new_checkout)
model = pytest.fixture(new_model)
crops = pytest.fixture(new_crops)
file = pytest.fixture(new_file)


def some_people(images: int, seed: int) -> Embedded:
    """Give embeddings of people with five images each; most show most of their parts."""
    rng = np.random.default_rng(seed)
    person = np.arange(images) // 5
    whole, parts = (np.random.default_rng(7).standard_normal((images, *shape)) for shape in ((8,), (3, 8)))
    noisy = [(of[person] + 0.3 * rng.standard_normal(of.shape)).astype(np.float32) for of in (whole, whole, parts)]
    seen = (rng.random((images, 3)) < 0.8).astype(np.float32)
    return Embedded(*noisy, seen, seen, seen)


def write_gallery(path: Path, model: Model, embedded: Embedded, **options: Any) -> Gallery:
    names = [f"{row}.png" for row in range(len(embedded))]
    about = {"model": model.digest, "folder": None}
    with zarr_rows(path, about, len(names), names, model, **options) as write:
        write(names, embedded)
    return open_gallery(path, model)


@pytest.fixture
def gallery(model: Model, tmp_path: Path) -> Gallery:
    return write_gallery(tmp_path / "g.zarr", model, some_people(IMAGES, 0))


@pytest.mark.parametrize(("dtype", "off"), [("float32", 0), ("float16", 5e-4), ("int8", 5e-3)])
def test_fewer_bits_keep_directions(dtype: Any, off: float) -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 3, 64)).astype(np.float32) * 1e6
    vectors[0, 1] = 0
    kept = quantise(vectors, dtype)
    assert kept.dtype == dtype
    assert not kept[0, 1].any()
    lengths = np.linalg.norm(vectors, axis=-1) * np.linalg.norm(kept.astype(np.float32), axis=-1)
    cosine = (vectors * kept.astype(np.float32)).sum(-1)[lengths > 0] / lengths[lengths > 0]
    assert 1 - off <= cosine.min() + 1e-6
    assert dtype == "float32" or np.abs(kept.astype(float)).max(-1)[1:].min() == {"float16": 1, "int8": 127}[dtype]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_what_is_no_number_is_not_hidden(dtype: Any) -> None:
    with pytest.raises(InputError, match=rf"numbers that are not finite, and {dtype} would hide it"):
        quantise(np.float32([[1, np.nan]]), dtype)


@pytest.mark.parametrize(("dtype", "off"), [("float16", 1e-3), ("int8", 2e-2)])
def test_a_store_in_fewer_bits_is_searched_like_another(
    model: Model, crops: Path, tmp_path: Path, dtype: Any, off: float
) -> None:
    found = {}
    for kind in ("float32", dtype):
        build_gallery(model, find_crops([crops]), tmp_path / f"{kind}.zarr", "error", kind)
        gallery = open_gallery(tmp_path / f"{kind}.zarr", model)
        assert {str(array(gallery.store, name).dtype) for name in VECTORS} == {kind}
        assert {str(array(gallery.store, name).dtype) for name in ("likely", "guided", "peak")} == {"float32"}
        queries = model.embed_files(find_crops([crops]).files).embedded
        found[kind] = rank_gallery(queries, [[]] * 7, gallery, model.card.use.matching, 7)
    order = [np.argsort(top.rows, axis=1) for top in found.values()]
    values = [np.take_along_axis(top.similarity, rows, 1) for top, rows in zip(found.values(), order, strict=True)]
    np.testing.assert_allclose(*values, atol=off)
    with pytest.raises(InputError, match=r"t.parquet: a Parquet table has float32; give a name that ends in .zarr for"):
        build_gallery(model, find_crops([crops]), tmp_path / "t.parquet", "error", dtype)


def test_candidates_are_the_most_alike_and_compared_exactly(model: Model, gallery: Gallery) -> None:
    index, queries = build_index(gallery, model.card.use.matching), some_people(IMAGES, 1).take(slice(0, 40))
    matching = model.card.use.matching
    exact = rank_gallery(queries, [[]] * 40, gallery, matching, 5)
    candidates = index.candidates(queries, 60)
    assert candidates.shape == (40, 60)
    foreground = some_people(IMAGES, 0).foreground
    alike = (foreground / np.linalg.norm(foreground, axis=1, keepdims=True)) @ queries.foreground.T
    best = alike.argmax(0)
    assert (candidates[:, 0] == best).mean() > 0.9
    quick = rank_gallery(queries, [[]] * 40, gallery, matching, 5, candidates)
    for query in range(40):
        among = np.isin(exact.rows[query], candidates[query])
        kept = [row for row, there in zip(exact.rows[query], among, strict=True) if there]
        assert quick.rows[query][: len(kept)].tolist() == kept
        values = exact.similarity[query][among]
        np.testing.assert_allclose(quick.similarity[query][: len(kept)], values, atol=1e-6)


def test_all_candidates_are_an_exact_search(model: Model, gallery: Gallery) -> None:
    queries, matching = some_people(IMAGES, 0).take([3, 700]), model.card.use.matching
    exact, quick = (
        rank_gallery(queries, [[3], [700]], gallery, matching, 9, candidates)
        for candidates in (None, np.stack([np.random.default_rng(q).permutation(IMAGES) for q in (0, 1)]))
    )
    np.testing.assert_array_equal(quick.rows, exact.rows)
    assert 3 not in quick.rows[0]
    assert 700 not in quick.rows[1]


def test_too_few_candidates_end_a_list_early(model: Model, gallery: Gallery) -> None:
    queries, candidates = some_people(IMAGES, 0).take([0, 1]), np.array([[4, 9, -1, -1], [-1, -1, -1, -1]])
    found = rank_gallery(queries, [[], []], gallery, model.card.use.matching, 3, candidates)
    assert [sorted(rows) for rows in found.rows.tolist()] == [[-1, 4, 9], [-1, -1, -1]]
    assert np.isnan(found.similarity[found.rows < 0]).all()


def test_recall_is_the_share_of_the_exact_list_among_the_candidates(
    model: Model, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "DRAWN", 25)
    index = measured_index(gallery, model)
    recall = index.recall
    assert list(recall) == [30, 100, 300, 1000]
    assert sorted(recall.values()) == list(recall.values())
    assert recall[30] < recall[300]
    asked = drawn(IMAGES)
    assert len(set(asked)) == 25
    queries = some_people(IMAGES, 0).take(asked)
    exact = rank_gallery(queries, asked[:, None].tolist(), gallery, model.card.use.matching, 10).rows
    candidates = index.candidates(queries, 30)
    shared = [len(set(rows) & set(found)) for rows, found in zip(exact.tolist(), candidates.tolist(), strict=True)]
    assert recall[30] == pytest.approx(sum(shared) / 250)


def test_recall_may_be_measured_with_queries_of_ones_own(model: Model, crops: Path, tmp_path: Path) -> None:
    build_gallery(model, find_crops([crops]), tmp_path / "g.zarr", "error")
    gallery = open_gallery(tmp_path / "g.zarr", model)
    asked: list[list[list[int]]] = []

    def noting(index: Index, gallery: Gallery, queries: Embedded, own: list[list[int]]) -> dict[int, float]:
        asked.append(own)
        return measure_recall(index, gallery, queries, own)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "measure_recall", noting)
        index = measured_index(gallery, model, [crops / "cam1/2.png", crops / "cam1/0.png"])
    assert index.recall == {7: 1.0}
    assert [[gallery.names[row] for row in rows] for rows in asked[0]] == [["cam1/2.png"], ["cam1/0.png"]]


@pytest.mark.parametrize("images", [1, 3])
def test_a_gallery_of_few_images_has_an_index(model: Model, tmp_path: Path, images: int) -> None:
    gallery = write_gallery(tmp_path / "g.zarr", model, some_people(images, 0))
    index = measured_index(gallery, model)
    assert index.recall == {images: 1.0}
    found = index.candidates(some_people(images, 1), 5)[0]
    assert sorted(found) == [-1] * (5 - images) + list(range(images))


def with_matching(model: Model, **changes: Any) -> Model:
    use = model.card.use
    matching = use.matching.model_copy(update=changes)
    model.card = model.card.model_copy(update={"use": use.model_copy(update={"matching": matching})})
    return model


@pytest.mark.parametrize("features", ["I", "F+P"])
def test_an_index_comes_back_as_it_was(model: Model, gallery: Gallery, tmp_path: Path, features: Any) -> None:
    with_matching(model, features=features)
    made = build_index(gallery, model.card.use.matching)._replace(recall={30: 0.5, 100: 0.75}, queries=4)
    for path in (tmp_path / "a.zarr", tmp_path / "b.zarr"):
        save_index(made, model, path)
    read = open_index(tmp_path / "a.zarr", gallery, model)
    assert read[1:] == made[1:]
    queries = some_people(IMAGES, 2)
    np.testing.assert_array_equal(read.candidates(queries, 20), made.candidates(queries, 20))
    other = {"I": "foreground", "F+P": "image"}[features]
    changed = Embedded(**queries.arrays() | {other: -getattr(queries, other)})
    np.testing.assert_array_equal(read.candidates(changed, 20), made.candidates(queries, 20))
    both = [sorted((path / "codes").rglob("*")) for path in (tmp_path / "a.zarr", tmp_path / "b.zarr")]
    assert [file.read_bytes() for file in both[0] if file.is_file()] == [
        file.read_bytes() for file in both[1] if file.is_file()
    ]


@pytest.fixture
def index(model: Model, gallery: Gallery, tmp_path: Path) -> Path:
    save_index(build_index(gallery, model.card.use.matching)._replace(recall={30: 0.5}), model, tmp_path / "i.zarr")
    return tmp_path / "i.zarr"


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.create_array("codes", shape=(3, 8), dtype="uint8", overwrite=True),
        lambda store: store.create_array("codes", shape=(IMAGES, 8), dtype="float32", overwrite=True),
        lambda store: store.create_array("ranges", shape=(2, 7), dtype="float32", overwrite=True),
        lambda store: store.create_array("ranges", data=np.full((2, 8), np.float32("nan")), overwrite=True),
        lambda store: store.attrs.update({"matching": 5}),
        lambda store: store.attrs.update({"recall": {"many": 1}}),
        lambda store: store.attrs.update({"recall": {"30": "most"}}),
        lambda store: store.attrs.update({"queries": "mine"}),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    model: Model, gallery: Gallery, index: Path, change: Callable[[zarr.Group], object]
) -> None:
    change(zarr.open_group(str(index), mode="r+"))
    with pytest.raises(InputError, match=r"i.zarr"):
        open_index(index, gallery, model)


def test_an_index_of_other_images_is_refused(model: Model, gallery: Gallery, index: Path, tmp_path: Path) -> None:
    changed = some_people(IMAGES, 0)
    changed.foreground[IMAGES // 2] *= -1
    other = write_gallery(tmp_path / "other.zarr", model, changed)
    with pytest.raises(
        InputError, match=r"i.zarr: of another gallery than .*other.zarr, or of an earlier one; make it"
    ):
        open_index(index, other, model)
    for name, value in (("features", "I"), ("visibility", "soft"), ("similarity", "authors")):
        before = model.card
        with pytest.raises(
            InputError, match=r"i.zarr: made for embeddings that are compared otherwise than by the model"
        ):
            open_index(index, gallery, with_matching(model, **{name: value}))
        model.card = before
    model.digest = "0" * 64
    with pytest.raises(
        InputError, match=r"i.zarr: made by model .* give the other model, or make it anew with `hcga index`"
    ):
        open_index(index, gallery, model)


def test_a_store_that_is_written_again_meanwhile_is_not_taken_for_the_indexed_one(model: Model, tmp_path: Path) -> None:
    gallery = write_gallery(tmp_path / "g.zarr", model, some_people(IMAGES, 0))
    index = build_index(gallery, model.card.use.matching)
    other = write_gallery(tmp_path / "g.zarr", model, some_people(IMAGES, 5))
    save_index(index, model, tmp_path / "i.zarr")
    with pytest.raises(InputError, match=r"i.zarr: of another gallery"):
        open_index(tmp_path / "i.zarr", other, model)


def test_what_is_no_index_is_not_written_over(model: Model, crops: Path, index: Path, tmp_path: Path) -> None:
    (tmp_path / "other.zarr").mkdir()
    gallery = tmp_path / "g.zarr"
    require_index_file(gallery, index)
    require_index_file(gallery, tmp_path / "new.zarr")
    for store, target, told in (
        ("g.zarr", "g.zarr", "lies in the store that is to be indexed"),
        ("g.zarr", "g.zarr/i.zarr", "lies in the store that is to be indexed; give a name beside it"),
        ("g.zarr", "none/i.zarr", "give a name that ends in .zarr"),
        ("g.zarr", "i.png", "give a name that ends in .zarr"),
        ("g.zarr", "other.zarr", "is there and is no index"),
        ("i.zarr", "g.zarr", "is there and is no index"),
        ("g.parquet", "i.zarr", "an index is of a .zarr store; make one with `hcga embed`"),
    ):
        with pytest.raises(InputError, match=rf"{target if store != 'g.parquet' else store}: {told}"):
            require_index_file(tmp_path / store, tmp_path / target)
    with pytest.raises(InputError, match=r"i.zarr: is there and is no store of embeddings"):
        build_gallery(model, find_crops([crops]), index, "error")


def test_what_is_taken_for_another_kind_of_store_is_told_apart(
    model: Model, gallery: Gallery, index: Path, tmp_path: Path
) -> None:
    for path, opened in ((index, open_gallery), (tmp_path / "none.zarr", open_gallery)):
        with pytest.raises(InputError, match=rf"{path}.*make it anew with `hcga embed`") as told:
            opened(path, model)
        assert "dvc" not in str(told.value)
    for path in (tmp_path / "g.zarr", tmp_path / "none.zarr"):
        with pytest.raises(InputError, match=rf"{path}.*") as told:
            open_index(path, gallery, model)
        assert "make it anew with `hcga index`" in str(told.value) or "no attribute" in str(told.value)
        assert "checkout" not in str(told.value)


def test_without_faiss_it_says_what_to_do(model: Model, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(InputError, match=r"an index needs faiss; pip install -e '.\[faiss\]', or search without"):
        build_index(gallery, model.card.use.matching)


def test_the_commands(model: Model, file: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*words: object) -> Any:
        return CliRunner().invoke(main, [*map(str, words), "--model", str(file)])

    store, index, query = tmp_path / "g.zarr", tmp_path / "i.zarr", crops / "cam1/3.png"
    assert call("embed", crops, "-o", store, "--dtype", "int8").exit_code == 0
    words = ("search", query, "--gallery", store, "--csv")
    for queries, asked in (([], "images of the gallery"), (["--queries", crops / "cam2"], "3 queries of your own")):
        made = call("index", store, "-o", index, *queries)
        assert made.exit_code == 0, made.output
        assert made.stdout.splitlines() == [str(index), "candidates  recall@10", "         7    100.0 %"]
        exact, quick = call(*words), call(*words, "--index", index)
        assert quick.stdout == exact.stdout
        assert quick.stderr.splitlines()[-1] == (
            "7 candidates of 7 images are compared with each query; recall@10 100.0 % with 7 candidates, measured with "
            + asked
        )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(store, elsewhere / "g.zarr")
    made = call("index", elsewhere / "g.zarr", "-o", index, "--pictures", tmp_path / "none")
    assert (made.exit_code, made.stderr) == (
        1,
        f"Error: --pictures {tmp_path}/none: no such folder; name the one that was embedded\n",
    )
    own: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(indexing, "measure_recall", lambda _, __, ___, rows: own.append(rows) or {})
        for pictures in ([], ["--pictures", crops]):
            assert call("index", elsewhere / "g.zarr", "-o", index, "--queries", query, *pictures).exit_code == 0
    assert own == [[[]], [[3]]], "only where one says which folder it was is the query known to be in the gallery"
    assert call("index", store, "-o", index).exit_code == 0
    few = call(*words, "--index", index, "--candidates", 1, "--top", 3)
    assert len(few.stdout.splitlines()) == 1 + 3, "the query itself is none of the candidates"
    assert few.stderr.splitlines()[-1] == "3 candidates of 7 images are compared with each query"
    for refused, told in (
        (
            ("--gallery", crops, "--index", index),
            f"--gallery {crops}: an index is of a .zarr store; make one with `hcga",
        ),
        (("--gallery", store, "--candidates", 9), "--candidates: only an index chooses some; name one with --index"),
        (("--gallery", store, "--index", tmp_path / "none.zarr"), f"{tmp_path}/none.zarr: no readable store"),
    ):
        done = call("search", query, *refused)
        assert done.exit_code == 1
        assert done.stderr.splitlines()[-1].startswith(f"Error: {told}")


def test_the_example_of_the_documents_is_a_search(
    model: Model, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build_gallery(model, find_crops([crops]), Path("crops.zarr"), "error")
    gallery = open_gallery(Path("crops.zarr"), model)
    save_index(measured_index(gallery, model), model, Path("crops.index.zarr"))
    page = (ROOT / "docs/using.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(from pathlib import Path\n.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"model": model, "people": model.embed_files(find_crops([crops]).files).embedded}
    exec(example, names)
    assert [of_query[0] for of_query in names["names"]] == find_crops([crops]).names
