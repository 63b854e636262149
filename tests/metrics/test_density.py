from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from astrocnn import metrics
from astrocnn.errors import ConfigError
from astrocnn.metrics import Densities, credible_coverage, crps_ensemble
from astrocnn.metrics.density import MASS_FLOOR

EDGES = np.linspace(0.0, 0.4, 401)


def gaussians(mean, sigma, edges=EDGES):
    cdf = stats.norm.cdf(edges, np.asarray(mean)[:, None], sigma)
    cdf[:, 0], cdf[:, -1] = 0, 1
    return Densities(np.diff(cdf, axis=1), edges)


def gaussian_crps(x, mean, sigma):
    """Gneiting & Raftery (2007), the closed form below their equation 20."""
    t = (x - mean) / sigma
    return sigma * (t * (2 * stats.norm.cdf(t) - 1) + 2 * stats.norm.pdf(t) - 1 / np.sqrt(np.pi))


@pytest.fixture(scope="module")
def scoringrules():
    """Its import compiles for seconds: not while tests are collected, which each process does."""
    return importlib.import_module("scoringrules")


@pytest.fixture(scope="module")
def calibrated():
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.1, 0.3, 6000)
    sigma = 0.015
    return mean, sigma, rng.normal(mean, sigma), gaussians(mean, sigma)


@given(seed=st.integers(0, 10**6), n_bins=st.integers(1, 6))
def test_crps_of_bins_equals_scoringrules(scoringrules, seed, n_bins):
    """A density in bins is a mixture of uniform ones: E|X - y| - E|X - X'| / 2 over its parts."""
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.uniform(0.1, 1.0, n_bins + 1))
    masses = rng.dirichlet(np.ones(n_bins), 3)
    truth = rng.uniform(edges[0] - 1, edges[-1] + 1, 3)
    if n_bins == 1:
        expected = scoringrules.crps_uniform(truth, edges[0], edges[1])
        np.testing.assert_allclose(Densities(masses, edges).crps(truth), expected, atol=1e-12)
    # Equally probable values spread evenly in each bin approach the density.
    m = 4001
    levels = (np.arange(m) + 0.5) / m
    cdf = np.concatenate([np.zeros((3, 1)), np.cumsum(masses, axis=1)], axis=1)
    values = np.stack([np.interp(levels, row, edges) for row in cdf])
    expected = scoringrules.crps_ensemble(truth, values)
    np.testing.assert_allclose(Densities(masses, edges).crps(truth), expected, atol=1e-3)


def test_crps_and_likelihood_of_normal_densities_equal_scoringrules(scoringrules):
    rng = np.random.default_rng(3)
    mean, sigma = rng.uniform(0.12, 0.28, 200), 0.02
    truth = rng.normal(mean, sigma)
    p = gaussians(mean, sigma, np.linspace(0.0, 0.4, 4001))
    np.testing.assert_allclose(
        p.crps(truth), scoringrules.crps_normal(truth, mean, sigma), atol=1e-6
    )
    np.testing.assert_allclose(
        p.nll(truth), scoringrules.logs_normal(truth, mean, sigma), atol=0.02
    )


@given(seed=st.integers(0, 10**6), m=st.integers(1, 30))
def test_crps_of_an_ensemble_equals_scoringrules(scoringrules, seed, m):
    rng = np.random.default_rng(seed)
    draws, truth = np.round(rng.normal(size=(4, m)), 1), rng.normal(size=4)
    expected = scoringrules.crps_ensemble(truth, draws, estimator="nrg")
    np.testing.assert_allclose(crps_ensemble(draws, truth), expected, atol=1e-12)


