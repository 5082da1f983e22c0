"""Verification of pairs: worked by hand, against scikit-learn, in blocks, under the protocol of ranking."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from hcga.retrieval import pairs, search
from hcga.retrieval.blocks import Block, Labels
from hcga.retrieval.pairs import LEVELS, PairCounts, verification_figures
from hcga.retrieval.ranking import rank
from hcga.retrieval.similarity import VARIANTS, Embeddings, Similarities


def random_case(seed, queries=40, images=300, identities=9):
    """Similarities that tell people apart a little; junk, distractors and pairs of one camera among them."""
    rng = np.random.default_rng(seed)
    query_pids, gallery_pids = rng.integers(1, identities, queries), rng.integers(-1, identities, images)
    query_camids, gallery_camids = rng.integers(1, 4, queries), rng.integers(1, 4, images)
    same = query_pids[:, None] == gallery_pids
    similarity = np.clip(rng.normal(np.where(same, 0.3, 0), 0.2), -1, 1).astype(np.float32)
    return similarity, Labels(query_pids, gallery_pids, query_camids, gallery_camids)


def judged_pairs(similarity, labels):
    """Similarity and truth of each pair that counts, one after another."""
    found = []
    for query, (pid, camid) in enumerate(zip(labels.query_pids, labels.query_camids, strict=True)):
        for image, (other, place) in enumerate(zip(labels.gallery_pids, labels.gallery_camids, strict=True)):
            if other != -1 and not (other == pid and place == camid):
                found.append((similarity[query, image], pid == other))
    values, truth = zip(*found, strict=True)
    return np.array(values), np.array(truth)


def count(similarity, labels, bounds=(-1.0, 1.0)):
    counts = PairCounts(labels, bounds)
    rank(similarity, *labels, watchers=[counts])
    return counts.positive, counts.negative


@pytest.mark.parametrize("width", [7, 300])
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_scikit_learns_of_all_pairs_that_count(monkeypatch, seed, width):
    monkeypatch.setattr(search, "_BLOCK_ENTRIES", 3 * width)  # blocks of 3 queries
    similarity, labels = random_case(seed)
    similarity = np.round(similarity * 50) / 50 + np.float32(1e-4)  # ties, and no value between two levels
    positive, negative = count(similarity, labels)
    figures = verification_figures(positive, negative)
    values, truth = judged_pairs(similarity, labels)
    assert (figures["positive_pairs"], figures["negative_pairs"]) == (truth.sum(), (~truth).sum())
    fpr, tpr, _ = roc_curve(truth, values, drop_intermediate=False)
    assert figures["auc"] == pytest.approx(100 * roc_auc_score(truth, values), abs=1e-9)
    for exponent in (1, 2, 3):
        assert figures[f"tpr_at_fpr_1e-{exponent}"] == pytest.approx(100 * tpr[fpr <= 10.0**-exponent].max(), abs=1e-9)
    grid = np.linspace(0, 1, 100_001)
    crossing = grid[np.argmin(np.abs(np.interp(grid, fpr, tpr) - (1 - grid)))]
    assert figures["eer"] == pytest.approx(100 * crossing, abs=0.01)


def test_levels_cost_little():
    similarity, labels = random_case(5)
    figures = verification_figures(*count(similarity, labels))
    values, truth = judged_pairs(similarity, labels)
    assert figures["auc"] == pytest.approx(100 * roc_auc_score(truth, values), abs=1e-3)


def test_hand_made_figures():
    """Positive pairs at levels 1, 3, 4; negative ones at 0, 0, 1, 2, 3 and 45 more at 0."""
    positive, negative = np.array([0, 1, 0, 1, 1]), np.array([47, 1, 1, 1, 0])
    figures = verification_figures(positive, negative)
    # above 50 negatives: of level 1: 47 and half a tie; of 3: 49 and half a tie; of 4: all.
    assert figures["auc"] == pytest.approx(100 * (47.5 + 49.5 + 50) / 150)
    # 5 of 50 may pass: the lowest threshold is level 1, where 3 pass and all positives do; at 1 % none may: too few.
    assert figures["tpr_at_fpr_1e-1"] == 100
    assert set(figures) == {"auc", "eer", "tpr_at_fpr_1e-1", "positive_pairs", "negative_pairs"}
    # From level 2 (fpr 2/50, 1 - tpr 1/3) to level 1 (3/50, 0): they are equal after (1/3 - 2/50) / (1/3 + 1/50) of it.
    assert figures["eer"] == pytest.approx(100 * (0.04 + 0.02 * (1 / 3 - 0.04) / (1 / 3 + 0.02)))


@pytest.mark.parametrize(
    ("negatives", "given"), [(49, []), (50, [1]), (499, [1]), (500, [1, 2]), (50_000, [1, 2, 3, 4])]
)
def test_a_rate_wants_negatives_enough(negatives, given):
    figures = verification_figures(np.array([0, 1]), np.array([negatives, 0]))
    assert [name for name in figures if name.startswith("tpr")] == [f"tpr_at_fpr_1e-{k}" for k in given]
    assert pairs.LEAST_PASSING == 5
    assert (figures["auc"], figures["eer"]) == (100, 0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("features", ["I", "P", "I+F+P"])
def test_no_similarity_is_out_of_bounds(variant, features):
    vectors = np.array([[1, 2, 2], [-1, -2, -2]], np.float32)
    people = Embeddings(vectors, vectors, np.stack([vectors] * 4, 1), np.ones((2, 4), np.float32))
    similarities = Similarities(people, people, features, variant)
    low, high = similarities.bounds
    values = similarities[:]
    assert (values.min() >= low - 1e-6) & (values.max() <= high + 1e-6)
    if variant == "authors":
        assert (values.min(), values.max()) == pytest.approx((low, high), abs=1e-6)
    labels = Labels(*map(np.array, ([1, 2], [1, 2], [1, 1], [2, 2])))
    positive, negative = count(similarities, labels, similarities.bounds)
    assert (positive.sum(), negative.sum()) == (2, 2)
    if variant == "authors":
        assert (positive[LEVELS - 1], negative[0]) == (2, 2)


def test_without_pairs_of_both_kinds_there_are_only_counts(caplog):
    none, some = np.zeros(4, np.int64), np.array([0, 2, 1, 0])
    assert verification_figures(some, none) == {"positive_pairs": 3, "negative_pairs": 0}
    assert caplog.messages == ["no figures of verification: 3 pairs of one person, 0 of two"]


def test_a_similarity_that_is_no_number_is_refused():
    labels = Labels(np.array([1]), np.array([1, 2]), np.array([1]), np.array([2, 2]))
    with pytest.raises(ValueError, match="NaN"):
        PairCounts(labels, (-1.0, 1.0))(Block(np.array([[0.5, np.nan]], np.float32), 0, slice(0, 2)))
