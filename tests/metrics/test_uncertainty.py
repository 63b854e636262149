from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from astrocnn.errors import ConfigError
from astrocnn.metrics import (
    expected_entropy,
    mutual_information,
    predictive_entropy,
    risk_coverage,
    risk_coverage_area,
)


@given(seed=st.integers(0, 10**6), draws=st.integers(1, 20), k=st.integers(2, 6))
def test_entropies_equal_scipy(seed, draws, k):
    p = np.random.default_rng(seed).dirichlet(np.full(k, 0.3), (draws, 12))
    total = entropy(p.mean(axis=0), axis=-1)
    expected = entropy(p, axis=-1).mean(axis=0)
    np.testing.assert_allclose(predictive_entropy(p), total, atol=1e-12)
    np.testing.assert_allclose(expected_entropy(p), expected, atol=1e-12)
    np.testing.assert_allclose(mutual_information(p), np.maximum(total - expected, 0), atol=1e-12)
    assert (mutual_information(p) >= 0).all()
    equal = np.repeat(p[:1], 7, axis=0)
    assert (mutual_information(equal) == 0).all()


def test_risk_coverage_by_hand():
    coverage, risk = risk_coverage([1, 0, 0, 1], [0.9, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 2])
    assert risk_coverage_area([1, 0, 0, 1], [0.9, 0.1, 0.2, 0.3]) == pytest.approx(5 / 24)


def test_area_equals_the_mean_of_selective_risks():
    # Geifman+19 equation 3, written as the loop it is there.
    rng = np.random.default_rng(2)
    error, u = (rng.random(70) < 0.3).astype(float), rng.permutation(70)
    order = np.argsort(u)
    loop = np.mean([error[order[: i + 1]].mean() for i in range(70)])
    assert risk_coverage_area(error, u) == pytest.approx(loop)


def test_bounds_of_the_area():
    error = np.r_[np.ones(30), np.zeros(70)]
    best, worst = risk_coverage_area(error, error), risk_coverage_area(error, -error)
    # With equal uncertainty for all there is one point: the error rate itself.
    assert risk_coverage_area(error, np.zeros(100)) == pytest.approx(0.3)
    assert best < 0.3 < worst
    u = np.arange(100)[::-1]
    # Perfect order: sum over the last 30 of (k - 70) / k, over 100.
    k = np.arange(71, 101)
    assert risk_coverage_area(error, u) == pytest.approx(((k - 70) / k).sum() / 100)


def test_ties_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(3)
    error, u = (rng.random(60) < 0.5).astype(float), rng.integers(0, 5, 60)
    order = rng.permutation(60)
    np.testing.assert_array_equal(risk_coverage(error, u), risk_coverage(error[order], u[order]))
    assert risk_coverage(error, u)[0].shape == (5,)


def test_weights_are_repetitions():
    rng = np.random.default_rng(4)
    error, u = (rng.random(40) < 0.5).astype(float), rng.random(40)
    w = rng.integers(0, 3, (3, 40)).astype(float)
    repeat = np.repeat(np.arange(40), w[1].astype(int))
    area = risk_coverage_area(error, u, w)
    assert area.shape == (3,)
    assert area[1] == pytest.approx(risk_coverage_area(error[repeat], u[repeat]))


def test_refusals_and_nothing():
    with pytest.raises(ConfigError, match="not finite"):
        risk_coverage([1, 0], [np.nan, 0])
    with pytest.raises(ConfigError, match="not finite"):
        predictive_entropy(np.full((1, 1, 2), np.nan))
    with pytest.raises(ConfigError, match="as many errors"):
        risk_coverage([1, 0], [1])
    assert np.isnan(risk_coverage_area([], []))
