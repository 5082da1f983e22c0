"""Retrieval by hand: embeddings that differ by an angle."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from angles import PLAIN, ROWS, embeddings, samples

from hcga.errors import InputError
from hcga.retrieval import stored
from hcga.retrieval.ranking import rank
from hcga.retrieval.reranking import Distances, Reranked
from hcga.retrieval.stored import evaluate_retrieval
from hcga.stores import read_finite


def test_figures_by_hand(tmp_path: Path) -> None:
    found = evaluate_retrieval(embeddings(tmp_path), samples(), PLAIN)
    # Query 1 sees a distractor, 2, [1], [1]: hits at ranks 3 and 4. Query 2 sees 1 (at 2 degrees), a distractor, [2].
    precision = [(1 / 3 + 2 / 4) / 2, 1 / 3]
    assert found.figures == pytest.approx(
        {
            "rank1": 0,
            "rank5": 100,
            "rank10": 100,
            "mAP": 100 * np.mean(precision),
            "mAP_trapezoid": 100 * np.mean([((0 + 1 / 3) / 2 + (1 / 3 + 1 / 2) / 2) / 2, (0 + 1 / 3) / 2]),
            "mINP": 100 * np.mean([2 / 4, 1 / 3]),
            "queries": 2,
            "invalid_queries": 0,
        }
    )
    assert found.cmc.to_dict("list") == {"rank": [1, 2, 3, 4, 5, 6], "cmc": [0, 0, 100, 100, 100, 100]}


def test_rankings_list_what_was_found_without_what_is_ignored(tmp_path: Path) -> None:
    listed = evaluate_retrieval(embeddings(tmp_path), samples(), PLAIN).rankings
    assert list(listed.columns) == ["query", "rank", "gallery", "similarity", "hit"]
    first = listed[listed["query"] == "main/2.jpg"]
    assert first["gallery"].tolist() == ["main/5.jpg", "main/9.jpg", "main/7.jpg", "main/8.jpg"]
    assert first["hit"].tolist() == [False, False, True, True]
    assert first["rank"].tolist() == [1, 2, 3, 4]
    assert first["similarity"].to_numpy() == pytest.approx(np.cos(np.deg2rad([10, 20, 30, 50])), abs=2e-5)
    second = listed[listed["query"] == "main/3.jpg"]
    assert second["gallery"].tolist() == ["main/6.jpg", "main/5.jpg", "main/9.jpg", "main/7.jpg", "main/8.jpg"]


def test_damage_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not taken for what cannot be ranked."""

    def damaged(*_: object) -> None:
        raise InputError("e.zarr/image: damaged")

    monkeypatch.setattr(stored, "read_finite", damaged)
    with pytest.raises(InputError, match=r"^e\.zarr/image: damaged$"):
        evaluate_retrieval(embeddings(tmp_path), samples(), PLAIN)


@pytest.mark.parametrize("features", ["I", "F", "P", "F+P", "I+F", "I+F+P"])
def test_the_features_asked_for_decide(tmp_path: Path, features: str) -> None:
    """Turn one kind of feature round: only subsets without it keep their figures."""
    angles = np.deg2rad([-angle if pid == 1 else angle + 60 for _, pid, _, angle in ROWS]).astype(np.float32)
    other = np.stack([np.cos(angles), np.sin(angles)], 1)
    params = PLAIN.model_copy(update={"features": features})
    plain = evaluate_retrieval(embeddings(tmp_path), samples(), params).rankings["similarity"].to_numpy()
    for letter, changes in {
        "I": {"image": other},
        "F": {"foreground": other},
        "P": {"parts": np.stack([other, other], 1)},
    }.items():
        changed = evaluate_retrieval(embeddings(tmp_path, **changes), samples(), params).rankings["similarity"]
        assert np.allclose(changed, plain) == (letter not in features.split("+"))


def test_the_similarity_asked_for_decides(tmp_path: Path) -> None:
    likely = np.ones((len(ROWS), 2), np.float32)
    likely[7] = 0
    store = embeddings(tmp_path, likely=likely)
    found = {
        variant: evaluate_retrieval(
            store, samples(), PLAIN.model_copy(update={"features": "F+P", "similarity": variant})
        )
        for variant in ("paper", "authors")
    }
    similarity = {v: f.rankings.set_index(["query", "gallery"])["similarity"] for v, f in found.items()}
    cosine = np.cos(np.deg2rad(30))
    assert similarity["paper"]["main/2.jpg", "main/7.jpg"] == pytest.approx(cosine, abs=2e-5)  # foreground only
    assert similarity["authors"]["main/2.jpg", "main/7.jpg"] == pytest.approx((cosine + 1) / 2, abs=2e-5)
    cosine = np.cos(np.deg2rad(10))
    assert similarity["paper"]["main/2.jpg", "main/5.jpg"] == pytest.approx((cosine + cosine) / 3, abs=2e-5)
    assert similarity["authors"]["main/2.jpg", "main/5.jpg"] == pytest.approx(3 * (cosine + 1) / 2, abs=2e-5)


