"""Fitted parameters and their distribution under models that can be solved."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from astrocnn.calibration import ConformalIntervals, ConformalSets, Novelty, PitRemap, Temperature
from astrocnn.calibration._fitting import compute_expected_scores, split_halves
from astrocnn.calibration.base import (
    compute_mean_masses,
    compute_mean_probabilities,
    compute_quantiles,
    find_labelled,
)
from astrocnn.calibration.conformal import compute_cutoff, count_rows_needed, format_level
from astrocnn.errors import PredictionError
from astrocnn.targets import Bernoulli, Target

from .conftest import KIND, Z, classes, gaussians


@pytest.mark.parametrize(
    ("level", "least"), [(0.5, 1), (0.68, 3), (0.9, 9), (0.95, 19), (0.99, 99), (0.997, 333)]
)
def test_objects_that_a_level_needs(level, least):
    """With n objects the largest score covers n / (n + 1) of new ones."""
    assert count_rows_needed(level) == least
    scores = np.random.default_rng(0).random(least)
    assert compute_cutoff(scores, level, "a test") == scores.max()
    if least > 1:
        with pytest.raises(PredictionError, match=f"(?s)a test.*{least} or more"):
            compute_cutoff(scores[1:], level, "a test")


@pytest.mark.parametrize(("n", "level"), [(50, 0.9), (200, 0.68), (99, 0.95)])
def test_coverage_follows_the_beta_distribution(n, level):
    """Vovk (2012), Machine Learning 92, 349: the coverage of one calibration is Beta(k, n + 1 - k).

    With uniform scores the cutoff itself is the coverage of new objects.
    """
    rng = np.random.default_rng(1)
    coverage = [compute_cutoff(rng.random(n), level, "") for _ in range(4000)]
    k = int(np.ceil((n + 1) * level - 1e-9))
    expected = stats.beta(k, n + 1 - k)
    assert stats.kstest(coverage, expected.cdf).pvalue > 0.001
    assert np.mean(coverage) >= level - 4 * expected.std() / np.sqrt(4000)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_intervals_of_normal_densities_are_stretched_by_the_ratio_of_widths(factor, ones):
    """(|z| t - z s) / (2 z s) is the score, so that Q = (t / s - 1) / 2 at every level."""
    samples, z = gaussians(20000, factor)
    made = ConformalIntervals.fit(Z, z, ones(z), samples, levels=(0.5, 0.68, 0.95))
    np.testing.assert_allclose(np.ravel(made.stretch), (factor - 1) / 2, atol=0.03)
    scores = made.score(Z.family, z, samples)
    for level in (0.5, 0.68, 0.95):
        label = f"conf{format_level(level)}"
        assert scores[f"{label}_coverage"] == pytest.approx(level, abs=1e-3)
        # Twice the normal quantile times the true width, whose mean is 0.03 x factor.
        width = 2 * stats.norm.ppf((1 + level) / 2) * 0.03 * factor
        assert scores[f"{label}_width"] == pytest.approx(width, rel=0.03)


def test_sets_of_two_equally_likely_classes(ones):
    """For p uniform on [1/2, 1] the score 1 - p of the true class has a known distribution."""
    rng = np.random.default_rng(2)
    p = rng.uniform(0.5, 1, 40000)
    correct = rng.random(40000) < p
    target = Target("q", Bernoulli(), "q")
    made = ConformalSets.fit(
        target,
        correct.astype(np.float32)[:, None],
        ones(p),
        p[None, :, None],
        levels=(0.9,),
        by_class=False,
    )
    # P(score <= c) = 3/4 + the integral from 1/2 to c of 2 p over the incorrect: 1 - (1 - c)^2.
    cutoff = 1 - np.sqrt(0.1)
    assert made.cutoffs[0][0] == pytest.approx(cutoff, abs=0.01)
    # Both classes are in the set where the larger probability is at most the cutoff.
    inside = made.members(np.stack([1 - p, p], axis=1))[0]
    assert inside.sum(axis=1).mean() == pytest.approx(1 + 2 * (cutoff - 0.5), abs=0.02)


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_the_temperature_is_the_slope_of_a_logistic_regression(factor, ones):
    rng = np.random.default_rng(3)
    x = rng.normal(0, 2, 4000)
    yes = rng.random(4000) < expit(x / factor)
    samples = expit(x)[None, :, None]
    made = Temperature.fit(Bernoulli(), yes.astype(float)[:, None], ones(x), samples)
    oracle = LogisticRegression(C=1e10, fit_intercept=False).fit(x[:, None], yes)
    # The prior on log T, as strong as one object, draws T a little towards 1.
    assert made.temperature == pytest.approx(1 / oracle.coef_[0, 0], rel=4e-3)
    near = np.abs(x) < 2
    remapped = made.apply(Bernoulli(), samples)[0, near, 0].astype(float)
    np.testing.assert_allclose(logit(remapped), x[near] / made.temperature, atol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_pit_remap_of_normal_densities_is_a_line(shift, ones):
    """A width wrong by a factor f and a shift of d widths: R(u) = Phi((Phi^-1(u) - d) / f)."""
    factor = 1.6
    samples, z = gaussians(20000, factor, shift=shift)
    made = PitRemap.fit(Z.family, z, ones(z), samples)
    x, y = np.array(made.x), np.array(made.y)
    inner = np.abs(x) < 2
    np.testing.assert_allclose(y[inner], (x[inner] - shift) / factor, atol=0.05)


@pytest.mark.parametrize("d", [2, 6])
def test_novelty_of_normal_features_is_the_chi_distribution(d):
    rng = np.random.default_rng(4)
    # Correlated features in different units.
    mixing = (np.eye(d) + 0.2) * np.arange(1, d + 1)
    made = Novelty.fit(*(rng.normal(size=(2, 8000, d)) @ mixing + 3))
    radius = np.linspace(0.5, 4, 8)
    direction = rng.normal(size=(8, d))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    fraction, distance = made.score((radius[:, None] * direction) @ mixing + 3)
    np.testing.assert_allclose(distance, radius, rtol=0.05)
    np.testing.assert_allclose(fraction, stats.chi(d).cdf(radius), atol=0.035)


def test_quantiles_and_probabilities_of_a_mixture_of_draws():
    """Draws at 0.4 and 0.6 with equal widths: the median is in the middle, tails are halved."""
    width = 0.02
    samples = np.array([[[0.4, width]], [[0.6, width]]], np.float32)
    masses = compute_mean_masses(Z.family, samples)
    assert masses.shape == (1, 200) and masses.sum() == pytest.approx(1)
    assert masses[0, :100].sum() == pytest.approx(0.5)
    levels = (0.1, 0.25, 0.75, 0.9)
    found = compute_quantiles(Z.family, samples, levels)[0]
    low = [0.4 + width * stats.norm.ppf(2 * level) for level in levels[:2]]
    np.testing.assert_allclose(found[:2], low, atol=2e-4)
    np.testing.assert_allclose(found[2:], 1 - np.array(low)[::-1], atol=2e-4)
    p = np.array([[[0.2, 0.3, 0.5]], [[0.4, 0.5, 0.1]]], np.float32)
    np.testing.assert_allclose(
        compute_mean_probabilities(KIND.family, p), [[0.3, 0.4, 0.3]], atol=1e-7
    )
    missing = compute_quantiles(Z.family, np.full((1, 2, 2), np.nan, np.float32), levels)
    assert missing.shape == (2, 4) and np.isnan(missing).all()


def test_expected_scores_are_the_means_of_calibrated_samples():
    """The mean Kolmogorov distance of n uniform numbers is sqrt(pi / 2) log 2 / sqrt(n)."""
    rng = np.random.default_rng(5)
    n = 400
    expected = compute_expected_scores(Z.family, np.empty((1, n, 2)))["pit_ks"]
    distances = [stats.kstest(rng.random(n), "uniform").statistic for _ in range(500)]
    assert expected == pytest.approx(np.mean(distances), rel=0.05)
    # One bin, all objects with the same probability: E|hits - n p| of a binomial number.
    p = np.full((1, n, 3), [0.8, 0.1, 0.1])
    found = compute_expected_scores(KIND.family, p)["ece"]
    hits = np.arange(n + 1)
    exact = stats.binom(n, 0.8).pmf(hits) @ np.abs(hits / n - 0.8)
    assert found == pytest.approx(exact, rel=0.01)


def test_halves_share_no_object_and_depend_on_the_seed_alone():
    rows = np.arange(3, 104)
    first, second = split_halves(rows, seed=1)
    assert len(first) - len(second) == 1
    np.testing.assert_array_equal(np.sort(np.r_[first, second]), rows)
    np.testing.assert_array_equal(first, split_halves(rows, seed=1)[0])
    assert not np.array_equal(first, split_halves(rows, seed=2)[0])


def test_labelled_rows_have_a_weight_and_a_finite_prediction_in_every_draw():
    samples, y = classes(12, 1.0, draws=3)
    weight = np.ones(12)
    weight[[1, 4]] = 0
    samples[2, 7, 1] = np.nan
    samples[0, 9, 0] = np.inf
    rows = find_labelled(KIND.family, y, weight, samples)
    np.testing.assert_array_equal(rows, [0, 2, 3, 5, 6, 8, 10, 11])
    for wrong in (samples[:, :5], samples[0], samples[..., :2]):
        with pytest.raises(PredictionError, match="do not belong together"):
            find_labelled(KIND.family, y, weight, wrong)
