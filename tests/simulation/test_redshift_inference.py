"""The posterior of the redshift simulation is calibrated and equals importance sampling."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.table import Table
from scipy import stats

from astrocnn.errors import ConfigError
from astrocnn.simulation.redshift import (
    Galaxies,
    RedshiftSurvey,
    catalog_posterior,
    inference,
    posterior,
    sample_galaxies,
)
from astrocnn.simulation.redshift.galaxies import SPECTRAL_SCATTER, model_fluxes
from astrocnn.simulation.redshift.population import BANDS
from astrocnn.simulation.redshift.survey import redshift_table

pytest.importorskip("galsim")

EDGES = np.linspace(0.0, 0.4, 101)
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
N = 1200


@pytest.fixture(scope="module")
def galaxies() -> Galaxies:
    return sample_galaxies(N, seed=20)


@pytest.fixture(scope="module")
def masses(galaxies) -> np.ndarray:
    return posterior(galaxies.flux, galaxies.flux_error, galaxies.ebv, EDGES)


def pit(masses: np.ndarray, z: np.ndarray) -> np.ndarray:
    cumulative = np.hstack([np.zeros((len(masses), 1)), np.cumsum(masses, axis=1)])
    return np.array(
        [np.interp(value, EDGES, row) for value, row in zip(z, cumulative, strict=True)]
    )


def crps(masses: np.ndarray, z: np.ndarray) -> np.ndarray:
    cumulative = np.cumsum(masses, axis=1) - masses / 2
    return np.sum((cumulative - (z[:, None] <= MIDDLES)) ** 2, axis=1) * (EDGES[1] - EDGES[0])


def spread(masses: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(masses @ MIDDLES**2 - (masses @ MIDDLES) ** 2, 0))


def densest(masses: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Probability of all that is denser than the bin of the truth, and half of that bin."""
    place = np.clip(np.searchsorted(EDGES, z, side="right") - 1, 0, len(MIDDLES) - 1)
    own = masses[np.arange(len(z)), place]
    return np.sum(np.where(masses > own[:, None], masses, 0), axis=1) + own / 2


def test_pit_of_the_true_redshift_is_uniform(galaxies, masses):
    np.testing.assert_allclose(masses.sum(axis=1), 1.0)
    assert stats.kstest(pit(masses, galaxies.z), "uniform").pvalue > 0.01


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_coverage_of_highest_density_sets(galaxies, masses, level):
    covered = np.mean(densest(masses, galaxies.z) < level)
    sigma = np.sqrt(level * (1 - level) / N)
    assert abs(covered - level) < min(3 * sigma, 0.035)


def test_photometry_is_more_informative_than_the_prior(galaxies, masses):
    prior = np.histogram(sample_galaxies(20_000, seed=21).z, EDGES)[0] / 20_000
    known = crps(np.tile(prior, (N, 1)), galaxies.z)
    assert crps(masses, galaxies.z).mean() < 0.5 * known.mean()


def test_less_noise_narrows_the_posterior(masses, galaxies):
    noisy = dataclasses.replace(
        RedshiftSurvey(),
        bands=tuple(
            dataclasses.replace(band, sky_sigma=6 * band.sky_sigma)
            for band in RedshiftSurvey().bands
        ),
    )
    others = sample_galaxies(250, seed=20, survey=noisy)
    wide = posterior(others.flux, others.flux_error, others.ebv, EDGES)
    assert np.median(spread(wide)) > 1.2 * np.median(spread(masses))
    assert stats.kstest(pit(wide, others.z), "uniform").pvalue > 0.01
    error, smaller = (np.abs(m @ MIDDLES - g.z) for m, g in ((wide, others), (masses, galaxies)))
    assert np.median(error) > 1.1 * np.median(smaller)


def test_agrees_with_importance_sampling_of_the_simulator(galaxies):
    """Weights of 100,000 galaxies from a deeper draw, for fluxes with errors of 8 percent."""
    deeper = dataclasses.replace(RedshiftSurvey(), limit=20.0)
    universe = sample_galaxies(100_000, seed=22, survey=deeper)
    few = galaxies[:200]
    few = few[np.flatnonzero(few.flux.min(axis=1) > 0)[:6]]
    errors = 0.08 * few.flux
    masses = posterior(few.flux, errors, few.ebv, EDGES)
    total = np.hypot(errors, SPECTRAL_SCATTER * few.flux)
    for row in range(len(few)):
        ebv = np.full(len(universe), few.ebv[row])
        model = model_fluxes(
            universe.z,
            universe.spectral_type,
            universe.absolute_magnitude,
            universe.dust,
            ebv,
            BANDS,
        )
        chi2 = np.sum(((few.flux[row] - model) / total[row]) ** 2, axis=1)
        weights = np.exp(-0.5 * (chi2 - chi2.min()))
        weights /= weights.sum()
        effective = 1 / np.sum(weights**2)
        assert effective > 100
        mean = weights @ universe.z
        std = np.sqrt(weights @ (universe.z - mean) ** 2)
        assert abs(masses[row] @ MIDDLES - mean) < 4 * std / np.sqrt(effective) + 5e-4
        assert spread(masses[[row]])[0] == pytest.approx(std, rel=4 / np.sqrt(effective))
        order = np.argsort(universe.z)
        sampled = np.interp(EDGES, universe.z[order], np.cumsum(weights[order]))
        distance = np.abs(sampled[1:] - np.cumsum(masses[row])).max()
        assert distance < 1.95 / np.sqrt(effective) + 0.01  # Kolmogorov, 0.1 percent


