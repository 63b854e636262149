"""Spectra through filters, dust, distances and luminosity functions against published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from astrocnn.simulation.redshift.population import (
    BANDS,
    DUST_GRID,
    LEAST_COSINE,
    POPULATIONS,
    TYPES,
    band_mean,
    comoving_volume,
    distance_modulus,
    dust_density,
    kiloparsec_per_arcsec,
    load_templates,
    reddening,
    sample_dust,
)

galsim = pytest.importorskip("galsim")


def magnitudes(z: float, kind: float, dust: float = 1.0) -> dict[str, float]:
    flux = load_templates().fluxes(np.array([z]), np.array([kind]), np.array([dust]))[0]
    return dict(zip(BANDS, -2.5 * np.log10(flux), strict=True))


def test_ultraviolet_and_optical_law_meet():
    """Both forms of Fitzpatrick (1999), the spline of Table 3 and equation 2, at 0.27 micron."""
    np.testing.assert_allclose(reddening([0.2699, 0.26]), [6.268, 6.591], atol=0.003)


def test_galactic_extinction_as_published():
    """Schlafly & Finkbeiner 2011, Table 6, R_V = 3.1: for E(B-V) of SFD, which is 0.86 of ours."""
    published = np.array([4.145, 3.237, 2.273, 1.684, 1.323])
    np.testing.assert_allclose(0.86 * load_templates().galactic_extinction, published, rtol=0.04)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("z", [0.0, 0.17, 0.38])
def test_colors_agree_with_galsim(kind, z):
    sed = galsim.SED(f"CWW_{TYPES[kind]}_ext.sed", "Ang", "flambda").atRedshift(z)
    theirs = [
        sed.calculateMagnitude(galsim.Bandpass(f"LSST_{band}.dat", "nm").withZeropoint("AB"))
        for band in BANDS
    ]
    ours = list(magnitudes(z, kind).values())
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), atol=0.008)


def test_k_correction_is_that_of_a_power_law():
    """f_lambda ~ lambda^b dims by -2.5 (b + 1) log10(1 + z): Hogg et al. 2002, equation 13."""
    x = np.linspace(0.5, 0.7, 2001)
    through = np.ones_like(x)
    flux = band_mean(x, through, (x / 1.3) ** 0.7) / 1.3 / band_mean(x, through, x**0.7)
    assert -2.5 * np.log10(flux) == pytest.approx(2.5 * 1.7 * np.log10(1.3), rel=1e-6)
    assert magnitudes(0.0, 2.0)["r"] == pytest.approx(0.0, abs=1e-9)


def test_colors_of_ellipticals():
    """Fukugita et al. 1995, Table 3: u-g 1.8, g-r 0.77, r-i 0.39 in filters of nearly this kind.

    At redshift 0.35 red galaxies have g-r near 1.5; without evolution they are a little redder.
    """
    now, then = magnitudes(0.0, 0.0), magnitudes(0.35, 0.0)
    assert now["u"] - now["g"] == pytest.approx(1.8, abs=0.1)
    assert now["g"] - now["r"] == pytest.approx(0.77, abs=0.06)
    assert now["r"] - now["i"] == pytest.approx(0.39, abs=0.06)
    assert then["g"] - then["r"] == pytest.approx(1.55, abs=0.15)


def test_types_are_a_sequence_from_red_to_blue_and_a_mixture_between_templates():
    for z in (0.0, 0.2, 0.4):
        colors = [
            magnitudes(z, kind)["g"] - magnitudes(z, kind)["r"] for kind in np.arange(0, 3.1, 0.25)
        ]
        assert np.all(np.diff(colors) < 0)
    flux = load_templates().fluxes(np.full(3, 0.1), np.array([1.0, 1.5, 2.0]), np.ones(3))
    # The dust of a type is 1 here, and changes nothing.
    np.testing.assert_allclose(flux[1], (flux[0] + flux[2]) / 2, rtol=1e-12)


def test_dust_reddens_disks_by_the_law():
    plain, dusty = magnitudes(0.1, 1.0), magnitudes(0.1, 1.0, dust=2.0)
    rest = load_templates().wavelengths / 1.1
    np.testing.assert_allclose(
        [dusty[b] - plain[b] for b in BANDS], 0.13 * reddening(rest), rtol=1e-9
    )


def test_dust_follows_its_density():
    rng = np.random.default_rng(2)
    dust = sample_dust(rng, rng.uniform(LEAST_COSINE, 1, 20_000))
    density = dust_density(DUST_GRID)
    assert np.trapezoid(density, DUST_GRID) == pytest.approx(1, abs=2e-3)
    cumulative = np.cumsum(density) * (DUST_GRID[1] - DUST_GRID[0])
    for level in (0.5, 1.0, 1.7):
        assert np.mean(dust < level) == pytest.approx(
            np.interp(level - 0.01, DUST_GRID, cumulative), abs=0.015
        )


def test_distances_by_direct_integration():
    def hubble(z):
        return 70.0 * np.sqrt(0.3 * (1 + z) ** 3 + 0.7)

    for z in (0.03, 0.1, 0.4):
        comoving = 299792.458 * quad(lambda x: 1 / hubble(x), 0, z)[0]
        modulus = 5 * np.log10(comoving * (1 + z)) + 25
        assert distance_modulus(z) == pytest.approx(modulus, abs=2e-3)
        assert comoving_volume(z) == pytest.approx(299792.458 * comoving**2 / hubble(z), rel=2e-3)
        assert kiloparsec_per_arcsec(z) == pytest.approx(
            1e3 * comoving / (1 + z) / 206264.806, rel=2e-3
        )


def test_luminosity_function_of_all_types_is_that_of_nearby_galaxies():
    """Blanton et al. 2003: M* - 5 log h = -20.44, alpha = -1.05, phi* = 0.0149 h^3 at z = 0.1.

    Their r band is blueshifted by 0.1 and fainter by about 0.2 mag.
    """
    magnitude = np.arange(-22.5, -17.9, 0.5)
    x = 10 ** (-0.4 * (magnitude + 0.2 + 20.44 - 5 * np.log10(0.7)))
    theirs = 0.4 * np.log(10) * 0.0149 * 0.7**3 * x**-0.05 * np.exp(-x)
    ours = sum(p.luminosity_function(magnitude) for p in POPULATIONS)
    np.testing.assert_allclose(ours / theirs, 1.0, atol=0.3)
    for population in POPULATIONS:
        kinds = np.linspace(0, 3, 301)
        assert np.trapezoid(population.type_density(kinds), kinds) == pytest.approx(1, abs=1e-3)
