from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from astrocnn.calibration import Novelty
from astrocnn.errors import ModelError, PredictionError

from .conftest import batch


def _features(n, d=32, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(d, d))
    x = np.maximum(rng.normal(size=(n, d)) @ mixing + shift, 0)
    x[:, -1] = 0.25
    return x.astype(np.float32)


def test_similar_objects_have_uniform_scores_and_others_scores_near_one():
    novelty = Novelty.fit(_features(1000))
    same, _ = novelty.score(_features(1500, seed=1))
    np.testing.assert_allclose(np.quantile(same, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.04)
    strange, far = novelty.score(_features(500, shift=25.0, seed=2))
    assert np.median(strange) > 0.99
    assert np.median(far) > novelty.distances[-20]


def test_the_distance_is_that_of_mahalanobis():
    # With many objects nothing is left of the shrinkage.
    known, new = _features(20000, d=6)[:, :5], _features(70, d=6, seed=1)[:, :5]
    expected = np.sqrt(EmpiricalCovariance().fit(known).mahalanobis(new))
    np.testing.assert_allclose(Novelty.fit(known).score(new)[1], expected, rtol=0.03)


def test_it_does_not_depend_on_the_units_of_features():
    known, new = _features(400), _features(70, seed=1)
    units = np.geomspace(0.1, 10.0, 32)
    there = Novelty.fit(known * units).score(new * units)
    np.testing.assert_allclose(there[1], Novelty.fit(known).score(new)[1], rtol=1e-3)


@pytest.mark.parametrize("n", [120, 400])
def test_few_objects_with_many_features_have_uniform_scores(n):
    same, _ = Novelty.fit(_features(n, d=80)).score(_features(1000, d=80, seed=1))
    assert np.median(same) == pytest.approx(0.5, abs=0.12)
    assert np.mean(same == 1) < 0.06


def test_a_constant_feature_that_varies_is_novel():
    new = _features(50, seed=1)
    new[:, -1] = 100.0
    assert Novelty.fit(_features(300)).score(new)[0].min() == 1.0


@pytest.mark.parametrize("pieces", [[1, 149], [64, 64, 22], [37, 50, 63]])
def test_any_split_and_order_give_the_same_bits(pieces):
    novelty, x = Novelty.fit(_features(700)), _features(150, seed=4)
    whole = np.array(novelty.score(x))
    edges = np.cumsum([0, *pieces])
    parts = [novelty.score(x[a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    order = np.random.default_rng(0).permutation(150)
    np.testing.assert_array_equal(np.array(novelty.score(x[order])), whole[:, order])


def test_the_subset_of_many_rows_is_reproducible(monkeypatch):
    monkeypatch.setattr("astrocnn.calibration.novelty._MOST_ROWS", 500)
    x = _features(600, d=4)
    novelty = Novelty.fit(x)
    assert novelty.distances.shape == (500,)
    assert novelty.fingerprint == Novelty.fit(x).fingerprint != Novelty.fit(2 * x).fingerprint


def test_rows_without_features_remain_nan():
    x = _features(3, seed=1)
    x[1] = np.nan
    fraction, distance = Novelty.fit(_features(200)).score(x)
    assert np.isnan([fraction[1], distance[1]]).all()
    assert np.isfinite(fraction[[0, 2]]).all()


def test_too_few_rows_and_other_features_are_refused():
    with pytest.raises(PredictionError, match=r"(?s)99 objects.*100 or more"):
        Novelty.fit(_features(99))
    with pytest.raises(PredictionError, match="finite"):
        Novelty.fit(np.full((200, 3), np.nan))
    novelty = Novelty.fit(_features(200))
    with pytest.raises(PredictionError, match="another network"):
        novelty.score(np.zeros((4, 5)))
    with pytest.raises(ModelError, match="needs an estimator with features"):
        novelty.compute(batch(images=None, scalars=None))


def test_novelty_rises_for_stamps_unlike_the_training_set(tmp_path):
    from astropy.table import Table

    from astrocnn.catalog import Catalog
    from astrocnn.datasets import write_shards
    from astrocnn.estimators import KerasEstimator
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
    novelty = Novelty.fit(network.features(images[150:300]))

    def median(stamps):
        return np.median(novelty.score(network.features(stamps))[0])

    known = images[300:]
    assert 0.3 < median(known) < 0.7
    for strange in (-known, known + rng.normal(0, 5, known.shape).astype(np.float32), 10 * known):
        assert median(strange) > 0.95