def test_the_visibility_rule_asked_for_decides(tmp_path: Path) -> None:
    likely, guided, peak = (np.ones((len(ROWS), 2), np.float32) for _ in range(3))
    likely[7] = 0.4, 0.6  # the first part has less than half of the cells
    guided[7] = 0  # most likely somewhere, but GAM leaves nothing
    peak[7] = 0.25
    store = embeddings(tmp_path, likely=likely, guided=guided, peak=peak)
    cosine = np.cos(np.deg2rad(30))
    expectations = {"any": 2 / 3, "confident": 1, "share": 1.5 / 2, "soft": (1 + 0.25) / (1 + 0.5)}
    for rule, expected in {rule: factor * cosine for rule, factor in expectations.items()}.items():
        params = PLAIN.model_copy(update={"features": "F+P", "visibility": rule})
        similarity = evaluate_retrieval(store, samples(), params).rankings.set_index(["query", "gallery"])["similarity"]
        assert similarity["main/2.jpg", "main/7.jpg"] == pytest.approx(expected, abs=2e-5)


def test_re_ranked_figures_stand_beside_the_plain_ones(tmp_path: Path) -> None:
    store = embeddings(tmp_path)
    plain = evaluate_retrieval(store, samples(), PLAIN).figures
    both = evaluate_retrieval(store, samples(), PLAIN.model_copy(update={"rerank": True})).figures
    assert plain == {name: both[name] for name in plain}
    assert set(both) - set(plain) == {
        f"reranked_{name}" for name in ("rank1", "rank5", "rank10", "mAP", "mAP_trapezoid", "mINP")
    }
    assert all(0 <= both[name] <= 100 for name in both if name.startswith("reranked"))


def test_multi_query_figures_stand_beside_the_plain_ones(tmp_path: Path) -> None:
    """A query at 0 degrees with an image of its person and camera at 60 in the gallery: together they stand at 30."""
    rows = [("train", 9, 1, 0), ("query", 1, 1, 0), ("query", 2, 2, 200)]
    rows += [("gallery", 1, 1, 60), ("gallery", 1, 2, 40), ("gallery", 2, 1, 5), ("gallery", 0, 1, 200)]
    store = embeddings(tmp_path, rows)
    plain = evaluate_retrieval(store, samples(rows), PLAIN).figures
    both = evaluate_retrieval(store, samples(rows), PLAIN.model_copy(update={"multi_query": True})).figures
    assert plain == {name: both[name] for name in plain}
    names = ("rank1", "rank5", "rank10", "mAP", "mAP_trapezoid", "mINP")
    assert set(both) - set(plain) == {f"multi_query_{name}" for name in names}
    # Query 1 finds 5 degrees before 40, pooled 40 before 5. Query 2 is alone, and finds the distractor and 60 first.
    assert (both["mAP"], both["multi_query_mAP"]) == pytest.approx((100 * (1 / 2 + 1 / 4) / 2, 100 * (1 + 1 / 4) / 2))


def test_decisions_are_of_the_pairs_that_ranking_looks_at(tmp_path: Path) -> None:
    found = evaluate_retrieval(embeddings(tmp_path), samples(), PLAIN)
    # Query 1 has the positives 30 and 50 degrees, the negatives 10 and 20; query 2 20, and 2, 10, 30, 50.
    assert (found.verification["positive_pairs"], found.verification["negative_pairs"]) == (3, 6)
    # Better than them, ties half: 30 than 50 and half of 30, 50 than half of 50, 20 than 30, 50 and half of 20.
    assert found.verification["auc"] == pytest.approx(100 * (1.5 + 0.5 + 2.5) / 18, abs=0.01)
    assert (found.open_set["lists"], found.open_set["enrolled_queries"]) == (10, 1)


