"""Expectations of scores under known distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from astrocnn import metrics
from astrocnn.metrics import Densities, credible_coverage, crps_ensemble, log_loss, mean_over_draws

N = 200_000


@pytest.mark.parametrize(
    ("distribution", "mad", "iqr"),
    [
        (stats.norm(0.1, 0.02), 0.02 * stats.norm.ppf(0.75), 0.04 * stats.norm.ppf(0.75)),
        (stats.laplace(0, 0.03), 0.03 * np.log(2), 0.06 * np.log(2)),
        (stats.cauchy(0, 0.01), 0.01, 0.02),
        (stats.uniform(-0.2, 0.4), 0.1, 0.2),
    ],
    ids=["normal", "Laplace", "Cauchy", "uniform"],
)
def test_scatter_of_known_distributions(distribution, mad, iqr):
    # Stratified, so that the quantiles of the sample are those of the distribution.
    x = np.random.default_rng(0).permutation(distribution.ppf((np.arange(N) + 0.5) / N))
    assert metrics.sigma_mad(x) == pytest.approx(1.4826 * mad, rel=1e-4)
    assert metrics.sigma_iqr(x) == pytest.approx(iqr / 1.349, rel=1e-4)
    assert metrics.bias_median(x) == pytest.approx(distribution.median(), abs=1e-6)
    outside = distribution.cdf(-0.05) + distribution.sf(0.05)
    assert metrics.outlier_fraction(x, 0.05) == pytest.approx(outside, abs=2 / N)


@pytest.fixture(scope="module", params=[0.5, 1.0, 2.0])
def misjudged(request):
    """True values around densities of a width that is wrong by a factor."""
    rng = np.random.default_rng(0)
    true, claimed = 0.02, 0.02 * request.param
    edges = np.linspace(-0.3, 0.3, 601)
    masses = np.diff(stats.norm.cdf(edges, 0, claimed))
    truth = rng.normal(0, true, 4000)
    densities = Densities(np.tile(masses / masses.sum(), (4000, 1)), edges)
    return true, claimed, truth, densities


def test_expected_crps_of_a_misjudged_width(misjudged):
    """E CRPS = sqrt(2 (s^2 + t^2) / pi) - s / sqrt(pi) for a width s in place of t."""
    true, claimed, truth, densities = misjudged
    expected = np.sqrt(2 / np.pi * (claimed**2 + true**2)) - claimed / np.sqrt(np.pi)
    found = densities.crps(truth)
    assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(len(truth)))


def test_expected_likelihood_of_a_misjudged_width(misjudged):
    """Cross entropy of two normal distributions: log(s sqrt(2 pi)) + t^2 / (2 s^2)."""
    true, claimed, truth, densities = misjudged
    expected = np.log(claimed * np.sqrt(2 * np.pi)) + true**2 / (2 * claimed**2)
    found = densities.nll(truth)
    assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(len(truth)))


def test_coverage_and_pit_of_a_misjudged_width(misjudged):
    """Sets of level p cover 2 Phi(z_p s / t) - 1, and the PIT is Phi(Phi^-1(u) s / t)."""
    true, claimed, truth, densities = misjudged
    ratio, scatter = claimed / true, 2 / np.sqrt(len(truth))
    stand = densities.credible(truth)
    for level in (0.5, 0.68, 0.95):
        expected = 2 * stats.norm.cdf(ratio * stats.norm.ppf((1 + level) / 2)) - 1
        assert credible_coverage(*stand, level).mean() == pytest.approx(expected, abs=scatter)
    u = np.linspace(1e-4, 1 - 1e-4, 9999)
    largest = np.abs(stats.norm.cdf(ratio * stats.norm.ppf(u)) - u).max()
    assert metrics.pit_ks(densities.cumulative(truth)) == pytest.approx(largest, abs=scatter)


def test_crps_of_draws_is_unbiased_in_the_number_of_draws():
    """The mean over m draws exceeds that of the distribution by E|X - X'| / (2 m)."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=20000)
    for m in (1, 4, 16):
        found = crps_ensemble(rng.normal(size=(20000, m)), truth).mean()
        # Of a standard normal distribution CRPS is 1 / sqrt(pi), and E|X - X'| 2 / sqrt(pi).
        assert found == pytest.approx((1 + 1 / m) / np.sqrt(np.pi), rel=0.02)


def test_log_loss_of_calibrated_probabilities_is_their_entropy():
    rng = np.random.default_rng(2)
    p = rng.dirichlet([1, 2, 3], 20000)
    truth = np.eye(3)[(rng.random(20000)[:, None] > p.cumsum(axis=1)).sum(axis=1)]
    entropy = metrics.predictive_entropy(p[None])
    assert log_loss(p, truth) == pytest.approx(entropy.mean(), abs=0.02)
    # Of a Dirichlet distribution with mean m and total 6: E[-sum p log p], digamma form.
    alpha, total = np.array([1, 2, 3]), 6
    digamma = np.array([-np.euler_gamma + sum(1 / k for k in range(1, n)) for n in alpha + 1])
    at_total = -np.euler_gamma + sum(1 / k for k in range(1, total + 1))
    assert entropy.mean() == pytest.approx(at_total - alpha / total @ digamma, abs=0.01)


def test_mean_over_draws_equals_numpy_and_keeps_equal_draws():
    rng = np.random.default_rng(3)
    draws = rng.random((7, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(mean_over_draws(draws), draws.mean(axis=0, dtype=float), rtol=1e-12)
    np.testing.assert_array_equal(mean_over_draws(iter(draws)), mean_over_draws(draws))
    # A plain mean of equal numbers is not always that number.
    equal = np.repeat(draws[:1], 7, axis=0)
    np.testing.assert_array_equal(mean_over_draws(equal), draws[0].astype(float))


def test_no_positive_object_is_needed_for_an_empty_ranking():
    nothing = metrics.Ranking(np.zeros(0, bool), np.zeros(0))
    weights = np.ones((3, 0))
    for name, arguments in [("auc", ()), ("average_precision", ()), ("fpr_at_tpr", (0.9,))]:
        found = getattr(nothing, name)(*arguments, weights)
        assert found.shape == (3,) and np.isnan(found).all()
    assert nothing.thresholds.shape == (0,)
