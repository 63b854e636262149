"""Features of images whose value follows from a formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from astrocnn.errors import ConfigError
from astrocnn.features import compute, fit
from astrocnn.features.gini_m20 import gini, m20


def _values(family: str, image: np.ndarray) -> dict[str, float]:
    values, names = compute(family, image[None])
    return dict(zip(names, values[0].tolist(), strict=True))


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (stats.expon(), 1 / 2),
        (stats.uniform(), 1 / 3),
        (stats.pareto(3.0), 1 / 5),
        (stats.gamma(2.0), 3 / 8),
    ],
)
def test_gini_of_distributions(distribution, expected):
    """1 - 2 times the area under the Lorenz curve: 1/(2a - 1) for a Pareto distribution."""
    flux = distribution.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert gini(flux) == pytest.approx(expected, rel=0.01)
    assert gini(-3 * flux) == pytest.approx(gini(flux))


def test_m20_of_an_exponential_disk():
    y, x = np.mgrid[-300:301, -300:301]
    r = np.hypot(x, y) / 20
    flux = np.where(r < 14, np.exp(-r), 0)
    keep = flux > 0

    def moment(limit: float, power: int) -> float:
        return quad(lambda s: s**power * np.exp(-s), 0, limit)[0]

    inner = np.linspace(0.5, 1.5, 2001)
    limit = np.interp(0.2, [moment(s, 1) for s in inner], inner)
    expected = np.log10(moment(limit, 3) / moment(14, 3))
    assert m20(flux[keep], y[keep], x[keep]) == pytest.approx(expected, abs=0.01)


def test_m20_does_not_depend_on_unit_place_or_brightness():
    rng = np.random.default_rng(1)
    flux, y, x = rng.exponential(1, 50), rng.normal(0, 4, 50), rng.normal(0, 4, 50)
    expected = m20(flux, y, x)
    assert m20(7 * flux, 3 * y + 20, 3 * x - 5) == pytest.approx(expected)
    assert m20(flux, -x, y) == pytest.approx(expected)


def _two_bands(ratio: float) -> np.ndarray:
    """A round Gaussian, in the second band `ratio` times as bright, on a noisy sky."""
    y, x = np.mgrid[-20:21, -20:21]
    light = 1e4 * np.exp(-(x**2 + y**2) / 30)
    noise = np.random.default_rng(2).normal(0, 1e-3, (41, 41, 2))
    return np.stack([light, ratio * light], axis=-1) + noise


@pytest.mark.parametrize("ratio", [0.2, 1.5, 6.0])
def test_magnitudes_and_colors_of_a_bright_object(ratio):
    """Far above the noise, asinh magnitudes are ordinary ones."""
    values = _values("colors", _two_bands(ratio))
    total = 1e4 * np.pi * 30
    assert values["asinh_mag_0"] == pytest.approx(-2.5 * np.log10(total), abs=2e-3)
    assert values["color_0_1"] == pytest.approx(2.5 * np.log10(ratio), abs=2e-3)


@pytest.mark.parametrize("ratio", [0.2, 1.5, 6.0])
def test_all_light_has_the_hue_of_its_ratio(ratio):
    values = _values("colors", _two_bands(ratio))
    hues = [values[f"hue_0_1_{k}"] for k in range(8)]
    assert sum(hues) == pytest.approx(1.0)
    assert hues[int(8 / (1 + ratio))] > 0.99


def test_texture_of_stripes():
    """Columns of two levels in turn: one pixel apart they differ, two columns apart they do not."""
    image = np.zeros((33, 33, 1))
    image[:, ::2] = 1.0
    values = _values("texture", image)
    for radius in (1, 2):
        shares = [values[f"lbp_{radius}_{k}"] for k in range(10)]
        assert sum(shares) == pytest.approx(1.0) and min(shares) >= 0
    # Of four directions only the vertical one meets equal levels; 15 is the range of 16 levels.
    pairs = {"across": 33 * 32, "diagonal": 2 * 32 * 32, "along": 33 * 32}
    differ = (pairs["across"] + pairs["diagonal"]) / sum(pairs.values())
    assert values["glcm_contrast_1"] == pytest.approx(15**2 * differ, rel=1e-5)
    assert values["glcm_homogeneity_1"] == pytest.approx(
        1 - differ + differ / (1 + 15**2), rel=1e-5
    )


def test_radii_scale_with_the_pixel_and_indices_do_not():
    image = _two_bands(1.0)
    (plain, names), (scaled, _) = compute("cas", image[None]), compute("cas", image[None], 0.2)
    factor = np.where([name.endswith("radius") for name in names], 0.2, 1.0)
    np.testing.assert_allclose(scaled[0], factor * plain[0], rtol=1e-6)


def test_families_stand_side_by_side():
    images = np.stack([_two_bands(r) for r in (0.5, 2.0)])
    together, names = compute(["gini_m20", "colors"], images)
    parts = [compute(family, images) for family in ("gini_m20", "colors")]
    assert names == parts[0][1] + parts[1][1]
    np.testing.assert_array_equal(together, np.hstack([values for values, _ in parts]))


def test_images_without_data_have_no_features_and_nothing_is_fitted_to_them():
    images = np.full((2, 16, 16, 1), np.nan)
    values, _ = compute(["cas", "texture"], images)
    assert np.isnan(values).all()
    assert fit("cas", images) == {}
    with pytest.raises(ConfigError, match=r"no image has data(.|\n)*2 images(.|\n)*pixels"):
        fit(["cas", "pixels"], images)
