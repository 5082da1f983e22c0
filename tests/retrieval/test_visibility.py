import numpy as np
import pandas as pd
import pytest

from hcga.retrieval.visibility import visibility_figures, visible_parts

LIKELY = np.array([[0.5, 0.1], [0.2, 0], [0, 0], [0.3, 0.3], [0, 0.001]], np.float32)
GUIDED = np.array([[0.4, 0], [0, 0], [0.1, 0], [0.3, 0.2], [0, 0]], np.float32)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("any", [[1, 1], [1, 0], [0, 0], [1, 1], [0, 1]]), ("guided", [[1, 0], [0, 0], [1, 0], [1, 1], [0, 0]])],
)
def test_rules(rule: str, expected: list[list[int]]) -> None:
    assert visible_parts(LIKELY, GUIDED, rule).tolist() == np.array(expected, bool).tolist()


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(KeyError):
        visible_parts(LIKELY, GUIDED, "all")


def test_figures_by_split() -> None:
    samples = pd.DataFrame({"split": ["train", "query", "query", "gallery", "gallery"]})
    figures = visibility_figures(visible_parts(LIKELY, GUIDED, "any"), GUIDED, samples, 3)
    assert figures == {
        "visibility_query": {"part1": 50, "part2": 0, "empty": 100},
        "visibility_gallery": {"part1": 50, "part2": 100, "empty": pytest.approx(100 / 3)},
    }
    nothing = visibility_figures(np.zeros_like(GUIDED, bool), GUIDED, samples, 3)
    assert np.isnan(nothing["visibility_query"]["empty"])
