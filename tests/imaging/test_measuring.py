"""Units, background, noise, stretches, limits: against astropy and numpy, and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.stats import sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn.errors import ConfigError, ImageError
from astrocnn.imaging import background, photometry
from astrocnn.imaging.background import estimate_background, estimate_sky_noise
from astrocnn.imaging.normalization import Normalization, check_limits, compress, expand
from astrocnn.imaging.normalization_fitter import NormalizationFitter
from astrocnn.imaging.photometry import compare_units, compute_factor, parse_unit


@settings(max_examples=25)
@given(st.floats(-5, 40), st.sampled_from(["nJy", "uJy", "Jy", "erg / (s cm2 Hz)"]))
def test_zero_points_are_magnitudes_of_astropy(zero_point, unit):
    expected = (zero_point * u.ABmag).to_value(u.Unit(unit))
    assert compute_factor(unit, "adu", zero_point) == pytest.approx(expected, rel=1e-12)


def test_factors_by_hand():
    assert compute_factor("nJy", None, 31.4) == pytest.approx(1, rel=1e-12)
    assert compute_factor("nanomaggy", None, 22.5) == pytest.approx(1, rel=1e-12)
    assert compute_factor("nJy", "nanomaggies") == pytest.approx(10 ** (0.4 * 8.9), rel=1e-12)
    assert compute_factor("nJy", "uJy") == pytest.approx(1000)
    assert compute_factor(None, "uJy", 25.0) == compute_factor("nJy", None) == 1
    arcsec = np.radians(1 / 3600) ** 2
    assert compute_factor("nJy", "MJy/sr", pixel_area=0.04 * arcsec) == pytest.approx(
        1e15 * 0.04 * arcsec
    )
    assert compute_factor("nJy/arcsec2", "MJy/sr") == pytest.approx(1e15 * arcsec)
    with pytest.raises(ConfigError, match="pixel scale is not known"):
        compute_factor("nJy", "MJy/sr")


@pytest.mark.parametrize(
    ("stated", "expected", "factor"),
    [
        ("nJy", "nJy", 1),
        ("mJy", "nJy", 1e6),
        ("NMGY", "nanomaggy", 1),
        ("DN/s", "adu/s", np.nan),
        ("adu", "nJy", np.nan),
        ("MJy/sr", "nJy", 1e15),
        # The factor is 1, and yet pixels of another area hold another flux.
        ("Jy/sr", "Jy", 0),
        ("", "nJy", None),
        ("furlongs", "nJy", None),
        ("nJy", "none", None),
    ],
)
def test_units_of_headers(stated, expected, factor):
    found = compare_units(stated, expected)
    assert found is None if factor is None else found == pytest.approx(factor, nan_ok=True)


def test_names_of_units_and_numbers_that_are_none():
    names = {"COUNTS/s": u.count / u.s, "e-/s": u.electron / u.s, "DN/s": u.DN / u.s}
    for name, unit in (names | {"electrons": u.electron, "ujy": u.uJy}).items():
        assert parse_unit(name) == unit
    with pytest.raises(ConfigError, match="'mag//' is not a unit"):
        parse_unit("mag//")
    per_area = [photometry.is_surface_brightness(t) for t in ("nJy/arcsec2", "MJy/sr", "nJy", None)]
    assert per_area == [True, True, False, False]
    for value in (-100, 0, 100):
        photometry.validate_zero_point(value, "a header")
    for value in (100.1, -101, np.nan, np.inf, 3.6e9):
        with pytest.raises(ImageError, match="is no magnitude"):
            photometry.validate_zero_point(value, "a header")


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0, 0.2))
def test_clipping_is_that_of_astropy(seed, share):
    rng = np.random.default_rng(seed)
    values = rng.normal(10, 2, 400)
    values[rng.random(400) < share] += 50
    kept = sigma_clip(values, 3, maxiters=background.ROUNDS, stdfunc="std").compressed()
    level, sigma = background._clipped(values)
    mean, median = kept.mean(), np.median(kept)
    assert sigma == pytest.approx(kept.std())
    crowded = abs(mean - median) > 0.3 * kept.std()
    assert level == pytest.approx(median if crowded else 2.5 * median - 1.5 * mean)


def test_background_of_known_images():
    flat, good = np.full((40, 61), 7.0), np.zeros((40, 61), bool)
    level, noise = estimate_background(flat, good, 16)
    np.testing.assert_allclose(level, flat, rtol=1e-14)
    assert (noise == 0).all() and noise.shape == flat.shape
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:120, :90]
    image = rng.normal(0, 2, (120, 90)) + 0.1 * x - 0.05 * y
    level, noise = estimate_background(image, np.zeros(image.shape, bool), 30)
    # A slope is reproduced away from the edges, where the median of 3 x 3 boxes flattens it.
    inner = np.s_[45:75, 43:47]
    np.testing.assert_allclose(level[inner], (0.1 * x - 0.05 * y)[inner], atol=0.4)
    slope = (level[74, 44] - level[45, 44]) / 29
    assert slope == pytest.approx(-0.05, abs=0.012)
    # The slope within a box adds its own scatter of 30 pixels / sqrt(12).
    expected = np.sqrt(4 + (0.1**2 + 0.05**2) * 30**2 / 12)
    np.testing.assert_allclose(noise[15:-15, 15:-15], expected, rtol=0.05)
    # Of another unit and zero the same, in that unit; one box gives one number.
    moved, wider = estimate_background(3 * image + 5, np.zeros(image.shape, bool), 30)
    np.testing.assert_allclose(moved, 3 * level + 5, atol=1e-9)
    np.testing.assert_allclose(wider, 3 * noise, atol=1e-9)
    one, _ = estimate_background(image, np.zeros(image.shape, bool), 500)
    assert np.ptp(one) < 1e-12 and one[0, 0] == pytest.approx(background._clipped(image.ravel())[0])


def test_pixels_without_data_do_not_count():
    rng = np.random.default_rng(1)
    image, bad = rng.normal(3, 1, (64, 64)), rng.random((64, 64)) < 0.2
    bad[:16, :16] = True  # a box that takes the median of the others
    level, noise = estimate_background(image, bad, 16)
    for value in (np.nan, 1e30):
        again = estimate_background(np.where(bad, value, image), bad, 16)
        np.testing.assert_array_equal(again[0], level)
        np.testing.assert_array_equal(again[1], noise)
    assert abs(level[4, 4] - 3) < 0.3


def test_sky_noise_is_a_percentile_of_the_border():
    rng = np.random.default_rng(2)
    images = rng.normal(0, [1, 4], (5, 24, 17, 2))
    images[rng.random(images.shape) < 0.3] = np.nan
    images[:, 3:-3, 2:-2] = 1e9  # not in the frame, an eighth of each side wide
    images[4, ..., 1] = np.nan
    frame = np.isin(np.arange(24), [0, 1, 2, 21, 22, 23])[:, None] | np.isin(
        np.arange(17), [0, 1, 15, 16]
    )
    for one, measured in zip(images[:4], estimate_sky_noise(images), strict=False):
        low, middle = np.nanpercentile(one[frame], [15.8655, 50], axis=0)
        np.testing.assert_allclose(measured, middle - low)
    assert np.isnan(estimate_sky_noise(images)[4]).tolist() == [False, True]
    for scale in (-1, 0, 3):
        moved = estimate_sky_noise(images[:1] + scale)
        np.testing.assert_allclose(moved, estimate_sky_noise(images[:1]), atol=1e-12)


@settings(max_examples=25)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.floats(-1e6, 1e6))
def test_stretches_are_odd_rising_and_undone(value, softening, other):
    for stretch in ("none", "linear", "asinh", "log"):
        stretched = compress(value, stretch, softening)
        assert compress(-value, stretch, softening) == -stretched
        assert expand(stretched, stretch, softening) == pytest.approx(value, rel=1e-9, abs=1e-12)
        assert (compress(other, stretch, softening) >= stretched) or other < value
    small = softening * 1e-6
    for stretch in ("asinh", "log"):
        assert compress(small, stretch, softening) == pytest.approx(1e-6, rel=1e-5)
    assert compress(softening * np.sinh(2), "asinh", softening) == pytest.approx(2)
    assert compress(softening * np.expm1(2), "log", softening) == pytest.approx(2)


def test_limits_put_black_and_white_where_weights_expect_them():
    images = np.random.default_rng(0).normal(5, [1, 20], (40, 8, 8, 2)).astype(np.float32)
    limits = [(-1.0, 1.0), (0.0, 255.0)]

    def fit(images):
        return NormalizationFitter("linear", limits=limits).update(images).finish()

    first, second = fit(images), fit(4 * images - 3)
    assert first.limits == ((-1.0, 1.0), (0.0, 255.0))
    # Units and zero of the images leave no trace in what the network sees.
    np.testing.assert_allclose(
        first.apply(images), second.apply(4 * images - 3), rtol=1e-3, atol=2e-3
    )
    z = first.apply(images).reshape(-1, 2)
    # A thousandth of the pixels is darker than black, and as many are brighter than white.
    ends = np.quantile(z, [0.001, 0.999], axis=0)
    np.testing.assert_allclose(ends, [[-1, 0], [1, 255]], rtol=1e-3, atol=2e-2)
    np.testing.assert_allclose(first.fill, z.mean(axis=0), rtol=1e-3, atol=1e-4)
    again = Normalization.from_json(first.to_json())
    assert again == first and json.loads(first.to_json())["limits"] == [[-1, 1], [0, 255]]
    holed = images[:1].copy()
    holed[0, 0, 0] = np.nan
    np.testing.assert_allclose(first.apply(holed)[0, 0, 0], first.fill, rtol=1e-6)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ([(0, 1)], "black and white"),
        ([(0, 1), (0, np.inf)], "black and white"),
        ([(0, 1, 2), (0, 1, 2)], "black and white"),
        ([(0, 1), (1, 1)], "White must be above black"),
        ([(0, 1), (2, 1)], "White must be above black"),
    ],
)
def test_limits_that_are_none(limits, words):
    with pytest.raises(ConfigError, match=words):
        check_limits(limits, 2)
    with pytest.raises(ConfigError, match=words):
        Normalization("linear", (0.0, 0.0), (1.0, 1.0), limits=limits)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"whitening": ((1.0, 0.0),)}, "whitening"),
        ({"whitening": ((1.0, 0.0), (0.0, np.nan))}, "whitening"),
        ({"softening": (1.0, 0.0)}, "must be positive"),
        ({"fill": (0.0,)}, "in 'fill'"),
        ({"noise": (1.0, np.nan)}, "in 'noise'"),
        ({"stretch": "asin"}, "no stretch 'asin'"),
    ],
)
def test_numbers_that_make_no_normalization(change, words):
    numbers = {"stretch": "linear", "location": (0.0, 0.0), "scale": (1.0, 2.0)}
    with pytest.raises(ConfigError, match=words):
        Normalization(**{**numbers, **change})
    for text in ("", "[]", "{}", '{"stretch": 3}', json.dumps({**numbers, "more": 1})):
        with pytest.raises(ConfigError, match="normalization"):
            Normalization.from_json(text)
