from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm

from astrocnn.calibration import PitRemap
from astrocnn.calibration.base import compute_mean_masses, compute_quantiles
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.metrics import Densities, credible_coverage
from astrocnn.targets.families.binned import Binned

from .conftest import Z_BINNED, Z, gaussians


def _densities(family, samples):
    return Densities(compute_mean_masses(family, samples), family.edges)


def _coverage(family, samples, z, level):
    tail = (1 - level) / 2
    low, high = compute_quantiles(family, samples, (tail, 1 - tail)).T
    return ((low <= z) & (z <= high)).mean()


@pytest.mark.parametrize(("factor", "shift"), [(2.0, 0.0), (0.5, 0.0), (1.5, 0.7)])
@pytest.mark.parametrize("draws", [1, 4])
def test_intervals_of_incorrect_width_reach_their_coverage(factor, shift, draws, ones):
    samples, y = gaussians(2000, factor, shift=shift, draws=draws)
    remap = PitRemap.fit(Z.family, y, ones(y), samples)
    fresh, truth = gaussians(3000, factor, shift=shift, draws=draws, seed=1)
    after, family, z = remap.apply(Z.family, fresh), remap.family(Z.family), truth[:, 0]
    assert abs(_coverage(Z.family, fresh, z, 0.68) - 0.68) > 0.05
    for level in (0.5, 0.68, 0.95):
        assert _coverage(family, after, z, level) == pytest.approx(level, abs=0.025)
    remapped = _densities(family, after)
    for level in (0.68, 0.95):
        assert credible_coverage(*remapped.credible(z), level).mean() == pytest.approx(
            level, abs=0.03
        )
    assert remapped.crps(z).mean() < _densities(Z.family, fresh).crps(z).mean()
    assert kstest(remapped.cumulative(z), "uniform").statistic < 0.03


def test_gaussians_half_as_wide_as_the_truth_get_the_true_width(ones):
    samples, y = gaussians(12000, 2.0)
    remap = PitRemap.fit(Z.family, y, ones(y), samples)
    remapped = remap.apply(Z.family, np.array([[[0.5, 0.03]]], np.float32))[0, 0]
    expected = np.diff(norm.cdf(Z.family.edges, 0.5, 0.06))
    np.testing.assert_allclose(np.cumsum(remapped), np.cumsum(expected), atol=0.015)
    assert np.abs(remapped - expected).max() < 0.15 * expected.max()


def test_the_binned_family_is_remapped_alike(ones):
    samples, y = gaussians(1500, 2.0)
    binned = Z.family.masses(samples).astype(np.float32)
    a = PitRemap.fit(Z.family, y, ones(y), samples)
    b = PitRemap.fit(Z_BINNED.family, y, ones(y), binned)
    np.testing.assert_allclose(a.y, b.y, atol=0.02)
    assert b.family(Z_BINNED.family) == Binned(0.0, 1.0, n_bins=200)
    out = b.apply(Z_BINNED.family, binned)
    np.testing.assert_allclose(out, a.apply(Z.family, samples), atol=2e-3)
    np.testing.assert_allclose(out.sum(axis=-1), 1, atol=1e-5)


def test_calibrated_densities_are_nearly_unchanged(ones):
    # Among many samples of chance alone, the map departs less than the empirical one would.
    gaps = []
    for seed in range(20):
        samples, y = gaussians(150, 1.0, seed=seed)
        remap = PitRemap.fit(Z.family, y, ones(y), samples)
        gaps.append(np.abs(np.subtract(remap.x, remap.y)).max())
    assert np.median(gaps) < 0.06
    identity = PitRemap((-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0))
    same = identity.apply(Z.family, samples)
    np.testing.assert_allclose(same, Z.family.masses(samples), atol=1e-6)


def test_few_objects_change_little(ones):
    fresh, truth = gaussians(3000, 2.0, seed=99)
    before = _densities(Z.family, fresh).crps(truth[:, 0]).mean()
    for seed in range(5):
        samples, y = gaussians(100, 2.0, seed=seed)
        remap = PitRemap.fit(Z.family, y, ones(y), samples)
        remapped = _densities(remap.family(Z.family), remap.apply(Z.family, fresh))
        assert remapped.crps(truth[:, 0]).mean() < before
        np.testing.assert_array_less(0, np.diff(remap.y))


def test_catastrophic_outliers_do_not_change_the_bulk(ones):
    rng = np.random.default_rng(5)
    samples, y = gaussians(2000, 1.0)
    y[:40, 0] = rng.uniform(0, 1, 40)
    remap = PitRemap.fit(Z.family, y, ones(y), samples)
    remapped = remap.apply(Z.family, np.array([[[0.5, 0.03]]], np.float32))[0, 0]
    low, high = np.interp([0.16, 0.84], np.cumsum(remapped), Z.family.edges[1:])
    assert (high - low) / 2 == pytest.approx(0.03, rel=0.12)


def test_draws_far_apart_are_remapped_to_finite_densities(ones):
    # The mean over draws is too wide whatever is done to each draw.
    rng = np.random.default_rng(0)
    z = rng.normal(0.5, 0.005, 600)
    means = rng.normal(0.5, 0.1, (5, 600))
    samples = np.stack([means, np.full_like(means, 0.02)], axis=-1).astype(np.float32)
    remap = PitRemap.fit(Z.family, z[:, None], np.ones(600), samples)
    assert np.isfinite(remap.y).all()
    np.testing.assert_allclose(remap.apply(Z.family, samples).sum(axis=-1), 1, atol=1e-5)


def test_rows_without_a_prediction_remain_nan(ones):
    samples, y = gaussians(300, 2.0)
    remap = PitRemap.fit(Z.family, y, ones(y), samples)
    holed = samples.copy()
    holed[:, 7] = np.nan
    out = remap.apply(Z.family, holed)
    assert np.isnan(out[:, 7]).all()
    rest = np.arange(300) != 7
    np.testing.assert_array_equal(out[:, rest], remap.apply(Z.family, samples)[:, rest])


def test_too_few_objects_and_invalid_parameters_are_refused(ones):
    samples, y = gaussians(99, 2.0)
    with pytest.raises(PredictionError, match=r"(?s)too few.*99 objects.*100 or more"):
        PitRemap.fit(Z.family, y, ones(y), samples)
    with pytest.raises(ConfigError, match="rising"):
        PitRemap((0.0, 0.0), (0.0, 1.0))
    with pytest.raises(ConfigError, match="pairs"):
        PitRemap((0.0, 1.0), (0.0, 1.0, 2.0))
