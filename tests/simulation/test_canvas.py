"""Rendering in Fourier space, against closed forms and galsim's own drawing."""

from __future__ import annotations

import galsim
import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.special import gamma, gammainc, gammaincinv

from astrocnn.simulation.canvas import TRUNCATION, Canvas, get_canvas
from astrocnn.simulation.presets import PRESETS
from astrocnn.simulation.spectra import MOFFAT_BETA

BAND = PRESETS["ground"].band("r")
ONE = np.ones((1, 1))


def moments(image: np.ndarray) -> tuple[float, float]:
    y, x = np.indices(image.shape)
    return float((x * image).sum() / image.sum()), float((y * image).sum() / image.sum())


def to_image(transform: np.ndarray) -> np.ndarray:
    """Surface brightness on the cells, the center at cell // 2."""
    return np.fft.fftshift(np.fft.irfft2(transform))


@pytest.fixture(scope="module")
def canvas() -> Canvas:
    return Canvas(64, BAND.pixel_scale, 2)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.37, -0.21)])
def test_galaxy_equals_galsim_drawing(canvas, shift):
    image = canvas.render(canvas.sersic(4.0, 1.2, 0.6, 35.0)[None], ONE, (BAND,), shift)[0]
    profile = galsim.Sersic(n=4.0, half_light_radius=1.2, trunc=TRUNCATION * 1.2)
    profile = profile.transform(1, 0, 0, 0.6).rotate(125 * galsim.degrees) / 0.6
    star = galsim.Moffat(beta=MOFFAT_BETA, fwhm=BAND.fwhm)
    # galsim's center of an even image lies half a pixel left of pixel size / 2.
    reference = galsim.Convolve(profile, star).drawImage(
        nx=64, ny=64, scale=BAND.pixel_scale, offset=(shift[0] + 0.5, shift[1] + 0.5)
    )
    np.testing.assert_allclose(image, reference.array, atol=2e-3 * image.max())


def test_star_has_the_width_and_the_flux_of_its_band(canvas):
    fluxes = np.array([[1000.0]])
    image = canvas.render(canvas.point()[None], fluxes, (BAND,))[0]
    assert image.sum() == pytest.approx(1000, rel=1e-3)
    # Width at half maximum of Moffat and pixel together, from galsim.
    star = galsim.Convolve(
        galsim.Moffat(beta=MOFFAT_BETA, fwhm=BAND.fwhm), galsim.Pixel(BAND.pixel_scale)
    )
    # Three shifted images sample the profile three times as finely as the pixels.
    rows = [
        canvas.render(canvas.point()[None], fluxes, (BAND,), (-k / 3, 0.0))[0, 32] for k in range(3)
    ]
    fine = np.stack(rows, axis=1).ravel()
    curve = CubicSpline(np.arange(fine.size) / 3, fine - fine.max() / 2)
    left, right = (root for root in curve.roots(extrapolate=False) if 25 < root < 40)
    width = (right - left) * BAND.pixel_scale
    assert width == pytest.approx(star.calculateFWHM(scale=0.01), rel=0.001)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_growth_curve_of_stars_is_that_of_moffat(preset):
    """Trujillo et al. 2001, equation 3, for every band."""
    for band in PRESETS[preset].bands:
        canvas = get_canvas(128, band.pixel_scale, 2)
        image = canvas.render(canvas.point()[None], ONE, (band,))[0].astype(float)
        radius = np.hypot(*(np.indices(image.shape) - 64)) * band.pixel_scale
        alpha = band.fwhm / 2 / np.sqrt(2 ** (1 / MOFFAT_BETA) - 1)
        # Far enough that pixels are small beside the radius.
        for limit in np.array([20, 40, 55]) * band.pixel_scale:
            expected = 1 - (1 + (limit / alpha) ** 2) ** (1 - MOFFAT_BETA)
            assert image[radius < limit].sum() == pytest.approx(expected, abs=3e-3)


def test_bands_are_linear_in_the_fluxes_of_components(canvas):
    bands = PRESETS["ground"].bands[:2]
    components = np.stack([canvas.point(), canvas.exponential(1.5, 0.5, 20.0)])
    fluxes = np.array([[3.0, 10.0], [100.0, 40.0]])
    both = canvas.render(components, fluxes, bands)
    apart = sum(
        canvas.render(component[None], flux[None], bands)
        for component, flux in zip(components, fluxes, strict=True)
    )
    np.testing.assert_allclose(both, apart, atol=1e-4)
    np.testing.assert_allclose(both.sum(axis=(1, 2)), fluxes.sum(axis=0), rtol=2e-3)