def test_converged_with_a_finer_grid(galaxies, masses, monkeypatch):
    monkeypatch.setattr(inference, "TYPES", 3 * np.linspace(0, 1, 111) ** 1.5)
    monkeypatch.setattr(inference, "LOG_DUST", np.linspace(np.log(0.12), np.log(3.8), 30))
    monkeypatch.setattr(inference, "FINEST", 0.002)
    inference._grid.cache_clear()
    few = galaxies[:25]
    finer = posterior(few.flux, few.flux_error, few.ebv, EDGES)
    inference._grid.cache_clear()
    variation = 0.5 * np.abs(finer - masses[:25]).sum(axis=1)
    assert np.median(variation) < 0.005 and variation.max() < 0.06


def test_structure_adds_information_and_stays_calibrated(galaxies, masses):
    rows = slice(0, 600)
    both = posterior(
        galaxies.flux[rows],
        galaxies.flux_error,
        galaxies.ebv[rows],
        EDGES,
        structure=galaxies.structure[rows],
    )
    z = galaxies.z[rows]
    gain = crps(masses[rows], z) - crps(both, z)
    assert gain.mean() > 5 * gain.std() / np.sqrt(len(z))
    assert crps(both, z).mean() < 0.92 * crps(masses[rows], z).mean()
    assert stats.kstest(pit(both, z), "uniform").pvalue > 0.01


def test_structure_is_independent_of_redshift_errors_without_morphology(galaxies, masses):
    """Correlation of the error of the photometric redshift with the form of the galaxy."""
    shuffled = sample_galaxies(N, seed=20, survey=RedshiftSurvey(morphology=False))
    residual = stats.rankdata(pit(masses, galaxies.z))

    def correlations(structure):
        columns = [np.log(structure.r_e), structure.b_over_t, structure.cosine]
        return np.array([stats.spearmanr(residual, column).statistic for column in columns])

    noise = 1 / np.sqrt(N)
    assert np.abs(correlations(galaxies.structure)).max() > 6 * noise
    assert np.abs(correlations(shuffled.structure)).max() < 3.5 * noise


def test_posterior_from_catalogue_columns(galaxies, masses):
    table = redshift_table(galaxies[:20], RedshiftSurvey())
    np.testing.assert_allclose(catalog_posterior(table, EDGES), masses[:20], atol=1e-4)
    few = galaxies[:20]
    both = posterior(few.flux, few.flux_error, few.ebv, EDGES, structure=few.structure)
    from_table = catalog_posterior(table, EDGES, with_structure=True)
    np.testing.assert_allclose(from_table, both, atol=1e-4)
    with pytest.raises(ConfigError, match="not a catalogue of a redshift simulation"):
        catalog_posterior(Table({"ebv": [0.1]}), EDGES)


def test_non_finite_rows_are_nan_and_invalid_input_is_refused(galaxies):
    flux = galaxies.flux[:3].copy()
    flux[1, 2] = np.nan
    masses = posterior(flux, galaxies.flux_error, galaxies.ebv[:3], EDGES)
    assert np.isnan(masses[1]).all() and np.isfinite(masses[[0, 2]]).all()
    for edges, message in (([0.1, 0.1], "increasing"), ([0.5, 0.9], "exclude all redshifts")):
        with pytest.raises(ConfigError, match=message):
            posterior(flux, galaxies.flux_error, galaxies.ebv[:3], edges)
    with pytest.raises(ConfigError, match="must be positive"):
        posterior(flux, np.zeros(5), galaxies.ebv[:3], EDGES)


def test_rows_do_not_depend_on_each_other(galaxies, masses):
    order = np.random.default_rng(0).permutation(50)
    again = posterior(galaxies.flux[order], galaxies.flux_error, galaxies.ebv[order], EDGES)
    np.testing.assert_allclose(again, masses[order], atol=1e-9)
