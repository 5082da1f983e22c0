import threading

import pytest

from hcga.ahead import load_ahead


def test_results_come_with_their_keys_in_order() -> None:
    assert list(load_ahead([3, 1, 2], lambda key: 10 * key)) == [(3, 30), (1, 10), (2, 20)]
    assert list(load_ahead([], lambda key: key)) == []


def test_one_is_loaded_ahead_and_no_more() -> None:
    loaded, second = [], threading.Event()

    def load(key: int) -> int:
        loaded.append(key)
        if key == 1:
            second.set()
        return key

    given = load_ahead([0, 1, 2, 3], load)
    assert next(given) == (0, 0)
    assert second.wait(10), "the next is loaded while this one is used"
    assert loaded == [0, 1]
    given.close()


def test_an_error_comes_where_the_result_would() -> None:
    given = load_ahead([1, 0, 2], lambda key: 1 / key)
    assert next(given) == (1, 1.0)
    with pytest.raises(ZeroDivisionError):
        next(given)
