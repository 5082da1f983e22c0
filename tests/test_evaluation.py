import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from hcga import evaluation
from hcga.errors import InputError
from hcga.evaluation import evaluate_masks, evaluate_retrieval, evaluate_round, summarise, tidy
from hcga.masks import UNLABELLED
from hcga.occluders import BOX, Occlusion
from hcga.params import Evaluate
from hcga.retrieval.ranking import rank
from hcga.retrieval.reranking import Distances, rerank
from hcga.samples import COLUMNS
from hcga.stores import array, open_store, read_rows, write_store

PLAIN = Evaluate(features="I", similarity="paper", visibility="any", least_share=0.5, rerank=False)
NOBODY = np.zeros(10, bool)
UNKNOWN = Occlusion(NOBODY, NOBODY, pd.DataFrame(columns=["row", *BOX]))
# Angles of the image features in degrees: both queries stand at 0 and look for the smallest angle.
ROWS = [
    ("train", 9, 1, 0),
    ("train", 9, 2, 0),
    ("query", 1, 1, 0),
    ("query", 2, 1, 0),
    ("gallery", -1, 2, 1),  # junk
    ("gallery", 0, 2, 10),  # distractor
    ("gallery", 1, 1, 2),  # query 1's own camera
    ("gallery", 1, 2, 30),
    ("gallery", 1, 3, 50),
    ("gallery", 2, 2, 20),
]


def samples(rows: list[tuple[str, int, int, float]] = ROWS) -> pd.DataFrame:
    table = [
        (split, pid, camid, 1, number, f"{number}.jpg", "main") for number, (split, pid, camid, _) in enumerate(rows)
    ]
    return pd.DataFrame(table, columns=list(COLUMNS))


def embeddings(
    path: Path, rows: list[tuple[str, int, int, float]] = ROWS, parsing: bool = True, **changes: np.ndarray
) -> zarr.Group:
    """Write features with the angles of the rows; C = 3, two parts, maps of 4 x 2 cells."""
    angles = np.deg2rad([angle for *_, angle in rows])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    arrays = {
        "image": vectors,
        "foreground": vectors,
        "parts": np.stack([vectors, vectors], 1),
        "likely": np.ones((len(rows), 2), np.float32),
        "guided": np.ones((len(rows), 2), np.float32),
        "peak": np.ones((len(rows), 2), np.float32),
        "parsed": np.zeros((len(rows), 4, 2), np.uint8),
    }
    write_store(path / "embeddings.zarr", arrays | changes, epoch=6, parsing=parsing, part_classes=3)
    return open_store(path / "embeddings.zarr")


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
    expectations = {"any": 2 / 3, "guided": 1, "share": 1.5 / 2, "soft": (1 + 0.25) / (1 + 0.5)}
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
    again = rerank(distances[1:, 1:], 8)
    expected = rank(-again, pids[1:9], pids[9:], np.ones(8), np.full(40, 2))
    assert figures["reranked_mAP"] == pytest.approx(100 * expected.mean_ap, abs=1e-6)
    assert figures["reranked_mAP"] != pytest.approx(figures["mAP"], abs=0.1)


@pytest.mark.parametrize("features", ["I", "P", "F+P", "I+F+P"])
@pytest.mark.parametrize("similarity", ["paper", "authors"])
def test_in_re_ranking_an_image_is_nearest_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str, similarity: str
) -> None:
    """Eq. (10) of an image with itself depends on its visible parts; `rerank` asks for 0 on the diagonal."""
    given: list[np.ndarray] = []

    def spy(distances: Distances, queries: int) -> np.ndarray:
        given.append(distances[:])
        return rerank(distances, queries)

    monkeypatch.setattr(evaluation, "rerank", spy)
    likely = np.random.default_rng(0).choice([0, 0.5], (len(ROWS), 2)).astype(np.float32)
    params = Evaluate(features=features, similarity=similarity, visibility="any", least_share=0.5, rerank=True)
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


@pytest.mark.parametrize("features", ["F", "P", "F+P", "I+F", "I+F+P"])
def test_a_network_without_parsing_has_an_image_feature_only(tmp_path: Path, features: str) -> None:
    store = embeddings(tmp_path, parsing=False)
    with pytest.raises(InputError, match=r"evaluate\.features is .* trained without parsing; set it to I"):
        evaluate_retrieval(store, samples(), PLAIN.model_copy(update={"features": features}))
    evaluate_retrieval(store, samples(), PLAIN)


def masks_store(path: Path, masks: np.ndarray, truth: np.ndarray | None) -> tuple[zarr.Group, zarr.Group]:
    write_store(path / "masks.zarr", {"masks": masks, "labels": masks})
    write_store(path / "truth.zarr", {} if truth is None else {"truth": truth}, part_classes=3)
    return open_store(path / "masks.zarr"), open_store(path / "truth.zarr")