def test_re_ranking_works_on_euclidean_distances_of_unit_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [("train", 9, 1, 0), *[("query", pid, 1, 20 * pid) for pid in range(1, 9)]]
    rows += [("gallery", pid, 2, 20 * pid + a) for pid in range(1, 9) for a in rng.uniform(-25, 25, 5)]
    params = PLAIN.model_copy(update={"rerank": True})
    figures = evaluate_retrieval(embeddings(tmp_path, rows), samples(rows), params).figures
    angles = np.deg2rad([angle for *_, angle in rows])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=-1)
    pids = np.array([pid for _, pid, *_ in rows])
    expected = rank(Reranked(distances[1:, 1:], 8)[:], pids[1:9], pids[9:], np.ones(8), np.full(40, 2))
    assert figures["reranked_mAP"] == pytest.approx(100 * expected.mean_ap, abs=1e-6)
    assert figures["reranked_mAP"] != pytest.approx(figures["mAP"], abs=0.1)


@pytest.mark.parametrize("features", ["I", "P", "F+P", "I+F+P"])
@pytest.mark.parametrize("similarity", ["paper", "authors"])
def test_in_re_ranking_an_image_is_nearest_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str, similarity: str
) -> None:
    """Eq. (10) of an image with itself depends on its visible parts; `Reranked` asks for 0 on the diagonal."""
    given: list[np.ndarray] = []

    def spy(distances: Distances, queries: int) -> Reranked:
        given.append(distances[:])
        return Reranked(distances, queries)

    monkeypatch.setattr(stored, "Reranked", spy)
    likely = np.random.default_rng(0).choice([0, 0.5], (len(ROWS), 2)).astype(np.float32)
    params = PLAIN.model_copy(update={"features": features, "similarity": similarity, "rerank": True})
    evaluate_retrieval(embeddings(tmp_path, likely=likely), samples(), params)
    (distances,) = given
    assert not np.diagonal(distances).any()


def test_queries_without_a_match_are_counted_and_enter_no_mean(tmp_path: Path) -> None:
    rows = [*ROWS[:3], ("query", 5, 1, 0), *ROWS[3:]]
    found = evaluate_retrieval(embeddings(tmp_path, rows), samples(rows), PLAIN).figures
    expected = evaluate_retrieval(embeddings(tmp_path), samples(), PLAIN).figures
    assert found == pytest.approx(expected | {"queries": 3, "invalid_queries": 1})


def test_without_any_match_there_is_one_clear_error(tmp_path: Path) -> None:
    rows = [("train", 9, 1, 0), ("query", 1, 1, 0), ("gallery", 1, 1, 0), ("gallery", 0, 2, 0)]
    with pytest.raises(InputError, match="the queries cannot be ranked: "):
        evaluate_retrieval(embeddings(tmp_path, rows), samples(rows), PLAIN)


def test_who_has_trained_is_not_tested(tmp_path: Path) -> None:
    rows = [*ROWS, ("gallery", 9, 3, 40)]
    with pytest.raises(InputError, match=r"1 identity trained and would be tested, such as 9 on main/10\.jpg: "):
        evaluate_retrieval(embeddings(tmp_path, rows), samples(rows), PLAIN)
    unnamed = [("train", 0, 2, 0), ("train", -1, 2, 0), *ROWS]  # distractors and junk are nobody
    evaluate_retrieval(embeddings(tmp_path, unnamed), samples(unnamed), PLAIN)


@pytest.mark.parametrize("features", ["F", "P", "F+P", "I+F", "I+F+P"])
def test_a_network_without_parsing_has_an_image_feature_only(tmp_path: Path, features: str) -> None:
    store = embeddings(tmp_path, parsing=False)
    with pytest.raises(InputError, match=r"evaluate\.features is .* trained without parsing; set it to I"):
        evaluate_retrieval(store, samples(), PLAIN.model_copy(update={"features": features}))
    evaluate_retrieval(store, samples(), PLAIN)


def test_the_gallery_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, params = embeddings(tmp_path), PLAIN.model_copy(update={"features": "F+P"})
    whole = evaluate_retrieval(store, samples(), params)
    read: list[int] = []
    names: set[str] = set()

    def note(source: zarr.Array[Any], rows: np.ndarray) -> np.ndarray:
        read.append(len(rows))
        names.add(source.basename)
        return read_finite(source, rows)

    for module in ("stored", "visibility"):
        monkeypatch.setattr(f"hcga.retrieval.{module}.read_finite", note)
    monkeypatch.setattr("hcga.retrieval.search._BLOCK_COLUMNS", 2)
    found = evaluate_retrieval(store, samples(), params)
    assert found.figures == whole.figures
    pd.testing.assert_frame_equal(found.rankings, whole.rankings)
    queries = int((samples()["split"] == "query").sum())
    assert max(read) <= max(queries, 2)
    assert names == {"foreground", "parts", "likely", "guided", "peak"}  # F+P: nothing looks at the image's
