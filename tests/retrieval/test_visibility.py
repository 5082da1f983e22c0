import numpy as np
import pandas as pd
import pytest

from hcga.occluders import Occlusion
from hcga.params import Params
from hcga.retrieval.visibility import PartStatistics, visibility_figures, visible_parts

LIKELY = np.array([[0.5, 0.1], [0.2, 0], [0, 0], [0.3, 0.3], [0, 0.001]], np.float32)
GUIDED = np.array([[0.4, 0], [0, 0], [0.1, 0], [0.3, 0.2], [0, 0]], np.float32)
PEAK = np.array([[0.9, 0.5], [0.7, 0.1], [0.8, 0], [1, 1], [0.25, 0.6]], np.float32)
STATISTICS = PartStatistics(LIKELY, GUIDED, PEAK)
SAMPLES = pd.DataFrame({"pid": 1, "split": ["train", "query", "query", "gallery", "gallery"]})
COVERED = np.array([[1, 1], [1, 0], [0, 0], [0, 0], [1, 0]], bool)
NOTHING = Occlusion(np.zeros(5, bool), np.zeros(5, bool), pd.DataFrame())


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("any", [[1, 1], [1, 0], [0, 0], [1, 1], [0, 1]]),
        ("confident", (PEAK > 0.5).tolist()),
        ("share", [[1, 0], [1, 0], [0, 0], [1, 1], [0, 0]]),
        ("soft", PEAK.tolist()),
    ],
)
def test_rules(default_params: Params, rule: str, expected: list[list[float]]) -> None:
    params = default_params.evaluate.model_copy(
        update={"visibility": rule, "least_share": float(LIKELY[1, 0]), "least_confidence": 0.5}
    )
    visible = visible_parts(STATISTICS, params)
    assert visible.dtype == np.float32
    assert visible.tolist() == expected


def test_figures_by_split() -> None:
    visible = (LIKELY > 0).astype(np.float32)
    figures = visibility_figures(visible, GUIDED, COVERED, SAMPLES, NOTHING, 3)
    assert figures == {
        "visibility_query": {"part1": 50, "part2": 0, "mean": 25, "empty": 100},
        "visibility_gallery": {"part1": 50, "part2": 100, "mean": 75, "empty": pytest.approx(100 / 3)},
    }
    nothing = visibility_figures(np.zeros_like(GUIDED), GUIDED, COVERED, SAMPLES, NOTHING, 3)
    assert np.isnan(nothing["visibility_query"]["empty"])


def test_figures_of_occluded_and_whole_images() -> None:
    """Training images do not count, nor those of which nothing is known."""
    known, occluded = np.array([1, 1, 0, 1, 1], bool), np.array([1, 1, 0, 0, 1], bool)
    figures = visibility_figures(PEAK, GUIDED, COVERED, SAMPLES, Occlusion(known, occluded, pd.DataFrame()), 3)
    assert figures["visibility_occluded"] == pytest.approx({"part1": 47.5, "part2": 35, "mean": 41.25, "empty": 100})
    assert figures["visibility_whole"] == pytest.approx({"part1": 100, "part2": 100, "mean": 100, "empty": 0})
    covered = figures["visibility_covered"]
    assert covered.pop("part1") == pytest.approx((70 + 25) / 2), "not of the training image"
    assert list(covered) == ["part2"]
    assert np.isnan(covered["part2"])


def test_junk_and_distractors_do_not_count() -> None:
    samples = SAMPLES.assign(pid=[1, 1, 1, 0, -1])
    figures = visibility_figures(
        PEAK, GUIDED, COVERED, samples, Occlusion(~NOTHING.known, NOTHING.known, pd.DataFrame()), 3
    )
    assert set(figures) == {"visibility_query", "visibility_whole"}
    assert figures["visibility_whole"] == figures["visibility_query"]
