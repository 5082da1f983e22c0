"""PK sampling: what a batch and an epoch hold."""

import numpy as np
import pytest

from hcga.training.sampling import pk_batches

SIZES = {2: 4, 5: 9, 6: 1, 8: 3, 9: 16, 11: 4, 14: 7}  # images of each identity


def rows_of(sizes=SIZES):
    """Rows 0, 1, ... dealt out to identities."""
    ends = np.cumsum(list(sizes.values()))
    return {pid: np.arange(end - count, end) for (pid, count), end in zip(sizes.items(), ends, strict=True)}


def epoch(identities, images, seed=0, sizes=SIZES):
    return list(pk_batches(rows_of(sizes), identities, images, np.random.default_rng(seed)))


def groups_of(batches, images):
    """(pid, rows) of each group of K rows."""
    owner = {int(row): pid for pid, rows in rows_of().items() for row in rows}
    for batch in batches:
        for rows in batch.reshape(-1, images).tolist():
            pids = {owner[row] for row in rows}
            assert len(pids) == 1, "rows of one identity stand together"
            yield pids.pop(), rows


@pytest.mark.parametrize(("identities", "images"), [(2, 4), (3, 2), (4, 4), (7, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_batches_hold_k_images_of_p_identities(identities, images, seed):
    batches = epoch(identities, images, seed)
    assert batches
    for batch in batches:
        assert batch.shape == (identities * images,)
        pids = [pid for pid, _ in groups_of([batch], images)]
        assert len(set(pids)) == identities


@pytest.mark.parametrize("seed", range(5))
def test_an_identity_gives_whole_groups_without_repeats(seed):
    """Identity 9 has 16 images, so at most 4 groups of 4; only those with fewer than K repeat an image."""
    given = {}
    for pid, rows in groups_of(epoch(2, 4, seed), 4):
        given.setdefault(pid, []).append(rows)
    for pid, groups in given.items():
        assert len(groups) <= max(1, SIZES[pid] // 4)
        drawn = [row for group in groups for row in group]
        assert set(drawn) <= set(rows_of()[pid].tolist())
        assert len(set(drawn)) == len(drawn) or SIZES[pid] < 4


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("identities", [2, 3, 5])
def test_an_epoch_ends_when_fewer_than_p_identities_have_groups_left(identities, seed):
    left = {pid: max(1, count // 4) for pid, count in SIZES.items()}
    for pid, _ in groups_of(epoch(identities, 4, seed), 4):
        left[pid] -= 1
    assert min(left.values()) >= 0
    assert sum(count > 0 for count in left.values()) < identities


def test_all_images_are_seen_where_it_comes_out_even():
    """Four identities with 8 images each in batches of all four: two batches, each image once."""
    batches = epoch(4, 4, sizes=dict.fromkeys((1, 2, 3, 4), 8))
    assert len(batches) == 2
    assert sorted(np.concatenate(batches).tolist()) == list(range(32))


def test_with_fewer_than_p_identities_all_of_them_make_a_batch():
    batches = epoch(16, 4, sizes={1: 4, 2: 9})
    assert [len(batch) for batch in batches] == [8]
    assert {int(row) < 4 for row in batches[0]} == {True, False}


def test_every_image_and_identity_has_its_turn():
    """The left-out remainder, the repeats, the partners in a batch and their order change from epoch to epoch."""
    epochs = [epoch(2, 4, seed) for seed in range(60)]
    assert set(np.concatenate([batch for batches in epochs for batch in batches]).tolist()) == set(range(44))
    firsts = {next(groups_of(batches, 4))[0] for batches in epochs}
    assert firsts == set(SIZES)
    assert len({tuple(sorted(pid for pid, _ in groups_of(batches[:1], 4))) for batches in epochs}) > 10
    repeats = {tuple(rows) for batches in epochs for pid, rows in groups_of(batches, 4) if pid == 8}
    assert len(repeats) > 10


def test_generator_alone_decides():
    first, same, other = epoch(3, 4, 7), epoch(3, 4, 7), epoch(3, 4, 8)
    np.testing.assert_equal(first, same)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=False))


def test_rows_are_not_shuffled_in_place():
    rows = rows_of()
    list(pk_batches(rows, 2, 2, np.random.default_rng(0)))
    np.testing.assert_equal(rows, rows_of())