def test_shift_moves_the_centroid_by_that_much(canvas):
    blob = canvas.gaussians(np.zeros(1), np.zeros(1), np.ones(1), np.ones(1))
    image = canvas.render(blob[None], ONE, (BAND,), (0.3, -0.45))[0]
    np.testing.assert_allclose(moments(image), (32.3, 31.55), atol=2e-3)


def test_image_on_cells_equals_the_analytic_transform(canvas):
    major, minor = canvas.axes(50.0)
    light = np.exp(-0.5 * (major**2 / 1.5**2 + minor**2 / 0.8**2))
    gaussian = galsim.Gaussian(sigma=1.0).transform(1.5, 0, 0, 0.8).rotate(140 * galsim.degrees)
    np.testing.assert_allclose(canvas.image(light), canvas.transform(gaussian / 1.2), atol=2e-5)


def test_gaussians_equal_a_gaussian_away_from_the_center(canvas):
    blob = canvas.gaussians(np.array([1.2]), np.array([-0.7]), np.array([0.9]), np.array([5.0]))
    gaussian = galsim.Gaussian(sigma=0.9).shift(1.2, -0.7)
    np.testing.assert_allclose(blob, canvas.transform(gaussian), atol=2e-5)


def test_sum_of_gaussians_has_the_closed_form_of_each(canvas):
    """Surface brightness of two round Gaussians with flux ratio 1 to 3."""
    centers, widths, weights = np.array([[-2.0, 0.5], [1.0, -1.5]]), (0.8, 1.3), (1.0, 3.0)
    blob = canvas.gaussians(centers[:, 0], centers[:, 1], np.array(widths), np.array(weights))
    expected = sum(
        weight
        / 4
        * np.exp(-0.5 * ((canvas.x - x) ** 2 + (canvas.y - y) ** 2) / s**2)
        / (2 * np.pi * s**2)
        for (x, y), s, weight in zip(centers, widths, weights, strict=True)
    )
    np.testing.assert_allclose(to_image(blob) / canvas.cell**2, expected, atol=1e-5)


def test_position_angle_runs_from_north_to_east(canvas):
    # East is to the left: a major axis at 45 degrees rises to the left.
    image = canvas.render(canvas.exponential(2.0, 0.3, 45.0)[None], ONE, (BAND,))[0]
    y, x = np.indices(image.shape) - 32
    assert (x * y * image).sum() < 0
    # North at 0 degrees, east at 90.
    for angle, along in ((0.0, (0.0, 1.0)), (90.0, (-1.0, 0.0))):
        major, minor = canvas.axes(angle)
        np.testing.assert_allclose(major, along[0] * canvas.x + along[1] * canvas.y, atol=1e-5)
        np.testing.assert_allclose(np.hypot(major, minor), np.hypot(canvas.x, canvas.y), rtol=1e-5)


@pytest.mark.parametrize("n", [1.0, 2.5])
def test_growth_curve_of_sersic_profiles(n):
    """Ciotti & Bertin 1999: the flux within R is an incomplete gamma function, here truncated."""
    wide = Canvas(512, 0.1, 2)
    image = to_image(wide.sersic(n, 3.0, 1.0, 0.0))
    b = gammaincinv(2 * n, 0.5)
    whole = gammainc(2 * n, b * TRUNCATION ** (1 / n))
    radius = np.hypot(wide.x, wide.y)
    for limit in (1.5, 6.0):
        expected = gammainc(2 * n, b * (limit / 3.0) ** (1 / n)) / whole
        # galsim's half-light radius is that of the profile before truncation ends within 2 %.
        assert image[radius < limit].sum() == pytest.approx(expected, abs=0.02)


def test_exponential_disk_has_its_closed_form():
    wide = Canvas(256, 0.2, 2)
    image = to_image(wide.exponential(3.0, 0.5, 30.0)) / wide.cell**2
    major, minor = wide.axes(30.0)
    scale = 3.0 / 1.67835
    r = np.hypot(major, minor / 0.5)
    expected = np.exp(-r / scale) / (2 * np.pi * scale**2 * 0.5)
    assert gamma(2) == 1  # the integral of x exp(-x)
    away = (r > 2.0) & (r < 12)
    np.testing.assert_allclose(image[away], expected[away], rtol=0.03, atol=2e-5)


def test_offset_moves_a_profile(canvas):
    """A shift of 1.2 arcsec to the right is four pixels of 0.3 arcsec."""
    moved = canvas.exponential(0.8, 0.7, 10.0, (1.2, -0.6))
    image = canvas.render(moved[None], ONE, (BAND,))[0]
    np.testing.assert_allclose(moments(image), (36.0, 30.0), atol=0.05)