def test_mask_figures_by_hand(tmp_path: Path) -> None:
    masks = np.array([[[0, 1], [1, 2], [2, 2], [0, 0]], [[0, 0], [1, 0], [2, 0], [0, 0]]], np.uint8)
    truth = np.zeros((4, 16, 8), np.uint8)
    truth[0, :8, 4:] = 1
    truth[2, :4] = 1
    truth[3] = 2
    parsed = np.zeros((4, 4, 2), np.uint8)
    parsed[:2] = masks
    parsed[0, 0, 0] = 1
    parsed[2, :2] = 1
    parsed[3] = 1
    write_store(tmp_path / "e.zarr", {"parsed": parsed})
    _, truths = masks_store(tmp_path, masks, truth)
    table = pd.DataFrame({"pid": [9, 10], "images": [1, 1], "agreement_previous": [50.0, 75.0], "repaired": [0, 1]})
    parsed_array = array(open_store(tmp_path / "e.zarr"), "parsed")
    boxes = pd.DataFrame([(0, 0.5, 0, 1, 1), (1, 0, 0, 0.5, 0.5)], columns=["row", *BOX])  # 4 cells, 2 cells
    figures = evaluate_masks(masks, parsed_array, truths, table, Occlusion(NOBODY, NOBODY, boxes), 3)
    # Training rows. True part 1: cells (0, 1) and (1, 1) of image 0; masks there: 1 and 2.
    assert figures["masks"] == pytest.approx(
        {
            "foreground_share": 100 * 7 / 16,
            "agreement_previous": 62.5,
            "inside_occluders": 100 * 4 / 6,
            "images_without": 0,
            "images_repaired": 1,
            "iou_foreground": 100 * 2 / 7,
            "iou_guess": 100 * 2 / 16,
            "iou_part1": 100 * 1 / (3 + 2 - 1),
            "iou_part2": 0,
            "iou_parts": 12.5,
        }
    )
    # Test rows: 2 of 4 parsed cells are right for part 1 of image 2; image 3 is all part 2, parsed as part 1.
    assert figures["parsing_head"] == pytest.approx(
        {
            "agreement": 100 * 15 / 16,
            "test_iou_foreground": 100 * (2 + 8) / (4 + 8),
            "test_iou_part1": 100 * 2 / (4 + 8),
            "test_iou_part2": 0,
            "test_iou_parts": 100 * 2 / 12 / 2,
        }
    )
    five = evaluate_masks(masks, parsed_array, truths, table, UNKNOWN, 5)
    assert {name for name in five["masks"] if name.startswith("iou")} == {"iou_foreground", "iou_guess"}, (
        "not 5 classes"
    )


def test_agreement_with_the_round_before_is_weighed_by_images(tmp_path: Path) -> None:
    masks = np.zeros((4, 2, 2), np.uint8)
    table = pd.DataFrame({"pid": [1, 2], "images": [1, 3], "agreement_previous": [0.0, 100.0], "repaired": 0})
    _, truth = masks_store(tmp_path, masks, None)
    figures = evaluate_masks(masks, masks, truth, table, UNKNOWN, 4)
    counts = {"images_without": 0, "images_repaired": 0, "inside_occluders": np.nan}
    expected = {"foreground_share": 0, "agreement_previous": 75.0, **counts}
    assert figures["masks"] == pytest.approx(expected, nan_ok=True)
    assert figures["parsing_head"] == {"agreement": 100.0}


def test_unlabelled_images_are_counted_and_left_out_of_shares(tmp_path: Path) -> None:
    masks = np.zeros((4, 2, 2), np.uint8)
    masks[0], masks[1, 0] = UNLABELLED, 2
    masks[2, 0, 0] = UNLABELLED
    table = pd.DataFrame({"pid": [1, 2], "images": [1, 3], "agreement_previous": [np.nan, 80.0], "repaired": 0})
    _, truth = masks_store(tmp_path, masks, None)
    figures = evaluate_masks(masks, masks, truth, table, UNKNOWN, 4)["masks"]
    assert figures["foreground_share"] == pytest.approx(100 * 2 / 11)
    assert (figures["images_without"], figures["agreement_previous"]) == (1, 80.0)


def test_tidy_rounds_and_drops_what_is_not_defined() -> None:
    figures = {
        "epoch": 3,
        "a": {"x": np.float32(1 / 3), "y": float("nan"), "z": np.float64("nan")},
        "b": {"inner": {"w": 66.66666}},
        "c": np.float64(2),
    }
    tidied = tidy(figures)
    assert tidied == {"epoch": 3, "a": {"x": 0.3333}, "b": {"inner": {"w": 66.6667}}, "c": 2.0}
    assert json.loads(json.dumps(tidied, allow_nan=False)) == tidied


