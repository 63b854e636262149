"""Families of features: what all promise, and closed forms of each."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincinv

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.features import FEATURES, Fitted, compute, fit
from astrocnn.features.gini_m20 import gini, m20

NAMES = plugins.module_names(FEATURES)
INVARIANT = ("cas", "colors", "gini_m20", "texture")


def sersic(size: int, r_half: float, n: float, oversampling: int = 10) -> np.ndarray:
    """Surface brightness averaged over each pixel; the center is the middle of the image."""
    fine = (np.arange(size * oversampling) + 0.5) / oversampling - size / 2
    r = np.hypot(fine[:, None], fine[None, :]) / r_half
    values = np.exp(-gammaincinv(2 * n, 0.5) * r ** (1 / n))
    return values.reshape(size, oversampling, size, oversampling).mean(axis=(1, 3))


def galaxies(n: int = 4, size: int = 25, bands: int = 3) -> np.ndarray:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    angle = rng.uniform(0, np.pi, (n, 1, 1))
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    light = 60 * np.exp(-np.hypot(along, 2 * across) / 3) + 20 * np.exp(-np.hypot(x - 4, y + 2))
    images = light[..., None] * np.linspace(1, 2, bands) + rng.normal(size=(n, size, size, bands))
    return images.astype(np.float32)


@cache
def learned(name: str, bands: int) -> Fitted:
    """What a family learns from other galaxies than those it measures."""
    return fit(name, galaxies(40, bands=bands)[4:], seed=2)


def table(name: str, images: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    return compute(name, images, fitted=learned(name, images.shape[-1]))


def one(family: str, image: np.ndarray, **options) -> dict[str, float]:
    values, names = compute(family, image[None, :, :, None], **options)
    return dict(zip(names, values[0].tolist(), strict=True))


def test_there_are_families():
    assert {"cas", "colors", "gini_m20", "hog", "texture"} <= set(NAMES)
    assert {"descriptors", "pixels"} == {name for name in NAMES if learned(name, 1)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bands", [1, 3])
def test_objects_are_measured_one_by_one(name, bands):
    images = galaxies(bands=bands)
    before = images.copy()
    values, names = table(name, images)
    assert values.shape == (4, len(names)) and values.dtype == np.float32
    assert len(set(names)) == len(names) > 0
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(table(name, images[::-1])[0], values[::-1])
    np.testing.assert_array_equal(table(name, images[2:3])[0], values[2:3])
    np.testing.assert_array_equal(table(name, images.astype(">f4"))[0], values)
    np.testing.assert_array_equal(images, before)
    none, same = table(name, images[:0])
    assert none.shape == (0, len(names)) and same == names


@pytest.mark.parametrize("name", NAMES)
def test_some_pixels_without_data_change_little_and_all_of_them_everything(name):
    images = galaxies()
    holes = images.copy()
    holes[:, 3, 3] = np.nan
    holes[3] = np.nan
    values, whole = table(name, holes)[0], table(name, images)[0]
    assert np.isnan(values[3]).all() and np.isfinite(values[:3]).all()
    np.testing.assert_allclose(values[:3], whole[:3], atol=0.35, rtol=0.05)


@pytest.mark.parametrize("name", INVARIANT)
def test_orientation_does_not_matter(name):
    images = galaxies(2)
    expected = compute(name, images)[0]
    for turned in (np.rot90(images, axes=(1, 2)), images[:, ::-1], images.swapaxes(1, 2)):
        np.testing.assert_allclose(compute(name, turned)[0], expected, rtol=2e-3, atol=4e-3)


@pytest.mark.parametrize("n", [1.0, 4.0])
def test_concentration_of_a_sersic_profile(n):
    """The curve of growth is an incomplete gamma function (Graham & Driver 2005, equation 2)."""
    b = gammaincinv(2 * n, 0.5)
    r_half = 8.0

    def growth(r):
        return gammainc(2 * n, b * (r / r_half) ** (1 / n))

    def eta(r):
        ring = (growth(1.25 * r) - growth(0.8 * r)) / (1.25**2 - 0.8**2)
        return ring / growth(r) - 0.2

    petrosian = brentq(eta, 0.5 * r_half, 5 * r_half)
    total = growth(1.5 * petrosian)
    r20, r50, r80 = (
        brentq(lambda r, s=s: growth(r) - s * total, 1e-3, 99) for s in (0.2, 0.5, 0.8)
    )
    found = one("cas", sersic(161, r_half, n), pixel_scale=0.4)
    assert found["concentration"] == pytest.approx(5 * np.log10(r80 / r20), abs=0.06)
    assert found["petrosian_radius"] == pytest.approx(0.4 * petrosian, rel=0.02)
    assert found["half_light_radius"] == pytest.approx(0.4 * r50, rel=0.02)
    # Light at the border passes for noise, the more of it the larger n.
    assert found["asymmetry"] == pytest.approx(0, abs=0.003)
    if n == 1:  # of a disk all of whose light is seen: 2.7
        assert found["concentration"] == pytest.approx(2.7, abs=0.1)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_a_circular_gaussian_is_symmetric_about_its_center(shift):
    y, x = np.mgrid[:41, :41] - 20.0
    found = one("cas", np.exp(-((x - shift) ** 2 + y**2) / 18))
    assert found["asymmetry"] == pytest.approx(0, abs=1e-6)
    # r(share) = sigma sqrt(-2 ln(1 - share)), all of the light being inside the aperture.
    expected = 2.5 * np.log10(np.log(0.2) / np.log(0.8))
    assert found["concentration"] == pytest.approx(expected, abs=0.05)


def test_noise_adds_neither_asymmetry_nor_roughness():
    """Without the correction both would be 0.2 or more; details below the noise are lost."""
    y, x = np.mgrid[:61, :61] - 30.0
    smooth = 100 * np.exp(-(x**2 + y**2) / 50)
    noise = np.random.default_rng(0).normal(0, 4, size=(20, 61, 61))
    values, names = compute("cas", (smooth + noise)[..., None])
    pixels, flux = np.pi * 16**2, smooth.sum()
    raw = {
        "asymmetry": 2 / np.sqrt(np.pi) * 4 * pixels / flux,
        "smoothness": 10 / np.sqrt(2 * np.pi) * 4 * pixels / flux,
    }
    for name, added in raw.items():
        assert added > 0.2
        assert abs(values[:, names.index(name)].mean()) < added / 4


def test_light_without_a_partner_counts_twice():
    """Once where it is, and once where its image falls."""
    y, x = np.mgrid[:61, :61] - 30.0
    smooth = np.exp(-(x**2 + y**2) / 72)
    clump = np.exp(-((x - 7) ** 2 + (y + 6) ** 2) / 2)
    clump *= 0.04 * smooth.sum() / clump.sum()
    found = one("cas", smooth + clump)
    assert found["asymmetry"] == pytest.approx(2 * 0.04 / 1.04, rel=0.05)
    assert found["smoothness"] > 1.5 * one("cas", smooth)["smoothness"] > 0


def test_gini_of_the_extremes():
    assert gini(np.full(7, 3.0)) == pytest.approx(0)
    assert gini(np.eye(9)[4]) == pytest.approx(1)
    x = np.random.default_rng(1).exponential(size=20000)
    assert gini(x) == pytest.approx(0.5, abs=0.01)  # of an exponential distribution
    pairs = np.abs(x[:200, None] - x[None, :200]).sum() / (2 * x[:200].mean() * 200 * 199)
    assert gini(x[:200]) == pytest.approx(pairs)
    assert np.isnan(gini(np.zeros(4))) and np.isnan(gini(np.ones(1)))


def test_m20_of_equal_pixels_and_of_two_points():
    y, x = np.mgrid[:9, :9].reshape(2, -1)
    assert m20(np.ones(81), y, x) == pytest.approx(np.log10(0.2))
    # Points of 1 and 3 at a distance of 4: moments 9 and 3 about the center of light.
    assert m20(np.array([1.0, 3.0]), np.zeros(2), np.array([0.0, 4.0])) == pytest.approx(
        np.log10(3 * (0.8 / 3) / 12)
    )


def test_colors_are_ratios_of_fluxes():
    light = 1e4 * sersic(41, 3.0, 1.0)
    image = np.stack([light, 10 * light, 10 * light], axis=-1)
    values, names = compute("colors", image[None])
    found = dict(zip(names, values[0].tolist(), strict=True))
    assert found["color_0_1"] == pytest.approx(2.5, abs=1e-3)
    assert found["color_1_2"] == pytest.approx(0, abs=1e-6)
    assert found["hue_0_1_0"] == pytest.approx(1)  # 1/11 lies in the first eighth
    assert found["hue_1_2_4"] == pytest.approx(1)
    total = light.sum() - light.size * np.median(light[:4])
    assert found["asinh_mag_0"] == pytest.approx(-2.5 * np.log10(total), abs=0.02)


def test_gradients_of_a_ramp_point_one_way():
    ramp = np.tile(np.linspace(0, 1, 48), (48, 1))
    found = one("hog", ramp)
    by_orientation = np.zeros(9)
    for name, value in found.items():
        by_orientation[int(name.rsplit("_", 1)[1])] += value
    assert by_orientation.argmax() in (0, 8) and by_orientation.max() > 0.99 * by_orientation.sum()


def test_texture_of_a_board_of_chess():
    board = np.indices((32, 32)).sum(axis=0) % 2
    found = one("texture", board.astype(float))
    assert sum(v for k, v in found.items() if k.startswith("lbp_1")) == pytest.approx(1)
    # Direct neighbors differ by all 15 levels, diagonal ones not at all.
    sides, diagonals = 2 * 32 * 31, 2 * 31 * 31
    assert found["glcm_contrast_1"] == pytest.approx(225 * sides / (sides + diagonals))


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'hog'"):
        compute("hogg", galaxies())
    with pytest.raises(ConfigError, match="square"):
        compute("hog", galaxies()[0])
    with pytest.raises(ConfigError, match="too small"):
        compute("hog", np.zeros((1, 7, 7, 1)))
    with pytest.raises(ConfigError, match="too small"):
        fit("descriptors", np.zeros((1, 7, 7, 1)))
