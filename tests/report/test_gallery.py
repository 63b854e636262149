from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from astrocnn.errors import PredictionError
from astrocnn.report import (
    COLORS,
    NO_DATA,
    Stamp,
    add_scale_bar,
    compute_band_levels,
    make_rgb,
    new_figure,
    plot_bands,
    plot_gallery,
)


def words(figure):
    return [
        text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()
    ]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    images = rng.normal(10, 1, (40, 16, 16, 3)).astype(np.float32)
    images[:, 6:10, 6:10] += 50
    images[5, :3] = np.nan
    return images


def test_title_of_a_stamp_shows_both_labels_only_where_they_differ():
    assert Stamp(0, "spiral", "spiral", "", False).title == "spiral"
    assert Stamp(0, "", "spiral", "", False).title == "spiral"
    assert Stamp(0, "elliptical", "spiral", "", True).title == "elliptical \u2192 spiral"


def test_gallery_marks_errors_and_has_a_scale_bar(images):
    stamps = [
        Stamp(0, "a", "a", "p = 0.90", False),
        Stamp(1, "a", "b", "p = 0.80", True),
        Stamp(2, "", "c", "p = 0.70", False),
    ]
    figure = plot_gallery(images[:3], stamps, pixel_scale=0.5, labels=["7", "8", "9"])
    assert {"a\np = 0.90", "a \u2192 b\np = 0.80", "c\np = 0.70"} <= set(words(figure))
    orange = [axes.xaxis.label.get_color() == COLORS[1] for axes in figure.axes]
    assert orange == [False, True, False]
    assert "2\u2033" in words(figure)  # 16 pixels of 0.5 arcsec: at most 3.2 arcsec
    assert {"7", "8", "9"} <= set(words(figure))
    assert "2\u2033" not in words(plot_gallery(images[:3], stamps))
    bar = figure.axes[0].lines[0]
    assert np.ptp(bar.get_xdata()) == pytest.approx(2 / 0.5)
    with pytest.raises(PredictionError, match="one image per stamp"):
        plot_gallery(images[:2], stamps)
    with pytest.raises(PredictionError, match="one image per stamp"):
        plot_gallery(images[:0], [])


def test_gallery_shows_the_colors_of_make_rgb(images):
    stamps = [Stamp(i, "", "x", "", False) for i in range(7)]
    levels = compute_band_levels(images).tolist()
    figure = plot_gallery(images[:7], stamps, levels=levels)
    shown = np.stack([axes.images[0].get_array() for axes in figure.axes])
    np.testing.assert_allclose(shown, make_rgb(images[:7], levels=levels), atol=1e-6)
    grid = figure.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 6)


@pytest.mark.parametrize(
    ("pixel_scale", "expected"), [(0.03, 0.2), (0.1, 0.5), (0.396, 2), (1.0, 5), (25.0, 200)]
)
def test_scale_bar_is_the_largest_round_angle_below_two_fifths(pixel_scale, expected):
    _, axes = new_figure()
    add_scale_bar(axes, 20, pixel_scale)
    assert axes.texts[0].get_text() == f"{expected:g}\u2033"
    for line in axes.lines:
        assert np.ptp(line.get_xdata()) * pixel_scale == pytest.approx(expected)
    assert expected <= 0.4 * 20 * pixel_scale < 2.5 * expected


def test_band_levels_are_quantiles_above_the_median():
    rng = np.random.default_rng(1)
    images = rng.normal(0, 1, (3, 40, 40, 2)) * [1.0, 5.0] + [100.0, -30.0]
    images[0, :5] = np.nan
    levels = compute_band_levels(images)
    above = images - np.nanmedian(images, axis=(1, 2), keepdims=True)
    expected = [np.nanquantile(above[..., b], 0.997) for b in range(2)]
    np.testing.assert_allclose(levels, expected)
    assert levels[1] / levels[0] == pytest.approx(5, rel=0.1)


def test_pixels_without_data_have_a_color_of_their_own(images):
    colored = make_rgb(images)
    assert colored.shape == (40, 16, 16, 3)
    assert np.isfinite(colored).all() and colored.min() >= 0 and colored.max() <= 1
    np.testing.assert_allclose(colored[5, :3], np.broadcast_to(NO_DATA, (3, 16, 3)))
    assert not np.isclose(colored[5, 3:], NO_DATA).all(axis=-1).any()


def test_one_or_two_bands_are_gray_and_three_keep_their_ratios(images):
    gray = make_rgb(images[..., :2])
    good = ~np.isclose(gray, NO_DATA).all(axis=-1)
    np.testing.assert_array_equal(gray[good][:, 0], gray[good][:, 2])
    image = np.zeros((1, 20, 20, 3))
    image[0, 8:12, 8:12] = [1.0, 2.0, 4.0]
    red, green, blue = make_rgb(image, levels=[1.0, 1.0, 1.0])[0, 10, 10]
    assert red > green > blue  # the last band is red
    assert (red - 0.06) / (blue - 0.06) >= 2


def test_a_brighter_pixel_is_never_darker():
    ramp = np.linspace(0, 100, 400).reshape(1, 20, 20, 1)
    shown = make_rgb(ramp)[0, ..., 0].ravel()
    assert np.all(np.diff(shown) >= -1e-12) and np.ptp(shown) > 0.9


def test_colors_do_not_depend_on_the_unit_of_the_images(images):
    np.testing.assert_allclose(make_rgb(images), make_rgb(1e-9 * images.astype(float)), atol=1e-5)


def test_flat_empty_and_negative_images_are_plotted_without_warning():
    images = np.zeros((4, 8, 8, 3))
    images[1] = np.nan
    images[2] = -5.0
    images[3, ..., 1] = np.nan  # one band missing: the others are shown
    images[3, 4, 4] = 9.0
    colored = make_rgb(images)
    assert np.isfinite(colored).all()
    np.testing.assert_allclose(colored[1], np.broadcast_to(NO_DATA, (8, 8, 3)))
    assert not np.isclose(colored[3, 4, 4], NO_DATA).all()
    for bands in ((0, 1), (0, 1, 7)):
        with pytest.raises(PredictionError, match="one or three band indices"):
            make_rgb(images, bands=bands)


def test_bands_are_shown_side_by_side_with_a_color_image(images):
    figure = plot_bands(images[4:6], ("g", "r", "i"), labels=["a", "b"], pixel_scale=0.5)
    assert len(figure.axes) == 8
    assert [axes.get_title() for axes in figure.axes[:4]] == ["g", "r", "i", "color"]
    assert [figure.axes[k].get_ylabel() for k in (0, 4)] == ["a", "b"]
    for band in range(3):
        shown = figure.axes[4 + band].images[0].get_array()
        np.testing.assert_allclose(shown, make_rgb(images[5:6], [band])[0], atol=1e-6)
        np.testing.assert_allclose(shown[:3], np.broadcast_to(NO_DATA, (3, 16, 3)))
    assert "pink: no data" in words(figure) and "2\u2033" in words(figure)
    two = plot_bands(images[:1, ..., :2], ("g", "r"))
    assert len(two.axes) == 2 and "pink: no data" not in words(two)
    for wrong in (images[:0], images[0], images[..., :2]):
        with pytest.raises(PredictionError, match="one name per band"):
            plot_bands(wrong, ("g", "r", "i"))
