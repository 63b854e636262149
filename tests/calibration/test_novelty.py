from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from astrocnn.calibration import Calibration, Novelty, read, write
from astrocnn.calibration.novelty import LEAST_ROWS, THRESHOLD, choose_rows
from astrocnn.errors import ModelError, PredictionError
from astrocnn.flags import Flag

from .conftest import batch


def _features(n, d=32, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(d, d))
    x = np.maximum(rng.normal(size=(n, d)) @ mixing + shift, 0)
    x[:, -1] = 0.25
    return x.astype(np.float32)


def _fit(n=1000, m=1000, d=32, units=1.0):
    return Novelty.fit(_features(n, d) * units, _features(m, d, seed=7) * units)


def test_similar_objects_have_uniform_scores_and_others_scores_near_one():
    novelty = _fit()
    same, _ = novelty.score(_features(1500, seed=1))
    np.testing.assert_allclose(np.quantile(same, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.04)
    strange, far = novelty.score(_features(500, shift=25.0, seed=2))
    assert np.median(strange) > 0.99
    assert np.median(far) > novelty.distances[-20]


@pytest.mark.parametrize("m", [99, 250])
def test_the_false_alarm_rate_is_that_of_a_conformal_p_value(m):
    """Of exchangeable objects floor(0.01 (m + 1)) / (m + 1) are flagged, on average over fits."""
    rng = np.random.default_rng(3)
    # Few training objects with many features: their own distances are far too small.
    training = rng.normal(size=(40, 30))
    flagged = []
    for _ in range(400):
        x = rng.normal(size=(m + 40, 30))
        novelty = Novelty.fit(training, x[:m])
        flagged.append(novelty.find_novel(novelty.score(x[m:])[0].astype(np.float32)).mean())
    expected = np.floor((1 - THRESHOLD) * (m + 1) + 1e-9) / (m + 1)
    error = np.std(flagged) / np.sqrt(len(flagged))
    assert abs(np.mean(flagged) - expected) < 4 * error < 0.004
    own = Novelty.fit(training, training)
    assert np.median(own.distances) < 0.95 * np.median(novelty.distances)


def test_fewer_validation_objects_than_the_threshold_needs_flag_nothing():
    far = np.full((3, 32), 1e3)
    for m, flagged in ((LEAST_ROWS - 1, False), (LEAST_ROWS, True)):
        score, _ = _fit(m=m).score(far)
        np.testing.assert_allclose(score, m / (m + 1))
        assert Novelty.find_novel(score).tolist() == [flagged] * 3
    assert f"{THRESHOLD:g}" in Flag.NOVEL.sentence


def test_the_distance_is_that_of_mahalanobis():
    # With many objects nothing is left of the shrinkage.
    known, new = _features(20000, d=6)[:, :5], _features(70, d=6, seed=1)[:, :5]
    expected = np.sqrt(EmpiricalCovariance().fit(known).mahalanobis(new))
    np.testing.assert_allclose(Novelty.fit(known, new).score(new)[1], expected, rtol=0.03)


def test_it_does_not_depend_on_the_units_of_features():
    new, units = _features(70, seed=1), np.geomspace(0.1, 10.0, 32)
    there = _fit(400, units=units).score(new * units)
    np.testing.assert_allclose(there[1], _fit(400).score(new)[1], rtol=1e-3)


def test_a_constant_feature_that_varies_is_novel():
    new = _features(50, seed=1)
    new[:, -1] = 100.0
    score, _ = _fit(300, 300).score(new)
    assert score.min() == 300 / 301 and Novelty.find_novel(score).all()


def test_features_of_dead_units_are_alike_and_any_other_is_novel():
    novelty = Novelty.fit(np.full((20, 1), 0.5), np.full((9, 1), 0.5))
    assert np.isfinite(novelty.whitening).all()
    fraction, distance = novelty.score(np.array([[0.5], [0.6]]))
    assert fraction.tolist() == [0, 0.9] and distance[0] == 0 and np.isfinite(distance[1])


@pytest.mark.parametrize("pieces", [[1, 149], [64, 64, 22], [37, 50, 63]])
def test_any_split_and_order_give_the_same_bits(pieces):
    novelty, x = _fit(700), _features(150, seed=4)
    whole = np.array(novelty.score(x))
    edges = np.cumsum([0, *pieces])
    parts = [novelty.score(x[a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    order = np.random.default_rng(0).permutation(150)
    np.testing.assert_array_equal(np.array(novelty.score(x[order])), whole[:, order])


def test_the_subset_of_many_rows_is_reproducible(monkeypatch):
    monkeypatch.setattr("astrocnn.calibration.novelty.MOST_ROWS", 500)
    rows = np.arange(0, 1200, 2)
    chosen = choose_rows(rows)
    assert len(chosen) == 500 and set(chosen) < set(rows) and np.all(np.diff(chosen) > 0)
    np.testing.assert_array_equal(choose_rows(rows), chosen)
    np.testing.assert_array_equal(choose_rows(rows[:400]), rows[:400])


def test_the_fingerprint_is_that_of_the_fit():
    assert _fit(200, 99).fingerprint == _fit(200, 99).fingerprint
    assert (
        len({_fit(200, 99).fingerprint, _fit(201, 99).fingerprint, _fit(200, 98).fingerprint}) == 3
    )


def test_rows_without_features_remain_nan_and_are_not_flagged():
    x = _features(3, shift=25.0, seed=1)
    x[1] = np.nan
    novelty = _fit(200)
    columns = novelty.compute(batch(features=x))
    assert np.isnan([columns["novelty"][1], columns["novelty_distance"][1]]).all()
    assert np.isfinite(columns["novelty"][[0, 2]]).all()
    assert columns["flags"].tolist() == [Flag.NOVEL, 0, Flag.NOVEL]


def test_too_few_rows_and_other_features_are_refused():
    x = _features(20)
    for training, validation, message in (
        (x[:1], x, r"(?s)too few objects.*1 training and 20 validation objects"),
        (x, x[:0], "20 training and 0 validation objects"),
        (x, x[:, :5], "do not belong together"),
        (x[:, 0], x[:, 0], "do not belong together"),
        (np.full((200, 3), np.nan), np.ones((9, 3)), "finite"),
        (np.ones((9, 3)), np.full((200, 3), np.inf), "finite"),
    ):
        with pytest.raises(PredictionError, match=message):
            Novelty.fit(training, validation)
    novelty = _fit(200)
    with pytest.raises(PredictionError, match="another network"):
        novelty.score(np.zeros((4, 5)))
    with pytest.raises(ModelError, match="needs an estimator with features"):
        novelty.compute(batch(features=None))


@pytest.mark.parametrize(
    "other",
    [
        {"center": np.zeros(3)},
        {"whitening": np.eye(4).astype("U3")},
        {"distances": np.array([2.0, 1.0])},
        {"distances": np.array([])},
        {"distances": np.array([1.0, np.nan])},
    ],
    ids=lambda change: "-".join(change),
)
def test_stored_arrays_that_do_not_belong_together_are_refused(tmp_path, other):
    whole = Novelty.fit(_features(20, 4), _features(9, 4))
    damaged = object.__new__(Novelty)
    damaged.__dict__.update({**whole.__dict__, **other})
    write(tmp_path / "novelty.json", Calibration("model", {}, (damaged,)))
    with pytest.raises(ModelError, match="not those of a novelty score"):
        read(tmp_path / "novelty.json")


def test_novelty_rises_for_stamps_unlike_the_training_set(tmp_path):
    from astropy.table import Table

    from astrocnn.catalog import Catalog
    from astrocnn.datasets import write_shards
    from astrocnn.estimators import KerasEstimator, fit_novelty
    from astrocnn.imaging import ArraySource
    from astrocnn.targets import make

    rng = np.random.default_rng(5)
    y, x = np.mgrid[:32, :32] - 15.5
    wide = rng.random(400) < 0.5
    width = np.where(wide, 3.5, 1.5)[:, None, None]
    light = 10 * np.exp(-(x**2 + y**2) / (2 * width**2)) + rng.normal(size=(400, 32, 32))
    images = light[..., None].astype(np.float32)
    table = Table({"id": np.arange(400), "kind": np.where(wide, "galaxy", "star")})
    shards = write_shards(tmp_path / "s", Catalog.from_table(table), ArraySource(images, ("r",)))
    task = make("morphology", classes=("galaxy", "star"), column="kind")
    network = KerasEstimator(
        task, shards.inputs, "lenet", options={"width": 0.5}, precision="float32"
    )
    network.fit(shards, np.arange(150), epochs=2, optimizer="adam", strategy="one")
    novelty = fit_novelty(network, shards, np.arange(150), np.arange(150, 300))

    def median(stamps):
        return np.median(novelty.score(network.features(stamps))[0])

    known = images[300:]
    assert 0.3 < median(known) < 0.7
    for strange in (-known, known + rng.normal(0, 5, known.shape).astype(np.float32), 10 * known):
        assert median(strange) > 0.95
