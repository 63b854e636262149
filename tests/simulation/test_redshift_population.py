"""Galaxies of the redshift survey against their densities, by independent numerical integration."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import simpson

from astrocnn.errors import ConfigError
from astrocnn.simulation.canvas import get_canvas
from astrocnn.simulation.redshift import Galaxies, RedshiftSurvey, sample_galaxies
from astrocnn.simulation.redshift.galaxies import (
    REACH,
    SPECTRAL_SCATTER,
    asinh_magnitude,
    flux_weights,
    model_fluxes,
)
from astrocnn.simulation.redshift.population import (
    BULGE_SCATTER,
    LEAST_COSINE,
    POPULATIONS,
    RADIUS_SCATTER,
    REDSHIFTS,
    bulge_logit,
    dust_given_inclination,
    kiloparsec_per_arcsec,
    load_templates,
    log_radius,
    sample_density,
)
from astrocnn.simulation.redshift.survey import build_objects, morphology_label

galsim = pytest.importorskip("galsim")

SURVEY = RedshiftSurvey()
N = 6000


@pytest.fixture(scope="module")
def galaxies() -> Galaxies:
    return sample_galaxies(N, seed=31)


@pytest.fixture(scope="module")
def universe() -> dict[str, np.ndarray]:
    """Weighted galaxies before selection, uniform in redshift, type, magnitude and inclination.

    The weights are the product of the published densities and of the probability that the
    measured r flux, normal about the model, is above the limit.
    """
    rng = np.random.default_rng(1)
    n = 400_000
    z = rng.uniform(*REDSHIFTS, n)
    spectral_type = rng.uniform(0, 3, n)
    magnitude = rng.uniform(-25, -15, n)
    cosine = rng.uniform(LEAST_COSINE, 1, n)
    dust = (0.3 + 1.7 * (1 - cosine)) * np.exp(0.2 * rng.standard_normal(n))
    ebv = np.minimum(rng.exponential(0.03, n), 0.3)
    hubble = 70 * np.sqrt(0.3 * (1 + z) ** 3 + 0.7)
    grid = np.linspace(0, 0.4, 4001)
    steps = 299792.458 / (70 * np.sqrt(0.3 * (1 + grid) ** 3 + 0.7))
    comoving = np.interp(z, grid, np.append(0, np.cumsum((steps[1:] + steps[:-1]) / 2) * 1e-4))
    volume = comoving**2 * 299792.458 / hubble
    density = sum(
        0.4
        * np.log(10)
        * p.density
        * 10 ** (-0.4 * (magnitude - p.magnitude) * (p.slope + 1))
        * np.exp(-(10 ** (-0.4 * (magnitude - p.magnitude))))
        * stats.truncnorm.pdf(
            spectral_type,
            -p.mean_type / p.type_spread,
            (3 - p.mean_type) / p.type_spread,
            p.mean_type,
            p.type_spread,
        )
        for p in POPULATIONS
    )
    flux = model_fluxes(z, spectral_type, magnitude, dust, ebv, SURVEY.names)[:, SURVEY.selection]
    error = np.hypot(SURVEY.flux_error[SURVEY.selection], SPECTRAL_SCATTER * flux)
    limit = 10 ** (0.4 * (31.4 - SURVEY.limit))
    weight = volume * density * stats.norm.sf((limit - flux) / error)
    return {
        "z": z,
        "spectral_type": spectral_type,
        "absolute_magnitude": magnitude,
        "ebv": ebv,
        "dust": dust,
        "weight": weight / weight.sum(),
    }


@pytest.mark.parametrize("name", ["z", "spectral_type", "absolute_magnitude", "dust", "ebv"])
def test_distributions_are_those_of_the_densities(galaxies, universe, name):
    """Kolmogorov-Smirnov distance of samples from the weighted universe."""
    order = np.argsort(universe[name])
    cumulative = np.cumsum(universe["weight"][order])
    sample = np.sort(getattr(galaxies, name))
    expected = np.interp(sample, universe[name][order], cumulative)
    distance = np.abs(expected - (np.arange(N) + 0.5) / N).max()
    effective = 1 / np.sum(universe["weight"] ** 2)
    assert effective > 5000
    # 1.95 is the 0.1 percent point of the Kolmogorov distribution, for both samples together.
    assert distance < 1.95 * np.sqrt(1 / N + 1 / effective)


def test_dust_depends_on_inclination_as_declared(galaxies):
    """Logarithm of the dust about its median: selection by brightness favors less dust."""
    median = 0.3 + 1.7 * (1 - galaxies.structure.cosine)
    offset = np.log(galaxies.dust / median) / 0.2
    assert offset.mean() == pytest.approx(0, abs=0.12)
    assert offset.std() == pytest.approx(1, abs=0.05)
    fine = np.linspace(1e-3, 12, 20001)
    for cosine in (0.2, 0.6, 1.0):
        density = dust_given_inclination(fine, cosine)
        assert np.trapezoid(density, fine) == pytest.approx(1, abs=1e-4)
        # Mean of a log-normal distribution.
        mean = (0.3 + 1.7 * (1 - cosine)) * np.exp(0.02)
        assert np.trapezoid(fine * density, fine) == pytest.approx(mean, rel=1e-3)


def test_radii_and_bulges_scatter_normally_about_their_relations(galaxies):
    """Sizes do not enter the selection: residuals are exactly standard normal."""
    s = galaxies.structure
    radius = np.log10(s.r_e * kiloparsec_per_arcsec(galaxies.z))
    radius -= log_radius(galaxies.spectral_type, galaxies.absolute_magnitude)
    logit = np.log(s.b_over_t / (1 - s.b_over_t)) - bulge_logit(galaxies.spectral_type)
    assert stats.kstest(radius / RADIUS_SCATTER, "norm").pvalue > 0.001
    assert stats.kstest(logit / BULGE_SCATTER, "norm").pvalue > 0.001
    assert stats.kstest(s.position_angle / 180, "uniform").pvalue > 0.001


def test_sizes_of_luminous_galaxies_are_those_of_shen():
    """Shen et al. 2003, figure 4: late types near 5 kpc and early types near 4 kpc at M* - 0.3."""
    late, early = 10 ** log_radius(np.array([2.0, 0.0]), np.array([-21.0, -21.0]))
    assert late == pytest.approx(5.0, rel=0.15) and early == pytest.approx(4.0, rel=0.15)


def test_measured_fluxes_have_the_stated_noise(galaxies):
    """Away from the limit, where selection does not act: normal with the error of the survey."""
    bright = galaxies.flux[:, 2] > 1.5 * 10 ** (0.4 * (31.4 - SURVEY.limit))
    pull = ((galaxies.flux - galaxies.true_flux) / galaxies.flux_error)[bright]
    for column in pull.T:
        assert stats.kstest(column, "norm").pvalue > 0.001
    correlation = np.corrcoef(pull.T) - np.eye(5)
    assert np.abs(correlation).max() < 4 / np.sqrt(bright.sum())


def test_true_fluxes_scatter_about_the_templates(galaxies):
    model = model_fluxes(
        galaxies.z,
        galaxies.spectral_type,
        galaxies.absolute_magnitude,
        galaxies.dust,
        galaxies.ebv,
        SURVEY.names,
    )
    scatter = np.log(galaxies.true_flux / model) / SPECTRAL_SCATTER
    # u and z play no part in the selection.
    for band in (0, 4):
        assert stats.kstest(scatter[:, band], "norm").pvalue > 0.001


def test_catalogue_is_complete_to_its_limit(galaxies):
    limit = 10 ** (0.4 * (31.4 - SURVEY.limit))
    assert galaxies.flux[:, SURVEY.selection].min() > limit
    deeper = sample_galaxies(N, seed=31, survey=dataclasses.replace(SURVEY, limit=20.0))
    # Euclidean counts rise by 10^0.6 a magnitude; at these redshifts somewhat less.
    brighter = np.mean(deeper.flux[:, SURVEY.selection] > limit)
    assert 10**-0.6 < brighter < 10**-0.35


def test_galaxies_do_not_depend_on_their_number(galaxies):
    few = sample_galaxies(40, seed=31)
    for field in dataclasses.fields(Galaxies):
        if field.name not in ("structure", "flux_error"):
            np.testing.assert_array_equal(
                getattr(few, field.name), getattr(galaxies, field.name)[:40]
            )
    np.testing.assert_array_equal(few.structure.r_e, galaxies.structure.r_e[:40])
    assert not np.intersect1d(few.id, sample_galaxies(40, seed=32).id).size


def test_galactic_reddening_can_be_fixed():
    reddened = sample_galaxies(200, seed=3, ebv=0.2)
    assert (reddened.ebv == 0.2).all()
    dimming = 10 ** (-0.4 * 0.2 * load_templates().galactic_extinction)
    plain = model_fluxes(
        reddened.z,
        reddened.spectral_type,
        reddened.absolute_magnitude,
        reddened.dust,
        np.zeros(200),
        SURVEY.names,
    )
    ratio = reddened.true_flux / plain
    np.testing.assert_allclose(np.exp(np.log(ratio).mean(axis=0)), dimming, rtol=0.01)


@pytest.mark.parametrize("z", [0.05, 0.2, 0.35])
@pytest.mark.parametrize("band", ["u", "g", "z"])
def test_relative_fluxes_are_integrals_of_redshifted_templates(z, band):
    """Hogg et al. 2002, equation 8, by Simpson's rule on a fine grid."""
    share = Path(galsim.meta_data.share_dir)
    wavelength, spectrum = np.loadtxt(share / "SEDs" / "CWW_Sbc_ext.sed").T  # [Angstrom]

    def mean_flux(name, redshift):
        x, through = np.loadtxt(share / "bandpasses" / f"LSST_{name}.dat").T  # [nm]
        fine = np.linspace(x[0], x[-1], 20_001)
        through = np.interp(fine, x, through)
        emitted = np.interp(10 * fine / (1 + redshift), wavelength, spectrum)
        return simpson(emitted * through * fine, x=fine) / simpson(through / fine, x=fine)

    expected = mean_flux(band, z) / (1 + z) / mean_flux("r", 0.0)
    flux = load_templates((band,)).fluxes(np.array([z]), np.array([1.0]), np.ones(1))[0, 0]
    assert flux == pytest.approx(expected, rel=2e-3)