def round_figures(path: Path, parsing: bool, truth: np.ndarray | None, **table: Any) -> dict[str, Any]:
    masks, truths = masks_store(path, np.full((2, 4, 2), 1 if parsing else UNLABELLED, np.uint8), truth)
    pd.DataFrame({"pid": [9]} | table).to_csv(path / "table.csv", index=False)
    (path / "skipped.csv").write_text("dataset,path,problem\nmain,a.jpg,truncated\n")
    files = (path / "table.csv", path / "skipped.csv")
    return evaluate_round(embeddings(path, parsing=parsing), masks, truths, samples(), UNKNOWN, *files, PLAIN).figures


def test_a_round_rates_its_identities(tmp_path: Path) -> None:
    masks, truths = masks_store(tmp_path, np.full((2, 4, 2), 1, np.uint8), np.ones((len(ROWS), 16, 8), np.uint8))
    table = pd.DataFrame({"pid": [9], "images": [2], "agreement_previous": [80.0], "repaired": [0]})
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "skipped.csv").write_text("dataset,path,problem\n")
    files = (tmp_path / "table.csv", tmp_path / "skipped.csv")
    found = evaluate_round(embeddings(tmp_path, parsing=True), masks, truths, samples(), UNKNOWN, *files, PLAIN)
    (row,) = found.identities.to_dict("records")
    known = {"pid": 9, "images": 2, "agreement_previous": 80.0, "repaired": 0}
    assert row == {**known, "agreement_head": 0.0, "iou_foreground": 100.0}


def test_a_round_with_parsing_and_truth_has_all_figures(tmp_path: Path) -> None:
    truth = np.ones((len(ROWS), 16, 8), np.uint8)
    figures = round_figures(tmp_path, True, truth, images=[2], agreement_previous=[80.0], repaired=[0])
    assert list(figures) == [
        "epoch",
        "skipped_images",
        "retrieval",
        "masks",
        "parsing_head",
        "visibility_query",
        "visibility_gallery",
    ]
    assert figures["epoch"] == 6
    assert figures["masks"] == {  # part 2 is nowhere: no number for it, nor for the mean
        "foreground_share": 100,
        "agreement_previous": 80,
        "images_without": 0,
        "images_repaired": 0,
        "iou_foreground": 100,
        "iou_guess": 100,
        "iou_part1": 100,
    }
    assert figures["parsing_head"]["agreement"] == 0
    assert figures["visibility_query"] == {"part1": 100, "part2": 100, "mean": 100, "empty": 0}
    json.dumps(figures, allow_nan=False)


def test_the_first_round_has_nothing_to_agree_with(tmp_path: Path) -> None:
    figures = round_figures(tmp_path, True, None, images=[2], agreement_previous=[np.nan], repaired=[0])
    assert figures["masks"] == {"foreground_share": 100, "images_without": 0, "images_repaired": 0}


def test_a_log_has_a_line_a_round(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = np.ones((len(ROWS), 16, 8), np.uint8)
    with caplog.at_level(logging.INFO, "hcga"):
        figures = round_figures(tmp_path, True, truth, images=[2], agreement_previous=[80.0], repaired=[0])
    (line,) = caplog.messages
    assert figures["retrieval"]["rank1"] != figures["retrieval"]["mAP"]
    assert line == f"Rank-1 0.0 %, mAP {figures['retrieval']['mAP']:.1f} %, mask fg IoU 100.0 %"
    with_parts = {
        "retrieval": {"rank1": 1, "mAP": 2, "reranked_rank1": 3, "reranked_mAP": 4},
        "masks": {"iou_parts": 5},
    }
    assert summarise(with_parts) == (
        "Rank-1 1.0 %, mAP 2.0 %, re-ranked Rank-1 3.0 %, re-ranked mAP 4.0 %, mask part IoU 5.0 %"
    )


def test_a_round_without_parsing_has_retrieval_figures_only(tmp_path: Path) -> None:
    figures = round_figures(tmp_path, False, None)
    assert list(figures) == ["epoch", "skipped_images", "retrieval"]
    assert figures["skipped_images"] == 1


def test_the_gallery_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, params = embeddings(tmp_path), PLAIN.model_copy(update={"features": "F+P"})
    whole = evaluate_retrieval(store, samples(), params)
    read: list[int] = []
    names: set[str] = set()

    def note(source: zarr.Array[Any], rows: np.ndarray) -> np.ndarray:
        read.append(len(rows))
        names.add(source.basename)
        return read_rows(source, rows)

    for module in ("evaluation", "retrieval.visibility"):
        monkeypatch.setattr(f"hcga.{module}.read_rows", note)
    monkeypatch.setattr("hcga.retrieval.search._BLOCK_COLUMNS", 2)
    found = evaluate_retrieval(store, samples(), params)
    assert found.figures == whole.figures
    pd.testing.assert_frame_equal(found.rankings, whole.rankings)
    queries = int((samples()["split"] == "query").sum())
    assert max(read) <= max(queries, 2)
    assert names == {"foreground", "parts", "likely", "guided", "peak"}  # F+P: nothing looks at the image's
