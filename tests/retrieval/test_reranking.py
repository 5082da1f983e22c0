"""k-reciprocal re-ranking: against other implementations, worked by hand, under permutation."""

from pathlib import Path

import numpy as np
import pytest

from hcga.retrieval import reranking, search
from hcga.retrieval.ranking import rank
from hcga.retrieval.reranking import Distances, Reranked
from hcga.retrieval.similarity import Embeddings, Similarities

GOLDEN = Path(__file__).parent.parent / "golden"


def rerank(*given, **settings):
    """All re-ranked distances."""
    return -Reranked(*given, **settings)[:]


def load(case):
    golden = np.load(GOLDEN / f"rerank_{case}.npz")
    across = golden["q_g_dist"]
    return golden, (np.block([[golden["q_q_dist"], across], [across.T, golden["g_g_dist"]]]), len(across))


def distances(points, queries):
    """Plain distances of points (N, D), the first of which are the queries, as `rerank` takes them."""
    return np.linalg.norm(points[:, None] - points, axis=-1), queries


@pytest.mark.parametrize("case", ["a", "b", "c"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("torchreid_rerank", {}),
        ("torchreid_rerank", {"k1": 20, "k2": 6, "lambda_value": 0.3}),
        ("torchreid_rerank_k2_1", {"k2": 1}),
        ("torchreid_rerank_k10_3_05", {"k1": 10, "k2": 3, "lambda_value": 0.5}),
    ],
)
def test_equals_other_implementations(case, name, settings):
    """Origin: torchreid_rerank* in tests/golden (fastreid's is bitwise the same)."""
    golden, given = load(case)
    result = rerank(*given, **settings)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, golden[name], atol=1e-5)


def test_hand_made_line():
    """A query at 0, gallery at 1, 3 and 7 on a line; k1 = 1, k2 = 1, lambda = 0.

    Two nearest (itself first): query {q, 1}, 1 {1, q}, 3 {3, 1}, 7 {7, 3}. Reciprocal: q and 1 have each
    other; 3 and 7 only themselves. With round(1/2) = 0 the narrow sets are the nodes themselves: they add
    nothing. Squared distances over the row's largest: q to 1 is 1/49, 1 to q is 1/36. Encodings
    (e = exp(-1/49), f = exp(-1/36)): q = (1, e) / (1 + e) and 1 = (f, 1) / (1 + f) on nodes (q, 1).
    Sum of minima m = f / (1 + f) + e / (1 + e), as f < e < 1; distance 1 - m / (2 - m).
    The others share no node: 1.
    """
    e, f = np.exp(-1 / 49), np.exp(-1 / 36)
    m = f / (1 + f) + e / (1 + e)
    result = rerank(*distances(np.array([[0.0], [1.0], [3.0], [7.0]]), 1), k1=1, k2=1, lambda_value=0)
    np.testing.assert_allclose(result, [[1 - m / (2 - m), 1, 1]], atol=1e-6)


def test_hand_made_query_expansion():
    """The same line, k2 = 2: each encoding is the mean of those of its two nearest.

    With the encodings q = (a, b, 0, 0), 1 = (c, d, 0, 0), 3 = (0, 0, 1, 0), 7 = (0, 0, 0, 1) on nodes
    (q, 1, 3, 7): q and 1 both become (q + 1) / 2, so their distance is 0. 3 becomes the mean of 3 and 1,
    ((c, d) / 2, 1/2, 0); 7 the mean of 7 and 3, which shares nothing with q. q and 3 share the minima of
    ((a + c) / 2, (b + d) / 2) and (c / 2, d / 2), which are the latter: m = (c + d) / 2 = 1/2, distance 2/3.
    """
    result = rerank(*distances(np.array([[0.0], [1.0], [3.0], [7.0]]), 1), k1=1, k2=2, lambda_value=0)
    np.testing.assert_allclose(result, [[0, 2 / 3, 1]], atol=1e-6)


def test_lambda_mixes_linearly_and_1_is_the_squared_distance_over_the_rows_largest():
    _, given = load("c")
    low, half, high = (rerank(*given, lambda_value=value) for value in (0, 0.5, 1))
    every, queries = given
    largest = every[:queries].max(axis=1, keepdims=True)
    np.testing.assert_allclose(high, (every[:queries, queries:] / largest) ** 2, atol=1e-6)
    np.testing.assert_allclose(half, (low + high) / 2, atol=1e-6)
    assert low.min() >= -1e-6
    assert low.max() <= 1 + 1e-6


def test_order_and_scale_do_not_matter():
    _, (every, queries) = load("a")
    rng = np.random.default_rng(0)
    q, g = rng.permutation(queries), rng.permutation(len(every) - queries)
    order = np.append(q, queries + g)
    before = rerank(every, queries)
    np.testing.assert_allclose(rerank(every[np.ix_(order, order)] * 4, queries), before[np.ix_(q, g)], atol=1e-6)


