from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn import metrics
from astrocnn.errors import ConfigError
from astrocnn.metrics.weighted import median_deviation, quantile


def test_deviation_by_hand():
    np.testing.assert_allclose(metrics.deviation([1.2, 0.0], [1.0, 0.25]), [0.1, -0.2])


@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), ties=st.booleans())
def test_weights_are_repetitions(seed, n, ties):
    """A sample drawn with repetition scores as the written-out sample, and as numpy does."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.05, n).round(2 if ties else 9)
    w = rng.multinomial(n, np.ones(n) / n, size=3).astype(float)
    for row in w:
        y = np.repeat(x, row.astype(int))
        assert metrics.bias(x, row) == pytest.approx(y.mean(), abs=1e-12)
        assert metrics.bias_median(x, row) == pytest.approx(np.median(y), abs=1e-12)
        mad = np.median(np.abs(y - np.median(y)))
        assert metrics.sigma_mad(x, row) == pytest.approx(1.4826 * mad, abs=1e-12)
        for q in (0.25, 0.75):
            expected = np.quantile(y, q, method="averaged_inverted_cdf")
            assert quantile(x, q, row) == pytest.approx(expected, abs=1e-12)
        assert metrics.outlier_fraction(x, 0.05, row) == pytest.approx((np.abs(y) > 0.05).mean())
        cut = max(0.06, 3 * metrics.sigma_iqr(y))
        assert metrics.outliers_rail(x, row) == pytest.approx((np.abs(y) > cut).mean())
    for score in (metrics.bias_median, metrics.sigma_mad, metrics.sigma_iqr):
        together = score(x, w)
        np.testing.assert_allclose(together, [score(x, row) for row in w], atol=1e-14)
        # Only ratios of weights matter.
        np.testing.assert_allclose(score(x, w / 7), together, atol=1e-12)


def test_scatter_of_a_normal_sample_is_its_sigma():
    n, sigma = 40000, 0.02
    dz = np.random.default_rng(0).normal(0.003, sigma, n)
    # Standard error of 1.4826 MAD is 1.17 sigma / sqrt(n) (Rousseeuw & Croux 1993, 37 % efficient).
    error = sigma / np.sqrt(0.3675 * 2 * n)
    assert abs(metrics.sigma_mad(dz) - sigma) < 4 * error
    assert abs(metrics.sigma_iqr(dz) - sigma) < 4 * error
    found = metrics.bootstrap({"s": lambda w: metrics.sigma_mad(dz, w)}, n, n_resamples=200)["s"]
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.25)


def test_scatter_ignores_outliers_that_eta_counts():
    rng = np.random.default_rng(1)
    dz = rng.normal(0, 0.01, 1000)
    wild = dz.copy()
    wild[:20] = 0.5
    assert metrics.sigma_mad(wild) < 1.06 * metrics.sigma_mad(dz)
    assert metrics.outlier_fraction(wild, 0.15) == pytest.approx(0.02)
    assert metrics.outliers_rail(wild) == pytest.approx(0.02)  # 3 sigma is below 0.06
    assert metrics.outliers_rail(10 * dz) == pytest.approx(0.0027, abs=0.006)  # 3 sigma = 0.3


def test_invariants():
    rng = np.random.default_rng(2)
    dz = rng.standard_t(3, 301)
    mixed = rng.permutation(dz)
    for score in (metrics.sigma_mad, metrics.sigma_iqr):
        assert score(mixed) == score(dz)
        assert score(-2 * dz + 5) == pytest.approx(2 * score(dz))
    assert metrics.bias_median(dz + 1) == pytest.approx(metrics.bias_median(dz) + 1)


def test_what_is_not_defined_is_nan():
    assert np.isnan(metrics.sigma_mad([]))
    assert np.isnan(metrics.sigma_mad([1.0, 2.0], [0.0, 0.0]))
    assert metrics.sigma_mad([3.0]) == 0
    assert median_deviation([1.0, 2.0, 4.0, 8.0]) == 1.5  # distances from 3: 2 1 1 5


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([np.nan, 0.1], [0.1, 0.1], "not finite in 1 rows"),
        ([0.1], [0.1, 0.1], "as many"),
        ([0.1], [-9999.0], "above -1"),
    ],
)
def test_refusals(predicted, truth, message):
    with pytest.raises(ConfigError, match=message):
        metrics.deviation(predicted, truth)
