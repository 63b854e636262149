"""Bias and scatter along a column against direct computation and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import ConfigError
from astrocnn.metrics import bias, sigma_mad, trend


@pytest.fixture(scope="module")
def sample():
    """Errors whose bias and scatter grow with the magnitude."""
    rng = np.random.default_rng(0)
    magnitude = rng.uniform(18, 24, 4000)
    return rng.normal(0.002 * (magnitude - 18), 0.01 * (magnitude - 17)), magnitude


def test_each_bin_equals_its_objects(sample):
    error, magnitude = sample
    found = trend(error, magnitude, n_bins=8, n_resamples=0)
    np.testing.assert_allclose(found.edges, np.quantile(magnitude, np.linspace(0, 1, 9)))
    np.testing.assert_array_equal(found.count, 500)
    order = np.argsort(magnitude).reshape(8, 500)
    np.testing.assert_allclose(found.center, np.median(magnitude[order], axis=1))
    np.testing.assert_allclose(found.bias, error[order].mean(axis=1))
    np.testing.assert_allclose(found.sigma, [sigma_mad(error[rows]) for rows in order])
    assert np.isnan(found.bias_interval).all() and np.isnan(found.sigma_interval).all()


def test_the_relation_is_recovered_within_its_intervals(sample):
    found = trend(*sample, n_bins=10)
    true_bias, true_sigma = 0.002 * (found.center - 18), 0.01 * (found.center - 17)
    for interval, value in ((found.bias_interval, true_bias), (found.sigma_interval, true_sigma)):
        assert interval.shape == (2, 10)
        assert ((interval[0] <= value) & (value <= interval[1])).sum() >= 8
    # The error of a mean is sigma / sqrt(n), that of 1.4826 MAD sigma / sqrt(0.3675 * 2 n).
    width = np.diff(found.bias_interval, axis=0)[0] / (2 * 1.96)
    np.testing.assert_allclose(width, true_sigma / np.sqrt(found.count), rtol=0.2)
    width = np.diff(found.sigma_interval, axis=0)[0] / (2 * 1.96)
    np.testing.assert_allclose(width, true_sigma / np.sqrt(0.735 * found.count), rtol=0.35)


def test_few_objects_have_fewer_bins_of_ten():
    x = np.arange(35.0)
    found = trend(x, x, n_bins=10, n_resamples=0)
    assert len(found.count) == 3 and found.count.sum() == 35
    assert len(trend(x[:4], x[:4], n_resamples=0).count) == 1


def test_repeated_values_stay_in_one_bin():
    column = np.repeat([1.0, 2.0, 3.0], [300, 300, 400])
    error = column / 10
    found = trend(error, column, n_bins=2, n_resamples=0)
    np.testing.assert_array_equal(found.count, [300, 700])
    np.testing.assert_array_equal(found.edges, [1, 2, 3])
    np.testing.assert_allclose(found.bias, [0.1, bias(error[300:])])
    alone = trend(error, np.full(1000, 7.0), n_resamples=0)
    assert (alone.count, alone.center, alone.bias) == (1000, 7.0, pytest.approx(error.mean()))


def test_missing_values_are_left_out_and_counted(sample):
    error, magnitude = (values[:400].copy() for values in sample)
    magnitude[::8] = np.nan
    known = np.isfinite(magnitude)
    found = trend(error, magnitude, n_bins=5, n_resamples=50)
    alone = trend(error[known], magnitude[known], n_bins=5, n_resamples=50)
    assert (found.n_excluded, alone.n_excluded) == (50, 0)
    for name in ("edges", "center", "count", "bias", "sigma", "bias_interval", "sigma_interval"):
        np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
    empty = trend([0.1, 0.2], [np.nan, np.nan])
    assert empty.n_excluded == 2 and empty.count.shape == empty.bias.shape == (0,)
    assert empty.bias_interval.shape == (2, 0)


def test_the_order_of_rows_does_not_matter_without_resamples(sample):
    error, magnitude = sample
    order = np.random.default_rng(1).permutation(len(error))
    found = trend(error, magnitude, n_resamples=0)
    again = trend(error[order], magnitude[order], n_resamples=0)
    np.testing.assert_allclose(found.bias, again.bias, atol=1e-15)
    np.testing.assert_array_equal(found.sigma, again.sigma)


def test_a_column_of_another_length_is_refused():
    with pytest.raises(ConfigError, match="one value of the column per deviation"):
        trend([0.1, 0.2], [1.0])
    with pytest.raises(ConfigError, match="and a bin"):
        trend([0.1], [1.0], n_bins=0)
