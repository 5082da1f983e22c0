"""A run scaled up, by hand."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from hcga.errors import InputError
from hcga.masks.degeneracy import describe_degeneracy
from hcga.planning.scaling import BLANK, START, TABLE, Ran, Rates, Shape, Size, scale, together
from hcga.resources import MASKS

SMALL = Size(train=100, identities=10, query=20, gallery=80)
LARGE = Size(train=1000, identities=200, query=200, gallery=800)
SHAPE = Shape(pixels=2048, part_classes=4, cells=128, classified=1280, batch=50, group=2, epochs=6)
NOTHING = Rates(pair=0, identity=0)


def test_seconds_beside_the_start_and_bytes_on_disk_grow_with_the_images_of_a_stage() -> None:
    ran = {name: Ran(10.0, 1e9, 5e6, 1) for name in ("extract", "embed", "draw")}
    table = scale(ran, SMALL, Size(1000, 10, 20, 80), SHAPE, NOTHING)
    start = START["extract"]
    assert table["seconds"]["extract"] == pytest.approx(start + 10 * (10 - start))
    assert table["seconds"]["embed"] == pytest.approx(START["embed"] + 1100 / 200 * (10 - START["embed"]))
    assert table["seconds"]["draw"] == 10
    assert table["disk"].to_dict() == pytest.approx({"extract": 5e7, "embed": 5e6 * 5.5, "draw": 5e6})


def test_the_same_size_takes_what_was_measured() -> None:
    ran = {name: Ran(0.5, 1e9, 5e6, 3) for name in ("prepare", "coparse", "train", "evaluate", "report")}
    table = scale(ran, SMALL, SMALL, SHAPE, Rates(pair=1, identity=1))
    assert (table["seconds"] == 0.5).all()
    assert (table["memory"] == 1e9).all()
    assert (table["disk"] == 5e6).all()


def test_pairs_are_ranked_in_each_round() -> None:
    table = scale({"evaluate": Ran(0.0, 0, 0, 3)}, SMALL, LARGE, SHAPE, Rates(pair=1e-3, identity=0))
    assert table["seconds"]["evaluate"] == pytest.approx(3 * 1e-3 * (200 * 800 - 20 * 80))


def test_lists_of_what_queries_find_grow_with_the_queries() -> None:
    wanted = SMALL._replace(train=10_000)
    assert scale({"evaluate": Ran(0.0, 0, 5e6, 1)}, SMALL, wanted, SHAPE, NOTHING)["disk"]["evaluate"] == 5e6
    assert scale({"evaluate": Ran(0.0, 0, 5e6, 1)}, SMALL, LARGE, SHAPE, NOTHING)["disk"]["evaluate"] == 5e7


def test_evaluation_holds_the_vectors_of_all_queries_twice() -> None:
    more = LARGE._replace(query=LARGE.query + 1000)
    less, much = (scale({"evaluate": Ran(0.0, 0, 0, 1)}, SMALL, size, SHAPE, NOTHING) for size in (LARGE, more))
    table = 1000 * TABLE  # their rows of the sample table
    assert much["memory"]["evaluate"] - less["memory"]["evaluate"] == 1000 * 2 * 4 * SHAPE.classified + table


def test_identities_cost_each_step_of_a_training_and_have_weights() -> None:
    """190 more identities; 1,000 images in batches of 50 are 20 steps an epoch, of which there are 6."""
    rates, weights = Rates(pair=0, identity=1e-3), 4 * 1280 * 190
    table = scale({"train": Ran(0.0, 1e9, 7e6, 3)}, SMALL, LARGE, SHAPE, rates)
    assert table["seconds"]["train"] == pytest.approx(20 * 6 * 1e-3 * 190)
    assert table["disk"]["train"] == 7e6 + 3 * 3 * weights
    images = 900 * 2048 * 3
    assert table["memory"]["train"] == 1e9 + 6 * weights + images + 128 * 900 + 1000 * 1800


def test_an_initialisation_has_masks_and_classifiers_but_takes_no_longer() -> None:
    """900 more images, of 128 cells; 190 more identities."""
    weights = 4 * 1280 * 190
    (row,) = scale({"initialise": Ran(2.0, 1e9, 7e6, 1)}, SMALL, LARGE, SHAPE, NOTHING).to_dict("records")
    assert row["seconds"] == 2
    assert row["memory"] == 1e9 + 128 * 900 + 2 * weights + TABLE * 1800
    assert row["disk"] == 7e6 + weights + BLANK * 900


def test_a_report_holds_masks_as_often_as_it_counts_what_they_lack() -> None:
    """By docs/performance.md 14 KB a training image of 2,048 cells with four classes, that is 7 times its mask."""
    (row,) = scale({"report": Ran(5.0, 1e9, 7e6, 1)}, SMALL, LARGE, SHAPE, NOTHING).to_dict("records")
    assert row == {"seconds": 5, "memory": 1e9 + 7 * 128 * 900 + TABLE * 1800, "disk": 7e6}


@pytest.mark.parametrize("classes", [2, 4])
def test_counting_what_masks_lack_takes_a_copy_a_class_and_two(classes: int) -> None:
    """As `MASKS` and `COUNTED` have it; report, which holds but the masks themselves, makes it one more."""
    masks = np.tile(np.arange(classes, dtype=np.uint8), (200, 64, 32 // classes))
    tracemalloc.start()
    describe_degeneracy(masks, classes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / masks.nbytes == pytest.approx(MASKS["report"] + classes - 1, rel=0.1)


def test_images_beyond_what_a_training_holds_cost_it_no_memory() -> None:
    sizes = [Size(train, 10, 20, 80) for train in (340_000, 360_000)]  # of 2 GiB
    held, not_held = (
        scale({"train": Ran(0, 0, 0, 1)}, SMALL, size, SHAPE, NOTHING)["memory"]["train"] for size in sizes
    )
    assert held > 2e9 > not_held


def test_identities_with_few_images_draw_a_group_all_the_same() -> None:
    """200 identities in groups of 8 are 1,600 images an epoch; 10 of them draw the 100 images that they have."""
    table = scale({"train": Ran(10.0, 0, 0, 0)}, SMALL, LARGE, SHAPE._replace(group=8), Rates(pair=0, identity=1e-3))
    assert table["seconds"]["train"] == pytest.approx(10 * 1600 / 100 + 1600 / 50 * 6 * 1e-3 * 190)


def test_gpus_share_the_work_of_stages_that_gpus_have_shared() -> None:
    ran = {"coparse": Ran(100.0, 0, 0, 1), "train": Ran(100.0, 0, 0, 1, 1), "embed": Ran(100.0, 0, 0, 1)}
    one, four = (scale(ran, SMALL, LARGE, SHAPE, NOTHING, devices)["seconds"] for devices in (1, 4))
    worked = [seconds - pd.Series(START)[list(ran)] for seconds in (one, four)]
    assert (worked[0] / worked[1]).to_dict() == pytest.approx({"coparse": 1, "train": 4, "embed": 1})


def test_as_many_devices_as_in_the_run_take_what_it_took() -> None:
    ran, rates = {"train": Ran(100.0, 0, 0, 1, 4)}, Rates(pair=0, identity=1e-3)
    assert scale(ran, SMALL, SMALL, SHAPE, rates)["seconds"]["train"] == 100
    assert scale(ran, SMALL, SMALL, SHAPE, rates, 4)["seconds"]["train"] == 100
    assert scale(ran, SMALL, SMALL, SHAPE, rates, 1)["seconds"]["train"] == 400 - 3 * START["train"]
    one = scale({"train": Ran(400.0, 0, 0, 0, 1)}, SMALL, LARGE, SHAPE, rates, 4)["seconds"]
    assert one["train"] == pytest.approx(1000 + 20 * 6 * 1e-3 * 190)  # each device has all classifiers
    assert scale({"train": Ran(100.0, 0, 0, 0, 4)}, SMALL, LARGE, SHAPE, rates, 4)["seconds"].equals(one)


def test_rounds_of_a_stage_are_added_up() -> None:
    assert together([Ran(1, 5, 10, 1, 4), Ran(2, 4, 20, 1, 4)]) == Ran(3, 5, 30, 2, 4)


@pytest.mark.parametrize("stage", ["extract", "coparse", "train", "embed"])
def test_what_is_start_alone_says_nothing_of_a_large_run(stage: str) -> None:
    ran = {stage: Ran(1.9 * START[stage], 0, 0, 1)}
    assert len(scale(ran, SMALL, Size(300, 10, 20, 80), SHAPE, NOTHING))
    with pytest.raises(InputError, match=rf"{stage}: of the .* s that it took in the last run .* are its start"):
        scale(ran, SMALL, LARGE, SHAPE, NOTHING)


def test_more_identities_than_images_are_refused() -> None:
    with pytest.raises(InputError, match="--identities: 30 of 20 images"):
        scale({}, SMALL, Size(20, 30, 1, 1), SHAPE, NOTHING)
