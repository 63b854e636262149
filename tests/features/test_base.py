"""Sky, curve of growth and radii against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from astrocnn.features.base import (
    average_bands,
    compute_asymmetry,
    estimate_sky,
    measure_shape,
    stretch_image,
)

SIDE = 129


def radius(center: tuple[float, float] = (64.0, 64.0)) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(y - center[0], x - center[1])


def solve_petrosian(flux_inside) -> float:
    """Radius at which the mean brightness of a ring is 0.2 of that inside (Blanton et al. 2001)."""

    def ratio(r: float) -> float:
        ring = (flux_inside(1.25 * r) - flux_inside(0.8 * r)) / (1.25**2 - 0.8**2)
        return ring / flux_inside(r) - 0.2

    return brentq(ratio, 0.5, 60)


PROFILES = {
    "gaussian": (
        lambda r: np.exp(-0.5 * (r / 6) ** 2),
        lambda r: 1 - np.exp(-0.5 * (r / 6) ** 2),
    ),
    "exponential": (
        lambda r: np.exp(-r / 5),
        lambda r: 1 - (1 + r / 5) * np.exp(-r / 5),
    ),
}


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("center", [(64.0, 64.0), (61.5, 66.0)])
def test_radii_of_known_profiles(name, center):
    brightness, inside = PROFILES[name]
    shape = measure_shape(brightness(radius(center))[..., None])
    assert shape.doubled == (2 * center[0], 2 * center[1])
    expected = solve_petrosian(inside)
    assert shape.petrosian == pytest.approx(expected, rel=0.02)
    assert shape.outer == pytest.approx(1.5 * expected, rel=0.02)
    total = inside(1.5 * expected)
    for fraction in (0.2, 0.5, 0.8):
        exact = brentq(lambda r, f=fraction: inside(r) - f * total, 0.1, 60)
        assert shape.compute_radius(fraction) == pytest.approx(exact, rel=0.03), fraction


def test_a_disc_of_constant_brightness():
    """Flux grows with the area: r20, r50, r80 are sqrt of the fractions times the radius."""
    shape = measure_shape((radius() <= 20).astype(float)[..., None])
    for fraction in (0.2, 0.5, 0.8):
        assert shape.compute_radius(fraction) == pytest.approx(20 * fraction**0.5, rel=0.02)
    # Beyond the edge of the disc the ring is empty: 0.2 is reached soon after it.
    assert 20 < shape.petrosian < 25


def test_sky_and_noise_of_gaussian_pixels():
    rng = np.random.default_rng(3)
    sky, noise = np.array([estimate_sky(rng.normal(7.0, 2.0, (80, 80))) for _ in range(50)]).T
    n = 80**2 - 64**2
    # Median and MAD of n pixels scatter by 1.2533 and 1.1664 sigma / sqrt(n).
    assert sky.mean() == pytest.approx(7, abs=5 * 2 * 1.2533 / np.sqrt(50 * n))
    assert noise.mean() == pytest.approx(2, abs=5 * 2 * 1.1664 / np.sqrt(50 * n) + 0.005)
    assert sky.std() == pytest.approx(2 * 1.2533 / np.sqrt(n), rel=0.4)


def test_an_object_in_the_middle_does_not_move_the_sky():
    image = np.random.default_rng(0).normal(0, 1, (60, 60))
    before = estimate_sky(image)
    image[20:40, 20:40] += 1e6
    assert estimate_sky(image) == before
    image[:6] = image[-6:] = np.nan
    image[:, :6] = image[:, -6:] = np.nan
    assert estimate_sky(image)[0] == np.median(image[np.isfinite(image)])
    assert np.isnan(estimate_sky(np.full((9, 9), np.nan))).all()


def test_bands_are_averaged_where_they_have_data():
    image = np.arange(12.0).reshape(2, 2, 3)
    image[0, 0, 1] = image[1, 1] = np.nan
    np.testing.assert_allclose(average_bands(image), [[1.0, 4.0], [7.0, np.nan]])


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_asymmetry_counts_what_does_not_repeat_after_half_a_turn(angle):
    y, x = np.mgrid[:65, :65] - 32.0
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    bar = np.exp(-0.5 * ((u / 9) ** 2 + (v / 3) ** 2))
    difference, total, n = compute_asymmetry(bar, (64, 64), 25.0)
    assert difference < 1e-9 * total
    assert n == (np.hypot(x, y) <= 25).sum()
    bar[32, 40] += 5.0  # one pixel more: it counts twice, at its place and at the opposite one
    again, brighter, _ = compute_asymmetry(bar, (64, 64), 25.0)
    assert again - difference == pytest.approx(10.0)
    assert brighter - total == pytest.approx(5.0)
    bar[32, 24] = np.nan  # without a partner it does not enter
    assert compute_asymmetry(bar, (64, 64), 25.0)[0] == pytest.approx(difference, abs=1e-9)


def test_display_stretch_is_monotonic_and_fills_the_range():
    rng = np.random.default_rng(4)
    image = np.dstack(
        [rng.normal(0, 1, (40, 40)), np.full((40, 40), 3.0), np.full((40, 40), np.nan)]
    )
    image[20, 20, 0] = 1000.0
    image[5, 5, 0] = np.nan
    out = stretch_image(image)
    assert out[..., 0].min() == 0 and out[..., 0].max() == out[20, 20, 0] == 1
    order = np.argsort(np.nan_to_num(image[..., 0].ravel(), nan=estimate_sky(image[..., 0])[0]))
    assert (np.diff(out[..., 0].ravel()[order]) >= 0).all()
    assert (out[..., 1:] == 0).all(), "bands without spread or data are 0"
    # Flux and noise in other units show the same picture.
    np.testing.assert_allclose(stretch_image(1e-30 * image), out, atol=1e-9)
