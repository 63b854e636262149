"""Drawing in Fourier space, against closed forms and galsim's own drawing."""

from __future__ import annotations

import galsim
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from astrocnn.simulation.canvas import MOFFAT_BETA, Canvas
from astrocnn.simulation.presets import PRESETS
from astrocnn.simulation.profiles import exponential, sersic

BAND = PRESETS["ground"].band("r")
ONE = np.ones((1, 1))


def moments(image: np.ndarray) -> tuple[float, float]:
    y, x = np.indices(image.shape)
    return float((x * image).sum() / image.sum()), float((y * image).sum() / image.sum())


@pytest.fixture(scope="module")
def canvas() -> Canvas:
    return Canvas(64, BAND.pixel_scale, 2)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.37, -0.21)])
def test_galaxy_equals_galsim_drawing(canvas, shift):
    profile = sersic(4.0, 1.2, 0.6, 35.0)
    image = canvas.render(canvas.profile(profile)[None], ONE, (BAND,), shift)[0]
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


def test_shift_moves_the_centroid_by_that_much(canvas):
    image = canvas.render(
        canvas.blobs(np.zeros(1), np.zeros(1), np.ones(1), np.ones(1))[None],
        ONE,
        (BAND,),
        (0.3, -0.45),
    )[0]
    np.testing.assert_allclose(moments(image), (32.3, 31.55), atol=2e-3)


def test_painted_equals_analytic(canvas):
    major, minor = canvas.axes(50.0)
    light = np.exp(-0.5 * (major**2 / 1.5**2 + minor**2 / 0.8**2))
    gaussian = galsim.Gaussian(sigma=1.0).transform(1.5, 0, 0, 0.8).rotate(140 * galsim.degrees)
    painted = canvas.painted(light)
    np.testing.assert_allclose(painted, canvas.profile(gaussian / 1.2), atol=2e-5)


def test_blobs_equal_a_gaussian_away_from_the_center(canvas):
    blob = canvas.blobs(np.array([1.2]), np.array([-0.7]), np.array([0.9]), np.array([5.0]))
    gaussian = galsim.Gaussian(sigma=0.9).shift(1.2, -0.7)
    np.testing.assert_allclose(blob, canvas.profile(gaussian), atol=2e-5)


def test_position_angle_runs_from_north_to_east(canvas):
    # East is to the left: a major axis at 45 degrees rises to the left.
    image = canvas.render(canvas.profile(exponential(2.0, 0.3, 45.0))[None], ONE, (BAND,))[0]
    y, x = np.indices(image.shape) - 32
    assert (x * y * image).sum() < 0


def test_half_light_radius_along_the_major_axis(canvas):
    del canvas
    wide = Canvas(256, 0.3, 2)
    image = np.fft.fftshift(np.fft.irfft2(wide.profile(sersic(1.0, 3.0, 1.0, 0.0))))
    inside = image[np.hypot(wide.x, wide.y) < 3.0].sum() / image.sum()
    assert inside == pytest.approx(0.5, abs=0.02)