def test_sampling_follows_a_tabulated_density():
    grid = np.linspace(0, 1, 501)
    sample = sample_density(np.random.default_rng(0), grid, 3 * grid**2, 20_000)
    assert stats.kstest(sample, lambda x: x**3).pvalue > 0.001


def test_asinh_magnitudes_have_their_closed_form():
    """Lupton, Gunn & Szalay 1999: m = m0 - a [asinh(x / 2b) + ln b], error by its derivative."""
    error = np.array([50.0])
    flux = np.linspace(-200, 5000, 53)[:, None]
    magnitude, magnitude_error = asinh_magnitude(flux, error)
    bright = flux > 20 * error
    np.testing.assert_allclose(magnitude[bright], 31.4 - 2.5 * np.log10(flux[bright]), atol=3e-3)
    step = 1e-3
    slope = (asinh_magnitude(flux + step, error)[0] - asinh_magnitude(flux - step, error)[0]) / 2
    np.testing.assert_allclose(magnitude_error, -slope / step * error, rtol=1e-6)
    assert np.all(np.diff(magnitude[:, 0]) < 0)  # also for negative fluxes
    assert asinh_magnitude(np.zeros((1, 1)), error)[0][0, 0] == pytest.approx(
        31.4 - 2.5 * np.log10(50)
    )