def test_gaussians_have_their_closed_forms(calibrated):
    mean, sigma, truth, p = calibrated
    np.testing.assert_allclose(p.crps(truth), gaussian_crps(truth, mean, sigma), atol=2e-5)
    n = len(truth)
    assert p.crps(truth).mean() == pytest.approx(sigma / np.sqrt(np.pi), rel=5 / np.sqrt(n))
    # E[integral p^2] = 1 / (2 sigma sqrt(pi)), and the density at the truth has the same mean.
    closed = -1 / (2 * sigma * np.sqrt(np.pi))
    assert p.cde_loss(truth).mean() == pytest.approx(closed, rel=0.02)
    entropy = 0.5 * np.log(2 * np.pi * np.e * sigma**2)
    assert p.nll(truth).mean() == pytest.approx(entropy, abs=5 * np.sqrt(0.5 / n))
    np.testing.assert_allclose(p.nll(truth), -stats.norm.logpdf(truth, mean, sigma), atol=0.15)


def test_calibrated_pit_is_uniform_and_coverage_is_the_level(calibrated):
    _, _, truth, p = calibrated
    u = p.cumulative(truth)
    assert stats.kstest(u, "uniform").pvalue > 0.01
    stand = p.credible(truth)
    for level in (0.1, 0.5, 0.68, 0.95):
        error = np.sqrt(level * (1 - level) / len(truth))
        assert credible_coverage(*stand, level).mean() == pytest.approx(level, abs=4 * error)


@pytest.mark.parametrize("n_bins", [2, 5, 11])
def test_coverage_does_not_overshoot_in_coarse_bins(n_bins):
    rng = np.random.default_rng(1)
    masses = rng.dirichlet(np.ones(n_bins), 20000)
    bins = (rng.random(20000)[:, None] > masses.cumsum(axis=1)).sum(axis=1)
    edges = np.r_[0, rng.random(n_bins).cumsum()]
    truth = edges[bins] + rng.random(20000) * np.diff(edges)[bins]
    p = Densities(masses, edges)
    stand = p.credible(truth)
    for level in (0.3, 0.68, 0.95):
        assert credible_coverage(*stand, level).mean() == pytest.approx(level, abs=0.012)
    # What the rule is for: whole bins would promise 68 % and hold far more.
    assert (stand[0] < 0.68).mean() > 0.72
    # Against a direct search for the set of each object.
    density = masses[:300] / np.diff(edges)
    for i in range(300):
        order = np.argsort(-density[i])
        rank = int(np.flatnonzero(order == bins[i])[0])
        assert stand[0][i] == pytest.approx(masses[i][order[:rank]].sum())
        assert stand[1][i] == pytest.approx(masses[i][bins[i]])


def test_a_flat_density_shares_its_set_evenly():
    p = Densities(np.full((2, 4), 0.25), [0, 1, 2, 3, 4.0])
    np.testing.assert_allclose(credible_coverage(*p.credible([0.5, 3.5]), 0.68), 0.68)
    outside = Densities([[0.5, 0.5]], [0, 1, 2.0])
    assert credible_coverage(*outside.credible([9.0]), 0.95) == 0


@given(seed=st.integers(0, 10**6), n_bins=st.integers(1, 9))
def test_crps_equals_numerical_integration_of_any_bins(seed, n_bins):
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.uniform(0.2, 2, n_bins + 1))
    masses = rng.dirichlet(np.full(n_bins, 0.5), 1)
    x = rng.uniform(edges[0] - 1, edges[-1] + 1)
    cdf = np.r_[0, masses[0].cumsum()]

    def integrand(t):
        return (np.interp(t, edges, cdf) - (t >= x)) ** 2

    bounds = np.unique(np.r_[edges, x])
    pieces = itertools.pairwise(bounds)
    expected = sum(integrate.fixed_quad(integrand, a, b, n=5)[0] for a, b in pieces)
    p = Densities(masses, edges)
    assert p.crps([x])[0] == pytest.approx(expected, abs=1e-9)
    assert p.cumulative([x])[0] == pytest.approx(np.interp(x, edges, cdf), abs=1e-12)


