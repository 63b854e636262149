"""Scales, levels, mosaics and colors of maps, in numbers made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.explain.figures.checks import _compute_mean, _compute_quantiles
from astrocnn.explain.figures.embedding import place_thumbnails
from astrocnn.explain.figures.inspection import _pad_to_box, _select_largest
from astrocnn.explain.figures.maps import (
    add_colorbar,
    colored,
    compute_half_level,
    compute_isophote,
    full_scale,
    plot_map,
    plot_outline,
    shared_rgb,
    short,
    signed_rgb,
    tiles,
    validate_arrays,
)
from astrocnn.explain.figures.scalars import _get_largest, _parse_names
from astrocnn.explain.files import _is_north_up


@pytest.mark.parametrize(
    ("values", "top"),
    [
        ([0.0, 0.0], 1.0),
        ([np.nan], 1.0),
        ([], 1.0),
        ([-3.0, np.inf, np.nan, -3.0], 3.0),
        (np.arange(1001.0), 998.0),
        # Fewer than two in a thousand: the largest value.
        ([0.0] * 999 + [5.0], 5.0),
    ],
)
def test_the_full_scale_is_exceeded_by_two_in_a_thousand(values, top):
    assert full_scale(values) == pytest.approx(top)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, "0.12"), (1234.0, "1200"), (-0.00999, "-0.01"), (0.0, "0"), (3e-7, "3e-07")],
)
def test_numbers_have_two_digits(value, text):
    assert short(value) == text


def test_maps_have_their_limits_and_cover_the_image():
    axes = Figure().subplots()
    plot_map(axes, [[1.0, np.nan], [-2.0, 0.0]], 4.0, signed=True, shape=(6, 8))
    (picture,) = axes.images
    assert picture.get_clim() == (-4, 4) and picture.get_extent() == [-0.5, 7.5, -0.5, 5.5]
    assert picture.get_array().mask.tolist() == [[False, True], [False, False]]
    one, signed = (add_colorbar(axes, 0.25, sign) for sign in (False, True))
    assert [text.get_text() for text in one.get_yticklabels()] == ["0", "0.25"]
    assert [text.get_text() for text in signed.get_yticklabels()] == ["\u22120.25", "0", "0.25"]
    assert one.get_ylim() == (0, 0.25) and signed.get_ylim() == (-0.25, 0.25)


def test_a_contour_is_plotted_if_the_values_cross_its_level():
    values = np.zeros((5, 5))
    values[2, 2] = 1.0
    for level, count in ((0.5, 1), (None, 0), (1.0, 0), (-1.0, 0)):
        axes = Figure().subplots()
        plot_outline(axes, values, level)
        assert len(axes.collections) == count
        if count:
            vertices = axes.collections[0].get_paths()[0].vertices
            # Half-way from the center to each neighbor.
            np.testing.assert_allclose(vertices.min(axis=0), 1.5)
            np.testing.assert_allclose(vertices.max(axis=0), 2.5)


def test_half_of_a_map_lies_above_its_level():
    rng = np.random.default_rng(2)
    smoothed, level = compute_half_level(rng.normal(size=(30, 30)) ** 3)
    part = smoothed[smoothed >= level].sum() / smoothed.sum()
    assert 0.5 <= part < 0.5 + smoothed.max() / smoothed.sum() + 1e-12
    assert compute_half_level(np.zeros((4, 4)))[1] is None


def test_the_isophote_is_five_times_the_noise_of_the_border():
    rng = np.random.default_rng(3)
    image = rng.normal(7.0, 2.0, (64, 64, 2))
    image[28:36, 28:36] += 100.0
    light, level = compute_isophote(image)
    sky = light[:8]
    assert level == pytest.approx(np.median(sky) + 5 * sky.std(), rel=0.25)
    above = light > level
    assert above[30:34, 30:34].all() and not above[:16].any()
    # Bands are in units of their noise: another unit changes nothing.
    other = compute_isophote(image * [1.0, 1e6])
    np.testing.assert_allclose(other[0], light, atol=1e-6)
    assert compute_isophote(np.ones((16, 16, 1)))[1] is None


def test_tiles_have_their_places():
    pictures = [np.full((2, 3, 3), value) for value in (0.1, 0.2, 0.3)]
    mosaic, corners = tiles(pictures, 2, side=6, gap=1)
    # Pixels are repeated twice: tiles of 4 x 6, in two rows and columns with a gap of one.
    assert mosaic.shape == (9, 13, 3)
    assert corners.tolist() == [[-0.5, 8.5], [6.5, 8.5], [-0.5, 3.5]]
    assert (mosaic[5:, :6] == 0.1).all() and (mosaic[5:, 7:] == 0.2).all()
    assert (mosaic[:4, :6] == 0.3).all() and (mosaic[:4, 7:] == 1).all()
    assert (mosaic[4] == 1).all() and (mosaic[:, 6] == 1).all()
    outside, _ = tiles([np.full((8, 8, 3), np.nan)], 1)
    assert set(np.unique(outside)) == {0.66, 0.88}


def test_colors_of_known_values():
    middle = colored([[0.0, np.nan]], 2.0, signed=True)
    np.testing.assert_allclose(middle[0, 0], 0.97, atol=0.01)  # nearly white at zero
    assert (middle[0, 1] == colored([np.nan], 1.0, signed=False)[0]).all()
    np.testing.assert_array_equal(colored([9.0], 2.0, True), colored([2.0], 2.0, True))
    rgb = signed_rgb([[1.0, 0.0, -2.0], [-1.0, np.nan, 0.5]], 2.0)
    np.testing.assert_array_equal(rgb, [[0, 0.5, 0.75], [0.625, np.nan, 0.25]])
    np.testing.assert_array_equal(signed_rgb([[1.0, 9.0]], 2.0), [[0.75] * 3])


def test_images_share_black_and_white():
    ramp = np.linspace(0, 1, 1001).reshape(7, 143, 1)
    (gray,) = shared_rgb([ramp], dark=0.25)
    assert gray.shape == (7, 143, 3)
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])
    light = gray[..., 0].ravel()
    assert (light == 0).sum() == 251  # a quarter, and the value at the quantile itself
    assert (np.diff(light) >= 0).all() and light[998] == pytest.approx(1) and light.max() <= 1
    # By the reference of another image, the same pixels have the same colors.
    (part,) = shared_rgb([ramp[:3]], [ramp], dark=0.25)
    np.testing.assert_allclose(part, gray[:3])


def test_thumbnails_are_apart_and_begin_in_the_middle():
    points = np.array([[0.5, 0.5], [0.52, 0.5], [0.9, 0.5], [0.5, 0.02]])
    chosen, corners = place_thumbnails(points, 0.1)
    assert chosen[0] == 0 and set(chosen.tolist()) == {0, 2, 3}
    np.testing.assert_allclose(corners[0], [0.45, 0.45])
    # At the border they are moved into the frame.
    assert corners[chosen.tolist().index(3)].tolist() == pytest.approx([0.45, 0.004])


def test_statistics_leave_out_what_is_unknown():
    values = np.array([[0.0, np.nan], [50.0, np.nan], [100.0, np.nan]])
    found = _compute_quantiles(values)
    np.testing.assert_allclose(found[:, 0], [50, 16, 84])
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_array_equal(_compute_mean([values, [[10.0, 3.0]]]), [40.0, 3.0])
    assert _select_largest(np.array([1.0, 5, 3, 5]), 2).tolist() == [1, 3]
    small, large = _pad_to_box([np.ones((1, 2, 3)), np.ones((3, 4, 3))])
    assert np.argwhere(np.isfinite(small[..., 0])).tolist() == [[1, 1], [1, 2]]
    assert np.isfinite(large).all()
    assert (_get_largest(np.array([-2.0, 1])), _get_largest(np.zeros(2))) == (2, 1)


@pytest.mark.parametrize(
    ("names", "places", "label"),
    [
        (["f_1", "f_2.5", "f_10"], [1, 2.5, 10], "number in the name, f_1 to f_10"),
        (["f_2", "f_1"], [0, 1], "input, from 0 (f_2) to 1 (f_1)"),
        (["f_1", "g_2"], [0, 1], "input, from 0 (f_1) to 1 (g_2)"),
        (["mag", "size", "z"], [0, 1, 2], "input, from 0 (mag) to 2 (z)"),
    ],
)
def test_places_along_a_spectrum_are_increasing_numbers(names, places, label):
    found, text = _parse_names(names)
    assert found.tolist() == places and text == label


def test_arrays_of_a_figure_must_belong_together():
    found = validate_arrays({"a": [[1, 2]]}, (None, 2), "words")
    assert found["a"].dtype == np.float64
    for arrays in ({}, {"a": [[1, 2, 3]]}, {"a": [1, 2]}):
        with pytest.raises(PredictionError, match="words"):
            validate_arrays(arrays, (None, 2), "words")


@pytest.mark.parametrize(
    ("angle", "flip", "up"),
    [(0, 1, True), (1, 1, True), (20, 1, False), (180, 1, False), (0, -1, False)],
)
def test_north_is_up_within_a_few_degrees(angle, flip, up):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = 1e-4 * np.array([[-c * flip, s], [s * flip, c]])
    wcs.wcs.set()
    assert _is_north_up(wcs) is up
    assert _is_north_up(None) is False