@pytest.mark.parametrize("entries", [1, 700])
def test_blocks_change_nothing(entries, monkeypatch):
    _, given = load("a")
    before = rerank(*given)
    monkeypatch.setattr(reranking, "_BLOCK_ENTRIES", entries)
    np.testing.assert_array_equal(rerank(*given), before)


@pytest.mark.parametrize("entries", [1, 700, 2**22])
def test_ranking_asks_for_each_row_once(entries, monkeypatch):
    """And has the figures of all rows at once, down to the last bit."""
    asked = []

    class Counted(Reranked):
        def __getitem__(self, rows):
            asked.extend(range(*rows.indices(self.shape[0])))
            return super().__getitem__(rows)

    _, given = load("a")
    reranked = Counted(*given)
    queries, images = reranked.shape
    rng = np.random.default_rng(0)
    who = [rng.integers(1, 5, count) for count in (queries, images)] + [np.ones(queries, int), np.full(images, 2)]
    whole = rank(reranked[:], *who)
    asked.clear()
    monkeypatch.setattr(search, "_BLOCK_ENTRIES", entries)
    found = rank(reranked, *who)
    assert asked == list(range(queries))
    np.testing.assert_array_equal(found.average_precision, whole.average_precision)
    np.testing.assert_array_equal(found.top.similarity, whole.top.similarity)


def test_distances_are_similarities_turned_round():
    values = np.float32([[0.9, 0.2, 0.5], [0.2, 1.0, 0.1], [0.5, 0.1, 0.7]])
    turned = Distances(values)
    assert turned.shape == (3, 3)
    expected = np.sqrt(np.float32([[0, 0.8, 0.5], [0.8, 0, 0.9], [0.5, 0.9, 0]]))
    np.testing.assert_allclose(turned[:], expected, atol=1e-7)
    np.testing.assert_allclose(turned[1:], expected[1:], atol=1e-7)


def test_clusters_come_closer():
    """A query at the edge of its cluster is nearer to a stranger than to a friend; neighbours mend it."""
    rng = np.random.default_rng(1)
    own, other = rng.normal((0, 0), 0.3, (12, 2)), rng.normal((4, 0), 0.3, (12, 2))
    own[0], other[0] = (-0.9, 0), (2.6, 0)
    points = np.concatenate([[[0.9, 0]], own, other])
    given = distances(points, 1)
    assert given[0][0, 13] < given[0][0, 1]  # by distance the stranger wins
    result = rerank(*given, k1=8, k2=3)
    assert result[0, 12] > result[0, :12].max()


def test_few_or_equal_images_give_finite_distances():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert np.isfinite(rerank(*distances(points, 1), k1=20, k2=6)).all()  # k1 above the number of images
    assert np.isfinite(rerank(*distances(np.ones((9, 2)), 2), k1=2, k2=2)).all()  # all distances 0
    assert rerank(np.array([[0.0, 1.0], [1.0, 0.0]]), 1).shape == (1, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k1": 0}, "at least 1, not 0 and 6"),
        ({"k2": 0}, "at least 1, not 20 and 0"),
        ({"lambda_value": 1.5}, r"\[0, 1\], not 1.5"),
        ({"lambda_value": -0.1}, r"\[0, 1\], not -0.1"),
        ({"lambda_value": float("nan")}, r"\[0, 1\], not nan"),
        ({"distances": np.zeros((3, 2))}, r"square matrix, not \(3, 2\)"),
        ({"distances": np.zeros(3)}, r"square matrix, not \(3,\)"),
        ({"queries": 0}, "of 5 images at least one must be a query and one in the gallery, not 0 queries"),
        ({"queries": 5}, "not 5 queries"),
        ({"distances": np.full((5, 5), -1.0)}, "finite and from 0 on, but span -1.0 to -1.0"),
        ({"distances": np.full((5, 5), np.nan)}, "span nan"),
        ({"distances": np.full((5, 5), np.inf)}, "to inf"),
    ],
)
def test_bad_arguments_are_refused(settings, message):
    good = {"distances": np.ones((5, 5)), "queries": 2}
    with pytest.raises(ValueError, match=message):
        rerank(**(good | settings))


def test_equal_images_are_at_distance_0_however_many_rows_are_asked_for():
    """Products of matrices round otherwise for another number of rows: some may be more alike than the highest."""

    class Rows:
        shape = (4, 4)

        def __getitem__(self, rows):
            values = np.full((4, 4), 0.625, np.float32)
            few = len(range(*rows.indices(4))) < 4
            return np.nextafter(values, np.float32(2))[rows] if few else values[rows]

    turned = Distances(Rows())
    for count in range(1, 5):
        np.testing.assert_array_equal(turned[0:count], 0)


@pytest.mark.parametrize("seed", range(40))
def test_duplicates_can_be_reranked(seed):
    rng = np.random.default_rng(seed)
    vectors = np.tile(rng.normal(size=(28, 4, 24)).astype(np.float32), (2, 1, 1))
    everyone = Embeddings(vectors[:, 0], vectors[:, 0], vectors[:, 1:], np.ones((56, 3), np.float32))
    assert np.isfinite(rerank(Distances(Similarities(everyone, everyone, "F+P")), 17)).all()