def test_crps_of_a_sharp_bin_is_the_distance_and_of_draws_agrees():
    p = Densities([[0, 1.0, 0]], [0, 0.5, 0.5 + 1e-9, 1])
    assert p.crps([0.8])[0] == pytest.approx(0.3)
    assert crps_ensemble([[0.5]], [0.8])[0] == pytest.approx(0.3)
    rng = np.random.default_rng(3)
    draws = rng.normal(0.2, 0.02, (1, 20000))
    assert crps_ensemble(draws, [0.23])[0] == pytest.approx(
        gaussian_crps(0.23, 0.2, 0.02), rel=0.02
    )
    few = rng.normal(size=(4, 7))
    truth = rng.normal(size=4)
    pairs = np.abs(few[:, :, None] - few[:, None, :]).mean(axis=(1, 2))
    direct = np.abs(few - truth[:, None]).mean(axis=1) - pairs / 2
    np.testing.assert_allclose(crps_ensemble(few, truth), direct)


def test_the_prior_has_a_flat_pit_and_worse_proper_scores(calibrated):
    """The forecaster that gives everybody n(z), against which PIT alone is no defence."""
    _, _, truth, sharp = calibrated
    edges = np.linspace(0, 0.4, 81)
    share = np.histogram(truth, edges)[0] / len(truth)
    prior = Densities(np.tile(share, (len(truth), 1)), edges)
    assert stats.kstest(prior.cumulative(truth), "uniform").pvalue > 0.5
    assert prior.crps(truth).mean() > 3 * sharp.crps(truth).mean()
    assert prior.cde_loss(truth).mean() > sharp.cde_loss(truth).mean() + 5
    assert prior.nll(truth).mean() > sharp.nll(truth).mean() + 1


def test_proper_scores_prefer_the_true_width(calibrated):
    mean, sigma, truth, right = calibrated
    for factor in (0.5, 2.0):
        wrong = gaussians(mean, factor * sigma)
        for score in ("crps", "cde_loss", "nll"):
            better = getattr(right, score)(truth) - getattr(wrong, score)(truth)
            assert better.mean() < -3 * better.std() / np.sqrt(len(truth)), (score, factor)


def test_the_likelihood_of_a_certain_error_is_floored():
    p = Densities([[1.0, 0.0]], [0, 0.1, 0.2])
    assert p.nll([0.15])[0] == pytest.approx(-np.log(MASS_FLOOR / 0.1))
    assert p.nll([0.3])[0] == pytest.approx(-np.log(MASS_FLOOR / 0.1))
    assert p.at([0.05])[0] == pytest.approx(10)
    assert p.at([0.3])[0] == 0


def test_blocks_do_not_change_a_score(calibrated, monkeypatch):
    _, _, truth, p = calibrated
    crps, stand = p.crps(truth), p.credible(truth)
    monkeypatch.setattr("astrocnn.metrics.density._ELEMENTS_AT_ONCE", 4000)
    np.testing.assert_array_equal(p.crps(truth), crps)
    np.testing.assert_array_equal(p.credible(truth), stand)


@pytest.mark.parametrize(
    ("masses", "edges", "message"),
    [
        ([[0.5, 0.6]], [0, 1, 2], "do not sum to 1"),
        ([[-0.1, 1.1]], [0, 1, 2], "negative"),
        ([[np.nan, 1.0]], [0, 1, 2], "not finite"),
        ([[0.5, 0.5]], [0, 1], "one more than"),
        ([[0.5, 0.5]], [0, 1, 1], "rising"),
    ],
)
def test_invalid_densities_are_refused(masses, edges, message):
    with pytest.raises(ConfigError, match=message):
        Densities(masses, edges)


def test_true_values_must_match_the_densities():
    p = Densities([[0.5, 0.5]], [0, 1, 2])
    with pytest.raises(ConfigError, match="one true value per density"):
        p.at([0.5, 0.6])
    with pytest.raises(ConfigError, match="not finite"):
        p.cumulative([np.nan])
    assert metrics.average(p.crps([1.0])) == p.crps([1.0])[0]
