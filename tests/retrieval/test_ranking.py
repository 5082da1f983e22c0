"""CMC, average precision and mINP: worked by hand, against other implementations, under relabelling."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hcga.retrieval import search
from hcga.retrieval.ranking import rank, top

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = ["plain", "junk", "missing", "ties", "all_tricky", "small_gallery"]
LABELS = ("q_pids", "g_pids", "q_camids", "g_camids")


def load(name):
    golden = np.load(GOLDEN / f"{name}.npz")
    return golden, [golden[label] for label in LABELS]


# --- other implementations ---


@pytest.mark.parametrize("case", CASES)
def test_equals_other_implementations_of_the_standard_scores(case):
    """Origin: fastreid_*, torchreid_*, hcga_eval_func_* in tests/golden, stable order, junk taken out."""
    golden, labels = load(f"rank_{case}")
    suffix = "_nojunk_stable" if (golden["g_pids"] == -1).any() else "_stable"
    result = rank(-golden["distmat"], *labels)
    valid = ~np.isnan(result.average_precision)
    assert result.invalid_queries == (~valid).sum()
    for origin in ("fastreid", "torchreid", "hcga_eval_func"):
        np.testing.assert_allclose(result.cmc, golden[f"{origin}_cmc{suffix}"], atol=1e-7)
        assert result.mean_ap == pytest.approx(float(golden[f"{origin}_mAP{suffix}"]), abs=1e-12)
    assert result.mean_inp == pytest.approx(float(golden[f"fastreid_mINP{suffix}"]), abs=1e-12)
    np.testing.assert_allclose(result.average_precision[valid], golden[f"fastreid_AP{suffix}"], atol=1e-12)
    np.testing.assert_allclose(result.inverse_negative_penalty[valid], golden[f"fastreid_INP{suffix}"], atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_equals_the_authors_trapezoidal_average_precision(case):
    """Origin: hcga_compute_mAP_* in tests/golden; NaN marks the same invalid queries."""
    golden, labels = load(f"rank_{case}")
    result = rank(-golden["distmat"], *labels, max_rank=golden["distmat"].shape[1])
    expected = golden["hcga_compute_mAP_AP_stable"]
    np.testing.assert_allclose(result.average_precision_trapezoid, expected, atol=1e-12)
    assert result.mean_ap_trapezoid == pytest.approx(float(golden["hcga_compute_mAP_mAP_stable"]), abs=1e-12)
    np.testing.assert_allclose(result.cmc, golden["hcga_compute_mAP_cmc_stable"], atol=1e-12)


@pytest.mark.parametrize("origin", ["hcga", "isp"])
@pytest.mark.parametrize("case", ["plain", "tricky", "none_visible"])
def test_equals_other_implementations_on_scores_of_parts(case, origin):
    """Origin: *_score_fastreid_* and *_arm_*_stable in tests/golden."""
    golden, (query_pids, gallery_pids, query_camids, gallery_camids) = load(f"arm_{case}")
    score = golden[f"{origin}_arm_score"]
    result = rank(score, query_pids, gallery_pids, query_camids, gallery_camids)
    np.testing.assert_allclose(result.cmc, golden[f"{origin}_score_fastreid_cmc"], atol=1e-7)
    assert result.mean_ap == pytest.approx(float(golden[f"{origin}_score_fastreid_mAP"]), abs=1e-12)
    assert result.mean_inp == pytest.approx(float(golden[f"{origin}_score_fastreid_mINP"]), abs=1e-12)
    # The arm code puts ties in decreasing gallery order, this package in increasing order (the stable sort of
    # the published protocol): so the gallery is turned round.
    flipped = rank(
        score[:, ::-1],
        query_pids,
        gallery_pids[::-1],
        query_camids,
        gallery_camids[::-1],
        max_rank=score.shape[1],
    )
    np.testing.assert_allclose(flipped.average_precision_trapezoid, golden[f"{origin}_arm_AP_stable"], atol=1e-12)
    np.testing.assert_allclose(flipped.cmc, golden[f"{origin}_arm_cmc_stable"], atol=1e-7)


# --- worked by hand ---


def hand_made():
    """Four queries, all of camera 1, and eight gallery images in decreasing similarity (0.9, 0.8, ...).

    image      0   1   2   3   4   5   6   7
    pid        5   0   5  -1   6   5   6   7
    camera     1   2   2   2   2   3   1   1
    pid 5: 0 ignored (same camera), 3 junk; left 1 2 4 5 6 7, hits 2 and 5 at ranks 2 and 4.
    pid 6: 6 ignored, 3 junk; left 0 1 2 4 5 7, hit 4 at rank 4.
    pid 7: 7 ignored: invalid. pid 8: absent: invalid.
    """
    similarity = np.tile(np.linspace(0.9, 0.2, 8, dtype=np.float32), (4, 1))
    return similarity, [5, 6, 7, 8], [5, 0, 5, -1, 6, 5, 6, 7], [1, 1, 1, 1], [1, 2, 2, 2, 2, 3, 1, 1]


def test_hand_made_scores():
    result = rank(*hand_made(), max_rank=5)
    nan = np.nan
    assert result.invalid_queries == 2
    # First hits at ranks 2 and 4 of two valid queries.
    np.testing.assert_allclose(result.cmc, [0, 0.5, 0.5, 1, 1])
    # pid 5: (1/2 + 2/4) / 2; pid 6: 1/4.
    np.testing.assert_allclose(result.average_precision, [0.5, 0.25, nan, nan])
    # pid 5: precision just before its hits 0/1 and 1/3: ((0 + 1/2)/2 + (1/3 + 1/2)/2) / 2;
    # pid 6: (0 + 1/4) / 2.
    np.testing.assert_allclose(result.average_precision_trapezoid, [1 / 3, 0.125, nan, nan])
    # 2 hits, the last at rank 4; 1 hit at rank 4.
    np.testing.assert_allclose(result.inverse_negative_penalty, [0.5, 0.25, nan, nan])
    assert (result.mean_ap, result.mean_inp) == (0.375, 0.375)
    assert result.mean_ap_trapezoid == pytest.approx((1 / 3 + 0.125) / 2)


def test_hand_made_top():
    result = top(*hand_made(), k=7)
    np.testing.assert_array_equal(
        result.rows,
        [
            [1, 2, 4, 5, 6, 7, -1],
            [0, 1, 2, 4, 5, 7, -1],
            [0, 1, 2, 4, 5, 6, -1],
            [0, 1, 2, 4, 5, 6, 7],
        ],
    )
    expected = np.zeros((4, 7), bool)
    expected[0, [1, 3]] = expected[1, 3] = True
    np.testing.assert_array_equal(result.hits, expected)
    values = np.where(result.rows < 0, np.nan, np.linspace(0.9, 0.2, 8)[result.rows])
    np.testing.assert_allclose(result.similarity, values, atol=1e-6)
    # A shorter list is the beginning of a longer one; k may exceed the gallery.
    np.testing.assert_array_equal(top(*hand_made(), k=3).rows, result.rows[:, :3])
    np.testing.assert_array_equal(top(*hand_made(), k=20).rows[3], [0, 1, 2, 4, 5, 6, 7] + [-1] * 13)


def test_rows_may_be_computed_when_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(search, "_BLOCK_ENTRIES", 3 * 61)
    similarity, *labels = random_case(9)
    asked = []

    class Rows:
        shape = similarity.shape

        def __getitem__(self, rows):
            asked.append(rows)
            return similarity[rows]

    found, expected = rank(Rows(), *labels), rank(similarity, *labels)
    np.testing.assert_array_equal(scores(found), scores(expected))
    np.testing.assert_array_equal(found.top.rows, expected.top.rows)
    assert len(asked) == 8, "each row once, never all"


def test_a_hit_at_the_first_place_scores_1():
    result = rank(np.array([[3.0, 2.0, 1.0]]), [1], [1, 1, 2], [0], [1, 1, 1])
    assert result.mean_ap == result.mean_ap_trapezoid == result.mean_inp == result.cmc[0] == 1


def test_cmc_is_as_long_as_max_rank_or_the_gallery_though_images_are_ignored():
    # 3 gallery images; the first is ignored, so the ranked list has 2: a miss, then the hit.
    result = rank(np.array([[3.0, 2.0, 1.0]]), [1], [1, 2, 1], [0], [0, 1, 1], max_rank=50)
    np.testing.assert_array_equal(result.cmc, [0, 1, 1])
    assert len(rank(*hand_made(), max_rank=2).cmc) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_keep_gallery_order(dtype):
    # Two levels, and a zero of either sign, which is the same value.
    similarity = np.array([[0.0, 1.0, -0.0, 1.0, 0.0, -1.0]], dtype)
    result = top(similarity, [9], [1] * 6, [0], [1] * 6, k=6)
    np.testing.assert_array_equal(result.rows, [[1, 3, 0, 2, 4, 5]])


# --- a naive version ---


def random_case(seed, levels=None):
    rng = np.random.default_rng(seed)
    similarity = rng.normal(size=(23, 61)).astype(np.float32)
    if levels:
        similarity = np.round(similarity * levels) / np.float32(levels)
    return (
        similarity,
        rng.integers(1, 9, 23),
        rng.integers(-1, 8, 61),
        rng.integers(0, 3, 23),
        rng.integers(0, 3, 61),
    )


def list_by_loops(similarity, query_pids, gallery_pids, query_camids, gallery_camids, i):
    """Gallery rows that query i ranks, most alike first."""
    kept = [
        j
        for j in range(len(gallery_pids))
        if gallery_pids[j] != -1 and not (gallery_pids[j] == query_pids[i] and gallery_camids[j] == query_camids[i])
    ]
    return sorted(kept, key=lambda j: (-float(similarity[i, j]), j))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("block_entries", [1, 200, 2**21])
def test_equals_loops_whatever_the_block_and_type(monkeypatch, dtype, block_entries):
    monkeypatch.setattr(search, "_BLOCK_ENTRIES", block_entries)  # blocks of 1, 3 and all queries
    similarity, *labels = random_case(3, levels=4)
    result, first = rank(similarity.astype(dtype), *labels), top(similarity.astype(dtype), *labels, k=8)
    invalid = 0
    for i in range(len(similarity)):
        rows = list_by_loops(similarity, *labels, i)
        ranks = [r for r, j in enumerate(rows, 1) if labels[1][j] == labels[0][i]]
        assert first.rows[i].tolist() == result.top.rows[i, :8].tolist() == rows[:8]
        assert first.hits[i].nonzero()[0].tolist() == [r - 1 for r in ranks if r <= 8]
        if not ranks:
            invalid += 1
            assert np.isnan(result.average_precision[i])
            continue
        assert result.average_precision[i] == pytest.approx(np.mean([n / r for n, r in enumerate(ranks, 1)]))
        assert result.inverse_negative_penalty[i] == pytest.approx(len(ranks) / ranks[-1])
    assert result.invalid_queries == invalid > 0  # pid 8 is in no gallery image


# --- what must not matter ---


def scores(result):
    return np.concatenate(
        [
            result.cmc,
            result.average_precision,
            result.average_precision_trapezoid,
            result.inverse_negative_penalty,
        ]
    )


def test_order_of_the_gallery_does_not_matter_without_ties():
    similarity, query_pids, gallery_pids, query_camids, gallery_camids = random_case(4)
    order = np.random.default_rng(5).permutation(len(gallery_pids))
    before = rank(similarity, query_pids, gallery_pids, query_camids, gallery_camids)
    after = rank(similarity[:, order], query_pids, gallery_pids[order], query_camids, gallery_camids[order])
    np.testing.assert_array_equal(scores(after), scores(before))


def test_names_of_identities_and_cameras_and_the_scale_do_not_matter():
    similarity, query_pids, gallery_pids, query_camids, gallery_camids = random_case(6)
    names = np.concatenate([[0], 1 + np.random.default_rng(7).permutation(1500), [-1]])  # 0 and -1 keep theirs
    before = rank(similarity, query_pids, gallery_pids, query_camids, gallery_camids)
    after = rank(
        similarity * 3 - 20,
        names[query_pids],
        names[gallery_pids],
        query_camids * 7 + 2,
        gallery_camids * 7 + 2,
    )
    np.testing.assert_array_equal(scores(after), scores(before))


def test_removing_junk_changes_nothing_and_a_distractor_in_front_costs():
    similarity, query_pids, gallery_pids, query_camids, gallery_camids = random_case(8)
    before = rank(similarity, query_pids, gallery_pids, query_camids, gallery_camids)
    kept = gallery_pids != -1
    without = rank(similarity[:, kept], query_pids, gallery_pids[kept], query_camids, gallery_camids[kept])
    np.testing.assert_array_equal(scores(without), scores(before))
    more = np.hstack([similarity, np.full((len(similarity), 1), 9, np.float32)])
    cameras = np.append(gallery_camids, 0)
    assert rank(more, query_pids, np.append(gallery_pids, -1), query_camids, cameras).mean_ap == before.mean_ap
    assert rank(more, query_pids, np.append(gallery_pids, 0), query_camids, cameras).mean_ap < before.mean_ap


# --- bad input ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: np.zeros(8)}, "similarity must have 2 dimensions, not 1"),
        ({0: np.full((4, 8), np.nan)}, "NaN in 32 of 32"),
        ({1: [5, 6, 7]}, r"query_pids has shape \(3,\).*asks for \(4,\)"),
        ({2: [5] * 9}, r"gallery_pids has shape \(9,\).*asks for \(8,\)"),
        ({3: [1] * 8}, r"query_camids has shape \(8,\).*asks for \(4,\)"),
        ({4: [1] * 4}, r"gallery_camids has shape \(4,\).*asks for \(8,\)"),
        ({1: [5, 6, 7, 0]}, "query pids must be positive.*smallest is 0"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = list(hand_made())
    for place, value in change.items():
        arguments[place] = value
    for function in (rank, top):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


def test_one_nan_is_refused():
    similarity, *labels = hand_made()
    similarity[2, 3] = np.nan
    with pytest.raises(ValueError, match="NaN in 1 of 32"):
        rank(similarity, *labels)


def test_lengths_below_1_are_refused():
    with pytest.raises(ValueError, match="max_rank must be at least 1, not 0"):
        rank(*hand_made(), max_rank=0)
    with pytest.raises(ValueError, match="k must be at least 1, not 0"):
        top(*hand_made(), k=0)


def test_nothing_to_measure_is_an_error_for_scores_only():
    similarity, query_pids, gallery_pids, query_camids, gallery_camids = hand_made()
    arguments = (similarity[2:], query_pids[2:], gallery_pids, query_camids[2:], gallery_camids)
    with pytest.raises(ValueError, match=r"none of the 2 queries .* 8 gallery images"):
        rank(*arguments)
    assert not top(*arguments).hits.any()
    with pytest.raises(ValueError, match=r"none of the 2 queries .* 0 gallery images"):
        rank(np.zeros((2, 0)), [1, 2], [], [1, 1], [])
    with pytest.raises(ValueError, match="none of the 0 queries"):
        rank(np.zeros((0, 2)), [], [1, 2], [], [1, 1])


def test_retrieval_needs_numpy_only():
    code = (
        "import sys, hcga.retrieval.ranking, hcga.retrieval.reranking, hcga.retrieval.similarity\n"
        "sys.exit(' '.join({'torch', 'pandas', 'scipy', 'zarr'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


# --- a gallery that is never there as a whole ---


class Sliced:
    """A matrix that gives its columns and notes how many are asked for."""

    def __init__(self, values, widths=None):
        self.values, self.shape, self.widths = values, values.shape, widths if widths is not None else []

    def __getitem__(self, rows):
        return self.values[rows]

    def columns(self, columns):
        self.widths.append(columns.stop - columns.start)
        return Sliced(self.values[:, columns], self.widths)


@pytest.mark.parametrize("width", [1, 7, 30, 60, 61, 100])
@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_columns_give_the_same_ranking(monkeypatch, seed, width):
    values, *labels = random_case(seed, levels=4)
    expected = rank(values, *labels, max_rank=61, listed=12)
    monkeypatch.setattr(search, "_BLOCK_COLUMNS", width)
    monkeypatch.setattr(search, "_BLOCK_ENTRIES", 5 * width)
    sliced = Sliced(values)
    found = rank(sliced, *labels, max_rank=61, listed=12)
    assert max(sliced.widths) == min(width, 61)
    for name in ("cmc", "average_precision", "average_precision_trapezoid", "inverse_negative_penalty"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("rows", "hits", "similarity"):
        np.testing.assert_array_equal(getattr(found.top, name), getattr(expected.top, name))


def test_blocks_without_a_hit_are_computed_once(monkeypatch):
    monkeypatch.setattr(search, "_BLOCK_COLUMNS", 10)
    gallery_pids = np.zeros(40, int)
    gallery_pids[33] = 5
    sliced = Sliced(np.random.default_rng(0).random((2, 40), np.float32))
    rank(sliced, [5, 5], gallery_pids, [1, 1], np.full(40, 2))
    assert len(sliced.widths) == 5  # the last one twice


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_blocks_of_columns_must_be_float32(monkeypatch, dtype):
    values, *labels = random_case(0, levels=4)
    assert rank(Sliced(values.astype(dtype)), *labels).mean_ap == rank(values, *labels).mean_ap  # one block: any type
    monkeypatch.setattr(search, "_BLOCK_COLUMNS", 30)
    with pytest.raises(ValueError, match=f"must be float32 to be ranked in blocks of columns, not {np.dtype(dtype)}"):
        rank(Sliced(values.astype(dtype)), *labels)
