"""What similarities mean: learnt from histograms of pairs, rated, said with a prior."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from trained import ROUND, new_checkout, new_crops, new_model, new_weights, write_lock

from hcga.errors import InputError
from hcga.params import Matching
from hcga.retrieval.blocks import Labels
from hcga.retrieval.pairs import count_pairs
from hcga.retrieval.similarity import Embeddings, Similarities, similarity
from hcga.runs.recorded import dvc_digest
from hcga.samples import COLUMNS
from hcga.store_writing import write_store
from hcga.using import calibrating
from hcga.using.calibrating import FOLDS, People, calibrate, calibrate_model, fit, rate
from hcga.using.calibration import (
    Calibration,
    Line,
    Threshold,
    describe_calibration,
    describe_decision,
    describe_probability,
)
from hcga.using.embedded import NAMES
from hcga.using.model import Model
from hcga.using.people import held_out_people

weights = pytest.fixture(scope="module")(new_weights)
checkout = pytest.fixture(new_checkout)
model = pytest.fixture(new_model)
crops = pytest.fixture(new_crops)
MATCHING = Matching(features="I", similarity="paper", visibility="any", least_share=0.5, least_confidence=0.75)


def embeddings(vectors: np.ndarray) -> Embeddings:
    vectors = vectors.astype(np.float32)
    return Embeddings(vectors, vectors, np.zeros((len(vectors), 0, vectors.shape[1]), np.float32), vectors[:, :0])


def some_people(seed: int = 0, count: int = 12, noise: float = 1.0) -> People:
    """Give people with two queries and four gallery images each, at two cameras, in five dimensions."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 5))
    query, gallery = (np.repeat(np.arange(count), times) for times in (2, 4))
    looks = [centres[of] + noise * rng.normal(size=(len(of), 5)) for of in (query, gallery)]
    camids = [np.tile(np.arange(1, 3), len(of) // 2) for of in (query, gallery)]
    return People(*map(embeddings, looks), Labels(query + 1, gallery + 1, *camids), "drawn", "here")


def pairs_of(people: People) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Similarity and truth of each pair, and who query and gallery image are."""
    alike = similarity(people.query, people.gallery, "I")
    query, gallery, at, place = people.labels
    same = query[:, None] == gallery
    rows, columns = np.nonzero(~(same & (at[:, None] == place)))
    return alike[rows, columns], same[rows, columns], query[rows], gallery[columns]


def balanced(truth: np.ndarray) -> np.ndarray:
    return np.where(truth, 1 / truth.sum(), 1 / (~truth).sum())


def test_the_line_is_that_of_a_logistic_regression_on_all_pairs() -> None:
    people = some_people()
    values, truth, *_ = pairs_of(people)
    found = calibrate(people, MATCHING)
    assert (found.same, found.different, found.people) == (truth.sum(), (~truth).sum(), 12)
    hit, miss = (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2)  # Platt's targets
    target = np.where(truth, hit, miss)
    plain = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.tile(values, 2)[:, None],
        np.repeat([1, 0], len(values)),
        np.append(target * balanced(truth), (1 - target) * balanced(truth)),
    )
    assert found.slope == pytest.approx(plain.coef_[0, 0], rel=1e-3)
    assert found.intercept == pytest.approx(plain.intercept_[0], abs=1e-3)


def test_people_are_judged_by_fits_that_have_not_seen_them() -> None:
    people = some_people(3)
    values, truth, query, gallery = pairs_of(people)
    stated = np.zeros(len(values))
    folds = np.array_split(np.random.default_rng(calibrating.SEED).permutation(np.arange(1, 13)), FOLDS)
    for fold in folds:
        asked, seen = np.isin(query, fold), ~np.isin(query, fold) & ~np.isin(gallery, fold)
        labels = people.labels
        kept = [~np.isin(labels.query_pids, fold), ~np.isin(labels.gallery_pids, fold)]
        chosen = Labels(*(of[kept[number % 2]] for number, of in enumerate(labels)))
        counts = count_pairs(Similarities(people.query.take(kept[0]), people.gallery.take(kept[1]), "I"), chosen)
        assert counts.positive.sum() + counts.negative.sum() == seen.sum()
        ratio = fit(counts, "").ratio(values[asked])
        stated[asked] = 1 / (1 + np.exp(-ratio))
    found = calibrate(people, MATCHING)
    weight = balanced(truth)
    assert found.cllr == pytest.approx(log_loss(truth, stated, sample_weight=weight) / np.log(2), abs=1e-4)
    assert found.brier == pytest.approx(brier_score_loss(truth, stated, sample_weight=weight), abs=1e-4)
    assert sum(each.pairs for each in found.reliability) == len(values)
    assert 0.1 < found.cllr < 1, "the test needs people who are told apart a little"


def test_quality_by_hand() -> None:
    """Ten pairs of one person, half at 0.95; four of two people, one at 0.95; both kinds weigh the same."""
    found = rate(np.array([0.25, 0.95]), np.array([5, 5]), np.array([3, 1]))
    assert found.brier == pytest.approx((0.75**2 + 0.05**2) / 4 + (3 * 0.25**2 + 0.95**2) / 8)
    assert found.cllr == pytest.approx(-(np.log2(0.25) + np.log2(0.95)) / 4 - (3 * np.log2(0.75) + np.log2(0.05)) / 8)
    low, high = found.reliability
    assert (low.stated, low.observed, low.pairs) == pytest.approx((0.25, 0.25 / 0.625, 8))
    assert (high.stated, high.observed, high.pairs) == pytest.approx((0.95, 0.25 / 0.375, 6))
    assert found.ece == pytest.approx(0.625 * (0.4 - 0.25) + 0.375 * (0.95 - 2 / 3))


def test_thresholds_let_pass_what_they_say() -> None:
    people = some_people(count=60, noise=0.4)
    values, truth, *_ = pairs_of(people)
    found = calibrate(people, MATCHING)
    assert list(found.thresholds) == ["1e-2", "1e-3"]
    for name, threshold in found.thresholds.items():
        allowed = int((~truth).sum() * float(name))
        assert (values[~truth] >= threshold.similarity).sum() == allowed
        assert threshold.tpr == pytest.approx((values[truth] >= threshold.similarity).mean())
    assert list(calibrate(some_people(), MATCHING).thresholds) == ["1e-2"], "5 of 1,000 pairs of two people may pass"


def test_a_probability_takes_a_prior() -> None:
    found = calibrate(some_people(), MATCHING)
    ratio = float(found.log_likelihood_ratio(0.3))
    assert ratio == pytest.approx(found.intercept + 0.3 * found.slope)
    even, rare = (float(found.probability(0.3, prior)) for prior in (0.5, 0.001))
    assert even / (1 - even) == pytest.approx(np.exp(ratio))
    assert rare / (1 - rare) == pytest.approx(np.exp(ratio) / 999)
    for prior in (0, 1, -0.1, float("nan")):
        with pytest.raises(InputError, match=rf"prior {prior}: give a number above 0 and below 1"):
            found.probability(0.3, prior)
    # No more is claimed than so many pairs can show.
    assert Line(0.0, 1000.0, 20, 300).ratio([-1, 1]) == pytest.approx([-np.log(20), np.log(300)])


def test_what_teaches_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"here: 4 people have a query and images at .* wants 5 at least"):
        calibrate(some_people(count=4), MATCHING)
    people = some_people()
    swapped = people._replace(gallery=embeddings(-people.gallery.image))
    with pytest.raises(InputError, match=r"here: pairs of one person are no more alike than pairs of two"):
        calibrate(swapped, MATCHING)
    alone = people.labels._replace(gallery_pids=people.labels.gallery_pids + 100)
    with pytest.raises(InputError, match=r"here: 0 people have a query and images at"):
        calibrate(people._replace(labels=alone), MATCHING)
    apart = calibrate(some_people(noise=1e-3), MATCHING)
    assert np.isfinite([apart.slope, apart.intercept]).all(), "people told apart without a mistake"


def calibrated(model: Model, **changes: Any) -> Model:
    """Give the model a calibration by hand: even odds at a similarity of 0.5."""
    told = {"matching": model.card.use.matching, "intercept": -2.0, "slope": 4.0, "same": 200, "different": 9000}
    told |= {"people": 10, "source": "drawn", "thresholds": {"1e-2": Threshold(similarity=0.7, tpr=0.25)}}
    told |= {"cllr": 0.5, "brier": 0.1, "ece": 0.02, "reliability": []}
    use = model.card.use.model_copy(update={"calibration": Calibration(**told | changes)})
    model.card = model.card.model_copy(update={"use": use})
    return model


def test_a_card_keeps_it_and_embeddings_stay(model: Model, crops: Path, tmp_path: Path) -> None:
    files = sorted(crops.rglob("*.png"))
    before, plain = model.digest, model.embed_files(files).embedded
    with pytest.raises(InputError, match=r"no calibration.*`hcga model export --calibrate` or `hcga model calibrate`"):
        model.probability(plain, plain)
    calibrated(model).save(tmp_path / "m.safetensors")
    loaded = Model.load(tmp_path / "m.safetensors", device="cpu")
    assert loaded.digest == before
    assert loaded.calibration == model.calibration
    again = loaded.embed_files(files).embedded
    for name in NAMES:
        np.testing.assert_array_equal(getattr(again, name), getattr(plain, name))
    alike = loaded.similarity(plain, plain)
    odds = np.exp(4.0 * alike.astype(float) - 2)
    np.testing.assert_allclose(loaded.probability(plain, plain), odds / (1 + odds), rtol=1e-6)
    np.testing.assert_allclose(loaded.probability(plain, plain, 0.1), odds / (9 + odds), rtol=1e-6)
    matching = loaded.card.use.matching.model_copy(update={"features": "F"})
    loaded.card = loaded.card.model_copy(update={"use": loaded.card.use.model_copy(update={"matching": matching})})
    with pytest.raises(InputError, match="calibrated for other similarities than its card has now"):
        loaded.probability(plain, plain)


def test_it_is_said_in_words(model: Model) -> None:
    text = describe_calibration(calibrated(model).calibration)
    assert "200 pairs of one person and 9,000 of two; 10 people, drawn" in text
    assert (
        "similarity from 0.7000 on: at most 1 % of the pairs of two, 25.0 % of those of one person, on the people "
        "that it was learnt from"
    ) in text
    lines = describe_decision(model.calibration, 0.75, 0.5).splitlines()
    assert lines == [
        "probability 0.731  of one person, at a prior of 0.5",
        "2.7 times likelier for one person",
        "above 0.700, which at most 1 % of the pairs of two people pass",
    ]
    with pytest.raises(ValidationError, match=r"thresholds\.many"):
        calibrated(model, thresholds={"many": {"similarity": 0.7, "tpr": 0.25}})
    assert "2.7 times likelier for two people\nbelow 0.700" in describe_decision(model.calibration, 0.25, 0.5)


def test_a_small_probability_is_not_rounded_to_nothing() -> None:
    told = {0.0014523: "0.00145", 1.2e-5: "1.2e-05", 0.73106: "0.731", 0.99949: "0.999", 0.9999: "> 0.999"}
    assert {probability: describe_probability(probability) for probability in told} == told


def test_held_out_people_of_a_round_teach_it(checkout: Path, model: Model) -> None:
    people = some_people()
    rows = [("train", 90 + number, 1) for number in range(4)]
    looks = [np.zeros((4, 5), np.float32), people.query.image, people.gallery.image]
    query_pids, gallery_pids, query_camids, gallery_camids = (labels.tolist() for labels in people.labels)
    rows += [("query", pid, camid) for pid, camid in zip(query_pids, query_camids, strict=True)]
    rows += [("gallery", pid, camid) for pid, camid in zip(gallery_pids, gallery_camids, strict=True)]
    table = [(*row, 1, number, f"{number}.jpg", "main") for number, row in enumerate(rows)]
    pd.DataFrame(table, columns=list(COLUMNS)).to_csv(checkout / "data/samples.csv", index=False)
    vectors = np.concatenate(looks)
    seen = np.ones((len(vectors), 3), np.float32)
    arrays = {"image": vectors, "foreground": vectors, "parts": np.repeat(vectors[:, None], 3, 1)}
    store = checkout / "data/embeddings/r1.zarr"
    write_store(store, arrays | dict.fromkeys(("likely", "guided", "peak"), seen), parsing=True)
    validation = model.card.use.model_copy(update={"validation": 0.5})
    model.card = model.card.model_copy(update={"use": validation})
    with pytest.raises(InputError, match=r"data/embeddings/r1.zarr: is not what dvc.lock says"):
        held_out_people(checkout, ROUND, model)
    embedded = {"outs": [{"path": "data/embeddings/r1.zarr", "md5": dvc_digest(store)}]}
    write_lock(checkout, {"embed@r1": embedded})
    calibrate_model(model, held_out_people(checkout, ROUND, model))
    found, wanted = model.calibration, calibrate(people, MATCHING)
    assert (found.source, found.same, found.people) == ("held-out training identities", wanted.same, 12)
    # The same vectors as foreground and three parts: Eq. (10) makes (1 + 3/2) / 4 of each cosine.
    assert found.slope * 2.5 / 4 == pytest.approx(wanted.slope, rel=1e-3)
    assert found.intercept == pytest.approx(wanted.intercept, abs=1e-3)


def test_test_identities_are_refused(checkout: Path, model: Model) -> None:
    with pytest.raises(InputError, match=r"prepare.validation is null.*test identities.*--people FOLDER"):
        held_out_people(checkout, ROUND, model)
