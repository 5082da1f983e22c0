"""Watch lists: worked by hand, against a plain loop, in blocks."""

import numpy as np
import pytest
from test_pairs import random_case

from hcga.retrieval import open_set, search
from hcga.retrieval.blocks import Labels
from hcga.retrieval.open_set import LISTS, WatchLists, open_set_figures
from hcga.retrieval.ranking import rank


def look(similarity, labels):
    lists = WatchLists(labels)
    rank(similarity, *labels, watchers=[lists])
    return lists


def rates_by_loops(similarity, labels, people, exponent):
    """Detection and identification rate of one watch list of people, by its definition."""
    known, alarms = [], []
    for query, (pid, camid) in enumerate(zip(labels.query_pids, labels.query_camids, strict=True)):
        own = (labels.gallery_pids == pid) & (labels.gallery_camids != camid)
        if not own.any():
            continue
        asked = set(labels.query_pids[(labels.gallery_pids == labels.query_pids[:, None]).any(1)])
        strangers = [other for other in asked if other not in people]
        gallery = (labels.gallery_pids != pid) & (labels.gallery_pids != -1) & ~np.isin(labels.gallery_pids, strangers)
        other = similarity[query, gallery].max(initial=-np.inf)
        if pid in people:
            known.append((similarity[query, own].max(), other))
        else:
            alarms.append(other)
    candidates = np.concatenate([[-np.inf], np.sort([value for pair in known for value in pair] + alarms)])
    for threshold in candidates:  # the lowest at which few enough strangers are above it
        if np.sum(np.array(alarms) > threshold) <= len(alarms) / 10**exponent:
            break
    if exponent == 0:
        threshold = -np.inf
    return 100 * np.mean([own > other and own > threshold for own, other in known])


@pytest.mark.parametrize("width", [7, 300])
@pytest.mark.parametrize("seed", range(2))
def test_rates_are_those_of_a_plain_loop(monkeypatch, seed, width):
    monkeypatch.setattr(search, "_BLOCK_ENTRIES", 3 * width)
    monkeypatch.setattr(open_set, "LEAST_ALARMS", 1)
    similarity, labels = random_case(seed)
    lists = look(similarity, labels)
    figures = open_set_figures(lists)
    for exponent, name in ((0, "rank1"), (1, "dir_at_far_1e-1")):
        rates = [
            rates_by_loops(similarity, labels, set(labels.query_pids[enrolled]), exponent)
            for enrolled in lists.enrolled
        ]
        assert figures[name] == pytest.approx(np.mean(rates))
        assert figures[f"{name}_std"] == pytest.approx(np.std(rates, ddof=1))
    assert 0 < figures["dir_at_far_1e-1"] < figures["rank1"] < 100, "the test needs people who are told apart a little"
    assert "dir_at_far_1e-2" not in figures


def test_half_of_the_people_are_enrolled_the_same_for_every_model():
    similarity, labels = random_case(0)
    lists, again = look(similarity, labels), look(-similarity, labels)
    np.testing.assert_array_equal(lists.enrolled, again.enrolled)
    assert len(np.unique(lists.enrolled, axis=0)) == LISTS
    for enrolled in lists.enrolled:
        on, off = (set(labels.query_pids[rows]) for rows in (enrolled, ~enrolled))
        assert not on & off
        assert len(on) == len(on | off) // 2


def four_people(*values):
    """Four queries at camera 1; a gallery image of each and a distractor at camera 2."""
    labels = Labels(*map(np.array, ([1, 2, 3, 4], [0, 1, 2, 3, 4], [1] * 4, [2] * 5)))
    return np.array(values, np.float32), labels


def test_hand_made_rates(monkeypatch):
    """Everybody is found at 0.5; each sees the distractor at 0.1 times the number of the query, and others at 0."""
    monkeypatch.setattr(open_set, "LEAST_ALARMS", 0)
    own = np.eye(4) * 0.5
    similarity, labels = four_people(*np.column_stack([[0.1, 0.2, 0.3, 0.6], own]))
    lists = look(similarity, labels)
    assert (lists.own == 0.5).all()
    np.testing.assert_allclose(lists.others, np.tile([0.1, 0.2, 0.3, 0.6], (LISTS, 1)))
    figures = open_set_figures(lists)
    # Person 4 finds the distractor first. No alarm may be raised, so that with person 4 a stranger nobody is detected.
    four = lists.enrolled[:, 3]
    assert figures["rank1"] == pytest.approx(np.where(four, 50, 100).mean())
    assert figures["dir_at_far_1e-1"] == pytest.approx(np.where(four, 50, 0).mean())
    assert (figures["enrolled_queries"], figures["strangers"], figures["lists"]) == (2, 2, LISTS)


def test_a_stranger_is_not_in_the_gallery():
    """Whoever is most like person 1 does not count where he is no more there."""
    similarity, labels = four_people([0, 0.5, 0.9, 0, 0], [0] * 5, [0] * 5, [0] * 5)
    lists = look(similarity, labels)
    two = lists.enrolled[:, 1]
    assert two.any()
    assert not two.all()
    np.testing.assert_allclose(lists.others[:, 0], np.where(two, 0.9, 0), rtol=1e-6)


def test_queries_that_have_nothing_to_find_are_left_out():
    labels = Labels(*map(np.array, ([1, 2, 3, 4, 9], [0, 1, 2, 3, 4, 9], [1] * 5, [2] * 5 + [1])))
    lists = look(np.eye(5, 6, 1, dtype=np.float32), labels)
    figures = open_set_figures(lists)
    assert figures["enrolled_queries"] + figures["strangers"] == 4
    assert figures["rank1"] == 100
    single = Labels(*map(np.array, ([1], [1, 2], [1], [2, 2])))
    assert open_set_figures(look(np.ones((1, 2), np.float32), single)) == {}
