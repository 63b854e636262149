"""Densities on a grid against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from astrocnn.targets import density_grid as dg

GRID = np.linspace(-1.0, 3.0, 401)[None]


def _rows(*distributions) -> tuple[np.ndarray, np.ndarray]:
    cdf = np.concatenate([d.cdf(GRID) for d in distributions])
    return np.broadcast_to(GRID, cdf.shape), cdf


DISTRIBUTIONS = (stats.norm(1.0, 0.2), stats.triang(0.3, 0.0, 2.0), stats.uniform(0.5, 1.0))


def test_quantiles_are_those_of_scipy():
    levels = np.array([0.02, 0.16, 0.5, 0.84, 0.98])
    grid, cdf = _rows(*DISTRIBUTIONS)
    found = dg.quantiles(grid, cdf, np.broadcast_to(levels, (3, 5)))
    expected = [d.ppf(levels) for d in DISTRIBUTIONS]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_level_is_reached_in_the_cell_that_ends_above_it():
    cdf = np.array([[0.0, 0.2, 0.2, 1.0]])
    levels = np.array([[0.0, 0.1, 0.2, 0.3, 1.0]])
    assert dg.cell(cdf, levels).tolist() == [[1, 1, 1, 3, 3]]
    grid = np.array([[0.0, 1.0, 2.0, 3.0]])
    np.testing.assert_allclose(dg.quantiles(grid, cdf, levels), [[0, 0.5, 1, 2.125, 3]])


def test_the_shortest_interval_of_a_normal_density_is_central():
    grid, cdf = _rows(stats.norm(1.0, 0.2), stats.norm(1.4, 0.1))
    for mass in (0.68, 0.95):
        low, high = dg.shortest_interval(grid, cdf, mass)
        half = stats.norm.ppf(0.5 + mass / 2)
        np.testing.assert_allclose(high - low, 2 * half * np.array([0.2, 0.1]), rtol=2e-3)
        np.testing.assert_allclose(low + high, [2.0, 2.8], atol=0.012)


def test_the_shortest_interval_of_a_slope_is_at_its_high_end():
    """Density 2x on 0 to 1: the interval that ends at 1 begins at sqrt(1 - mass)."""
    grid = np.linspace(0, 1, 2001)[None]
    low, high = dg.shortest_interval(grid, grid**2, 0.68)
    assert low[0] == pytest.approx(np.sqrt(0.32), abs=1e-5) and high[0] == 1.0


def test_of_equally_short_intervals_the_lowest_is_taken():
    grid = np.linspace(0, 1, 11)[None]
    low, high = dg.shortest_interval(grid, grid.copy(), 0.5)
    assert (low[0], high[0]) == pytest.approx((0.0, 0.5))


def test_the_mode_is_the_middle_of_the_highest_cell():
    grid, cdf = _rows(*DISTRIBUTIONS[:2])
    np.testing.assert_allclose(dg.mode(grid, cdf), [1.0, 0.6], atol=0.006)


def test_the_cdf_between_and_beyond_the_points():
    grid = np.array([[0.0, 1.0, 2.0]])
    cdf = np.array([[0.1, 0.5, 0.8]])
    values = [-0.1, 0.0, 0.25, 1.5, 1.999999, 2.0, 9.0]
    found = [dg.cdf_at(grid, cdf, np.array([v]))[0] for v in values]
    np.testing.assert_allclose(found, [0.0, 0.1, 0.2, 0.65, 0.8, 1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("m", [5, 50, 3000])
def test_a_smoothed_histogram_has_the_mean_and_variance_of_the_values(m):
    """The kernel does not widen the density: Silverman 1986, section 6.4."""
    rng = np.random.default_rng(m)
    values = rng.normal(0.5, 0.08, (7, m))
    edges = np.linspace(0, 1, 101)
    p = dg.smoothed_histogram(values, edges)
    centers = 0.5 * (edges[1:] + edges[:-1])
    mean = p @ centers
    variance = p @ centers**2 - mean**2 + 0.01**2 / 12
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_allclose(mean, values.mean(axis=1), atol=2e-4)
    np.testing.assert_allclose(variance, values.var(axis=1), rtol=0.03)


def test_a_smoothed_histogram_of_many_values_is_their_density():
    values = stats.norm(0.5, 0.1).ppf((np.arange(5000) + 0.5) / 5000)[None]
    edges = np.linspace(0, 1, 41)
    expected = np.diff(stats.norm(0.5, 0.1).cdf(edges))
    np.testing.assert_allclose(dg.smoothed_histogram(values, edges)[0], expected, atol=3e-3)


def test_values_beyond_the_bins_count_at_their_ends_and_nan_stays():
    edges = np.linspace(0, 1, 11)
    values = np.array([[-5.0] * 4, [7.0] * 4, [0.5, np.nan, 0.5, 0.5]])
    p = dg.smoothed_histogram(values, edges)
    assert p[0].argmax() == 0 and p[1].argmax() == 9
    np.testing.assert_allclose(p[:2].sum(axis=1), 1.0)
    assert np.isnan(p[2]).all()


def test_rows_do_not_depend_on_each_other():
    grid, cdf = _rows(*DISTRIBUTIONS)
    values = np.random.default_rng(1).normal(0.5, 0.1, (300, 9))
    edges = np.linspace(0, 1, 21)
    together = dg.smoothed_histogram(values, edges)
    for row in (0, 255, 256, 299):
        np.testing.assert_array_equal(
            dg.smoothed_histogram(values[row : row + 1], edges)[0], together[row]
        )
    low, high = dg.shortest_interval(grid, cdf, 0.68)
    for row in range(3):
        one = dg.shortest_interval(grid[row : row + 1], cdf[row : row + 1], 0.68)
        assert (one[0][0], one[1][0]) == (low[row], high[row])