@pytest.mark.parametrize("band", SURVEY.bands, ids=SURVEY.names)
def test_weights_recover_the_flux_of_a_typical_galaxy_in_noise(band):
    """Optimal weights: unbiased, with the error that the survey states."""
    canvas = get_canvas(64, band.pixel_scale, 2)
    disk = canvas.exponential(1.2, 1.0, 0.0)
    image = canvas.render(disk[None], np.full((1, 1), 1e4), (band,))[0]
    middle = slice(32 - REACH, 33 + REACH)
    rng = np.random.default_rng(0)
    noise = band.sky_sigma * rng.standard_normal((4000, 2 * REACH + 1, 2 * REACH + 1))
    fluxes = np.sum((image[middle, middle] + noise) * flux_weights(band), axis=(1, 2))
    error = SURVEY.flux_error[SURVEY.names.index(band.name)]
    assert fluxes.mean() == pytest.approx(1e4, abs=4 * error / np.sqrt(4000))
    assert fluxes.std() == pytest.approx(error, rel=0.05)


def test_classes_follow_the_spectral_type(galaxies):
    labels = morphology_label(np.array([0.0, 0.49, 0.5, 1.7, 2.4, 2.41, 3.0]))
    assert list(labels) == ["elliptical"] * 2 + ["spiral"] * 3 + ["irregular"] * 2
    objects = build_objects(galaxies[:60], SURVEY, seed=31)
    expected = morphology_label(galaxies.spectral_type[:60])
    assert [item.shape.label for item in objects] == list(expected)
    for index, item in enumerate(objects):
        structure = galaxies.structure[index : index + 1]
        assert item.shape.r_e == structure.r_e[0]
        # Steps of a half, which galsim prepares once.
        assert item.shape.sersic_n % 0.5 == 0 and 1 <= item.shape.sersic_n <= 5
        if item.shape.label != "elliptical":
            assert np.cos(np.radians(item.shape.inclination)) == pytest.approx(structure.cosine[0])
            assert 8 <= item.shape.pitch <= 35 and item.shape.n_arms in (2, 3, 4)


def test_bulges_are_redder_than_disks_and_arms_bluer(galaxies):
    """u - r of the components, where the bulge has the template of an elliptical."""
    spirals = [
        item
        for item in build_objects(galaxies[:200], SURVEY, seed=31)
        if item.shape.label == "spiral"
    ]
    assert len(spirals) > 30
    ratios = np.array([item.fluxes[:, 0] / item.fluxes[:, 2] for item in spirals])
    assert np.all(ratios[:, 0] < ratios[:, 1]) and np.all(ratios[:, 1] < ratios[:, 2])


@pytest.mark.parametrize("arguments", [{"n": 0}, {"n": 5, "seed": -1}])
def test_invalid_samples_are_refused(arguments):
    with pytest.raises(ConfigError, match="must be an integer"):
        sample_galaxies(**arguments)
