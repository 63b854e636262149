"""Figures of explanations: what is shown is what was computed."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.explain import figures
from astrocnn.explain.checks import DeletionInsertion
from astrocnn.explain.figures.embedding import place_thumbnails
from astrocnn.explain.figures.maps import (
    compute_half_level,
    compute_isophote,
    full_scale,
    is_signed,
    shared_rgb,
    short,
    signed_rgb,
    sum_bands,
    tiles,
)
from astrocnn.explain.figures.scalars import NEGATIVE, POSITIVE
from astrocnn.report.style import NO_DATA

NAMES = ["g", "g - r", "size"]
BANDS = {1: ["VIS"], 3: ["g", "r", "i"], 7: ["u", "g", "r", "i", "z", "Y", "J"]}


def galaxies(n, bands, size=20, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - (size - 1) / 2
    light = np.exp(-np.hypot(x, 1.5 * y) / 3)[None, ..., None]
    return rng.normal(0, 0.02, (n, size, size, bands)) + light * rng.uniform(0.5, 2, (n, 1, 1, 1))


def maps_of(images, seed=1):
    rng = np.random.default_rng(seed)
    signed = rng.normal(size=images.shape) * images
    return {"gradient": signed, "hidden": np.abs(signed.sum(axis=-1))}


def words(figure):
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text().strip()]


def pictures(figure):
    """Images drawn with numbers, not with colors of their own."""
    return [image for axes in figure.axes for image in axes.images if image.get_array().ndim == 2]


def draw(figure):
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize("n, bands", [(1, 1), (3, 3), (2, 7)])
def test_the_sheet_has_a_row_for_each_object_and_two_columns_beside_the_methods(n, bands):
    images = galaxies(n, bands)
    maps = maps_of(images)
    settings = dict(matplotlib.rcParams)
    figure = figures.plot_attribution(
        images,
        maps,
        labels=[f"object {i}" for i in range(n)],
        band_names=BANDS[bands],
        pixel_scale=0.1,
        foot="N up, E left",
    )
    draw(figure)
    assert dict(matplotlib.rcParams) == settings
    assert len(figure.axes) == n * 4
    drawn = pictures(figure)
    assert len(drawn) == 2 * n
    assert {image.cmap.name for image in drawn} == {"RdBu_r", "viridis"}
    for image, values in zip(drawn[::2], maps["gradient"], strict=True):
        low, high = image.get_clim()
        assert low == -high  # zero is the middle of the colors
        np.testing.assert_allclose(image.get_array(), values.sum(axis=-1))
    for image in drawn[1::2]:
        assert image.get_clim()[0] == 0
    assert all(image.origin == "lower" for axes in figure.axes for image in axes.images)
    texts = words(figure)
    assert "N up, E left" in texts and "0.5\u2033" in texts  # 20 pixels of 0.1 arcsec: at most 0.8
    assert {"image", "outline: gradient", "gradient", "hidden", "object 0"} <= {
        " ".join(word.split()) for word in texts
    }
    bars = [child for axes in figure.axes for child in axes.child_axes]
    assert len(bars) == 2


def test_the_scale_of_a_sheet_is_that_of_the_object_or_of_the_method():
    images = galaxies(3, 3)
    maps = maps_of(images)
    maps["hidden"][0] *= 100
    options = {"labels": list("abc"), "band_names": BANDS[3]}
    apart = pictures(figures.plot_attribution(images, maps, **options))[1::2]
    shared = pictures(figures.plot_attribution(images, maps, **options, scale="method"))[1::2]
    assert len({image.get_clim() for image in apart}) == 3
    assert {image.get_clim() for image in shared} == {(0, full_scale(maps["hidden"]))}
    texts = words(figures.plot_attribution(images, maps, **options))
    assert short(full_scale(maps["hidden"][1])) in texts


def test_the_bands_of_a_method_share_one_scale():
    image = galaxies(1, 7)[0]
    maps = {"gradient": maps_of(image[None])["gradient"][0], "flat": np.zeros(image.shape)}
    figure = draw(
        figures.plot_attribution_by_band(
            image, maps, band_names=BANDS[7], pixel_scale=1.0, title="one"
        )
    )
    assert len(figure.axes) == 7 * 3
    drawn = pictures(figure)
    assert len(drawn) == 14
    assert len({image.get_clim() for image in drawn[:7]}) == 1
    np.testing.assert_array_equal(drawn[3].get_array(), maps["gradient"][..., 3])
    assert {"u", "J", "gradient", "one"} <= set(words(figure))


def test_channels_that_are_no_bands_have_no_image_above_them():
    image = galaxies(1, 1)[0]
    both = {"gradient": np.concatenate([image, image], axis=-1)}
    names = ["VIS", "no data"]
    figure = figures.plot_attribution_by_band(image, both, band_names=["VIS"], channel_names=names)
    draw(figure)
    assert [len(axes.images) for axes in figure.axes] == [1, 0, 1, 1]


def test_a_map_of_zeros_is_labelled():
    images = galaxies(2, 3)
    maps = {"cam": np.zeros(images.shape[:3])}
    maps["cam"][1] = 0.25
    texts = words(figures.plot_attribution(images, maps, labels=["a", "b"], band_names=BANDS[3]))
    assert {"0 everywhere", "0.25"} <= set(texts)


@pytest.mark.parametrize("value", [0.0, -2.0, np.nan])
def test_constant_maps_are_plotted_without_warnings(value):
    images = galaxies(2, 3)
    images[0, :4] = np.nan
    images[1] = np.nan
    maps = {"same": np.full(images.shape[:3], value), "bands": np.full(images.shape, value)}
    maps["same"][0, 3, 3] = np.nan
    figure = figures.plot_attribution(images, maps, labels=["a", "b"], band_names=BANDS[3])
    draw(figure)
    for image in pictures(figure):
        assert image.get_clim()[1] > 0
        assert image.axes.get_facecolor()[:3] == NO_DATA
    draw(figures.plot_attribution_by_band(images[0], {"b": maps["bands"][0]}, band_names=BANDS[3]))
    draw(figures.plot_attribution_by_band(images[1], {"b": maps["bands"][1]}, band_names=BANDS[3]))


def test_a_map_coarser_than_the_image_covers_all_of_it():
    images = galaxies(1, 1)
    figure = figures.plot_attribution(
        images, {"cam": np.arange(25.0).reshape(1, 5, 5)}, labels=["a"], band_names=["VIS"]
    )
    assert pictures(figure)[0].get_extent() == [-0.5, 19.5, -0.5, 19.5]


def test_arrays_of_other_shapes_are_refused():
    images = galaxies(2, 3)
    maps = maps_of(images)
    good = {"labels": ["a", "b"], "band_names": BANDS[3]}
    with pytest.raises(PredictionError, match="one name for each band"):
        figures.plot_attribution(images, maps, labels=["a", "b"], band_names=["g"])
    with pytest.raises(PredictionError, match="label for each image"):
        figures.plot_attribution(images, maps, labels=["a"], band_names=BANDS[3])
    with pytest.raises(PredictionError, match="label for each image"):
        figures.plot_attribution(images, maps, **good, contour="other")
    with pytest.raises(PredictionError, match="'short' do not belong"):
        figures.plot_attribution(images, {"short": maps["hidden"][:1]}, **good)
    with pytest.raises(PredictionError, match="for each of their bands"):
        figures.plot_attribution_by_band(images[0], {"a": maps["hidden"][0]}, band_names=BANDS[3])
    with pytest.raises(PredictionError, match="one name for each band"):
        figures.plot_kernels(np.zeros((3, 3, 2, 4)), band_names=["g"])
    with pytest.raises(PredictionError, match="image and maps"):
        figures.plot_feature_maps(images[0], np.zeros(10), layer="dense1")
    with pytest.raises(PredictionError, match="patches, as many reconstructions"):
        figures.plot_top_activations([[images[0]]], [[]], np.ones((1, 1)), layer="conv1")
    with pytest.raises(PredictionError, match="image of each"):
        figures.plot_class_images({}, band_names=["g"])
    with pytest.raises(PredictionError, match="of one shape"):
        figures.plot_deep_dream(images, images[:1])
    with pytest.raises(PredictionError, match="points in a plane"):
        figures.plot_embedding(np.zeros((3, 2)), colors=["a"])
    with pytest.raises(PredictionError, match="one fraction"):
        figures.plot_band_fractions({"a": np.ones((2, 3))}, band_names=["g"])
    with pytest.raises(PredictionError, match="one correlation"):
        figures.plot_randomization(["conv1"], {"a": np.ones((2, 3))})
    with pytest.raises(PredictionError, match="no method"):
        figures.plot_deletion_insertion({})


def test_rounding_does_not_make_a_map_signed():
    assert not is_signed(np.array([1.0, -1e-7, np.nan]))
    assert is_signed(np.array([1.0, -1e-3]))
    assert is_signed(np.array([-1e-9]))
    assert not is_signed(np.zeros(3)) and not is_signed(np.full(3, np.nan))


def test_the_outline_holds_half_of_the_map():
    rng = np.random.default_rng(0)
    smoothed, level = compute_half_level(rng.normal(size=(40, 30)))
    inside = smoothed >= level
    assert smoothed[inside].sum() / smoothed.sum() == pytest.approx(0.5, abs=2e-3)
    one_less = inside & (smoothed > level)
    assert smoothed[one_less].sum() < 0.5 * smoothed.sum()
    assert compute_half_level(np.zeros((5, 5)))[1] is None


def test_the_isophote_surrounds_the_object_and_nothing_else():
    light, level = compute_isophote(galaxies(1, 3, size=40)[0])
    y, x = np.indices((40, 40)) - 19.5
    inside = light > level
    assert inside[19:21, 19:21].all()
    assert not inside[np.hypot(x, y) > 17].any()
    assert compute_isophote(np.zeros((4, 4, 2)))[1] is None


def test_sums_over_bands_leave_out_what_is_unknown():
    values = np.array([[[1.0, 2.0], [np.nan, 2.0], [np.nan, np.nan]]])
    np.testing.assert_array_equal(sum_bands(values), [[3.0, 2.0, np.nan]])


def test_tiles_are_repeated_pixels_from_the_upper_left():
    parts = [np.full((2, 2, 3), v) for v in (0.1, 0.2, 0.3)]
    parts[2][0, 0] = np.nan
    whole, corners = tiles(parts, 2, side=4, gap=1)
    assert whole.shape == (9, 9, 3)
    np.testing.assert_array_equal(whole[5:, :4], 0.1)  # y points up
    np.testing.assert_array_equal(whole[5:, 5:], 0.2)
    np.testing.assert_array_equal(whole[2:4, :4], 0.3)
    np.testing.assert_array_equal(whole[:4, 5:], 1.0)
    outside = whole[:2, :2, 0]
    assert outside.min() > 0.5 and outside.max() < 0.9
    np.testing.assert_array_equal(corners, [[-0.5, 8.5], [4.5, 8.5], [-0.5, 3.5]])


def test_kernels_are_labelled_by_filter():
    kernels = np.random.default_rng(0).normal(size=(3, 3, 3, 40))
    kernels[..., 7] = 50
    figure = draw(figures.plot_kernels(kernels, band_names=BANDS[3], most=20))
    assert len(figure.axes) == 2
    assert "filter; 20 of 40 by norm" in words(figure)
    norm = np.sqrt((kernels**2).sum(axis=(0, 1, 2)))
    numbers = [int(t.get_text()) for axes in figure.axes for t in axes.get_xticklabels()]
    assert numbers == sorted(np.argsort(-norm)[:20].tolist())
    labels = [[t.get_text() for t in axes.get_yticklabels()] for axes in figure.axes]
    assert labels == [BANDS[3]] * 2
    # In each column of the picture, y upward, the first band is above the second.
    first = figures.plot_kernels(np.sign(np.arange(2) - 0.5).reshape(1, 1, 2, 1), band_names="ab")
    picture = first.axes[0].images[0].get_array()
    assert picture[-1, 0, 2] > picture[-1, 0, 0]  # -1 is blue
    assert picture[0, 0, 0] > picture[0, 0, 2]  # +1 is red
    draw(figures.plot_kernels(np.zeros((1, 1, 1, 1)), band_names=["VIS"]))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("count", [1, 20])
def test_feature_maps_are_labelled_by_filter(shared, count):
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.normal(size=(10, 10, count)), 0) * np.arange(1, count + 1)
    figure = draw(
        figures.plot_feature_maps(
            galaxies(1, 3)[0], maps, layer="act1", shared_scale=shared, most=12
        )
    )
    shown = [text.get_text().split(":")[0] for text in figure.axes[1].texts]
    assert shown == [str(i) for i in range(max(0, count - 12), count)]
    assert len(figure.axes[1].child_axes) == shared
    draw(
        figures.plot_feature_maps(galaxies(1, 1)[0], 0 * maps - 1.0, layer="x", shared_scale=shared)
    )


def test_top_activations_have_patches_beside_reconstructions():
    images = galaxies(9, 3)
    edge = images.copy()
    edge[:, :5] = np.nan
    values = np.sort(np.random.default_rng(0).random((2, 9)))[:, ::-1]
    figure = draw(
        figures.plot_top_activations(
            [list(images), list(edge)],
            [list(images), list(edge)],
            values,
            layer="a",
            channels=[4, 9],
        )
    )
    assert len(figure.axes) == 4
    assert sum("filter 9" in word for word in words(figure)) == 1
    alone = draw(figures.plot_top_activations([list(edge[:1])], None, values[:1, :1], layer="a"))
    assert len(alone.axes) == 1
    draw(
        figures.plot_top_activations(
            [[images[0], images[1][:7]]], None, np.full((1, 2), np.nan), layer="a"
        )
    )


def test_pictures_in_one_stretch_keep_their_order_of_brightness():
    faint, bright = galaxies(2, 3, seed=3)
    faint, bright = 0.1 * faint, 3 * bright
    first, second = shared_rgb([faint, bright])
    assert first.max() < second.max()
    assert first.min() >= 0 and second.max() <= 1
    # Measured on the faint one alone, it is as bright as can be.
    assert shared_rgb([faint, bright], reference=[faint])[0].max() > 0.95
    gray = signed_rgb(np.array([[0.0], [2.0], [-5.0]]), 2.0)
    np.testing.assert_array_equal(gray, [[0.5] * 3, [1.0] * 3, [0.0] * 3])
    np.testing.assert_array_equal(signed_rgb(np.array([1.0, 0.0, -1.0]), 1.0), [0.0, 0.5, 1.0])
    flat = shared_rgb([np.zeros((3, 3, 1))])[0]
    np.testing.assert_array_equal(flat, 0.0)


@pytest.mark.parametrize("bands, columns", [(1, 1), (3, 4), (7, 8)])
def test_class_images_are_symmetric_about_zero(bands, columns):
    images = {"spiral": galaxies(1, bands)[0], "star": np.zeros((20, 20, bands))}
    figure = draw(figures.plot_class_images(images, band_names=BANDS[bands], pixel_scale=0.3))
    assert len(figure.axes) == 2 * columns
    limits = [image.get_clim() for image in pictures(figure)]
    assert len(limits) == 2 * bands
    assert all(low == -high for low, high in limits)
    assert len(set(limits[:bands])) == 1


def test_a_deep_dream_is_below_its_image():
    before = galaxies(2, 3)
    after = before + 0.1
    after[0, 0, 0] = np.nan
    figure = draw(
        figures.plot_deep_dream(before, after, labels=["a", "b"], title="act3", pixel_scale=1.0)
    )
    assert len(figure.axes) == 6
    difference = pictures(figure)
    assert len(difference) == 2 and difference[0].get_clim() == difference[1].get_clim()
    np.testing.assert_allclose(difference[1].get_array(), 0.1)
    draw(figures.plot_deep_dream(before[:1, ..., :1], before[:1, ..., :1]))


@pytest.mark.parametrize("cloud", ["normal", "line", "one place"])
def test_thumbnails_do_not_overlap_and_stay_in_the_frame(cloud):
    rng = np.random.default_rng(0)
    points = rng.normal(0.5, 0.2, (400, 2)).clip(0, 1)
    if cloud == "line":
        points[:, 1] = points[:, 0]
    elif cloud == "one place":
        points[:] = 0.3
    size = 0.1
    chosen, corners = place_thumbnails(points, size)
    apart = np.abs(corners[:, None] - corners).max(axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > size
    assert (corners > 0).all() and (corners + size < 1).all()
    # Nothing is moved but at the border, and there is no room for one more.
    moved = np.abs(corners + size / 2 - points[chosen]).max(axis=1)
    assert ((moved < 1e-12) | (np.abs(points[chosen] - 0.5).max(axis=1) > 0.44)).all()
    everywhere = np.clip(points - size / 2, 0.004, 0.996 - size)
    nearest = np.abs(everywhere[:, None] - corners).max(axis=-1).min(axis=1)
    assert nearest.max() < 1.08 * size
    assert len(chosen) == len(set(chosen.tolist())) and (len(chosen) > 20) == (cloud == "normal")


def test_points_are_colored_by_class_or_number():
    points = np.random.default_rng(0).normal(size=(30, 2))
    points[3] = np.nan
    kinds = np.array(["spiral", "star", ""] * 10)
    images = galaxies(30, 3)
    figure = draw(figures.plot_embedding(points, colors=kinds, thumbnails=images))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["spiral", "star"]
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == 29
    entropy = np.where(np.arange(30) == 5, np.nan, np.arange(30.0))
    figure = draw(figures.plot_embedding(points, colors=entropy, color_label="entropy [nat]"))
    assert "entropy [nat]" in words(figure)
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == 29
    for same in (np.ones(1), np.array([np.nan]), None):
        draw(figures.plot_embedding(points[:1], colors=same, thumbnails=images[:1]))


def curve(n=4, steps=5):
    x = np.linspace(0, 1, steps + 1)
    down = np.outer(np.arange(1, n + 1), 1 - x)
    spread = np.full_like(down, 0.3)
    return DeletionInsertion(x, down**2, down[:, ::-1] + 0.5, down, down[:, ::-1], spread, spread)


def test_curves_are_means_over_objects_beside_random_order():
    figure = draw(figures.plot_deletion_insertion({"one": curve(), "two": curve()}, ylabel="logit"))
    left, right = figure.axes
    random, one, two = left.lines
    np.testing.assert_allclose(random.get_ydata(), 2.5 * np.linspace(1, 0, 6))
    np.testing.assert_allclose(one.get_ydata(), 7.5 * np.linspace(1, 0, 6) ** 2)
    np.testing.assert_array_equal(two.get_ydata(), one.get_ydata())
    np.testing.assert_allclose(right.lines[1].get_ydata(), 2.5 * np.linspace(0, 1, 6) + 0.5)
    (band,) = left.collections
    vertices = band.get_paths()[0].vertices[:, 1]
    assert vertices.max() == pytest.approx(2.8) and vertices.min() == pytest.approx(-0.3)
    draw(figures.plot_deletion_insertion({"one": curve(n=1)}))


def test_randomization_begins_with_the_map_itself():
    values = np.array([[0.9, 0.1], [0.7, np.nan], [0.8, 0.3]])
    figure = draw(figures.plot_randomization(["conv2", "conv1"], {"cam": values}))
    (line,) = figure.axes[0].containers
    np.testing.assert_allclose(line[0].get_ydata(), [1.0, 0.8, 0.2])
    assert {"none", "conv2", "conv1"} <= set(words(figure))
    draw(figures.plot_randomization(["conv1"], {"cam": np.full((1, 1), np.nan)}))


def test_fractions_of_bands_are_medians_with_their_spread():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([3, 2, 1], 101)
    figure = draw(
        figures.plot_band_fractions({"a": shares, "b": shares[::-1]}, band_names=BANDS[3])
    )
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(heights, 2 * (100 * np.median(shares, axis=0)).tolist())
    z = np.linspace(0, 1, 101)
    z[0] = np.nan
    figure = draw(figures.plot_band_fractions({"a": shares}, band_names=BANDS[3], along=("$z$", z)))
    lines = figure.axes[0].lines
    assert len(lines) == 3 and len(lines[0].get_xdata()) == 6
    assert np.ptp(np.diff(lines[0].get_xdata())) < 0.02
    for along in (None, ("$z$", np.array([0.1])), ("$z$", np.array([np.nan]))):
        draw(figures.plot_band_fractions({"a": np.ones((1, 1))}, band_names=["VIS"], along=along))
    draw(figures.plot_band_fractions({"a": np.full((2, 1), np.nan)}, band_names=["VIS"]))


def test_bars_have_the_length_of_what_is_added_and_the_color_of_its_sign():
    added = np.array([[0.5, -1.0, 0.0], [0.25, 0.125, -2.0]])
    beside = np.array([["g = 1", "g - r = 2", "size = 3"], ["g = 4", "g - r = 5", "size = 6"]])
    how = {"names": beside, "labels": ["first", "second"], "foot": "mean of z"}
    figure = draw(figures.plot_input_bars({"one": added, "two": 2 * added}, **how))
    assert len(figure.axes) == 4
    for i in range(2):
        for j in range(2):
            bars = figure.axes[2 * i + j].patches
            np.testing.assert_allclose([bar.get_width() for bar in bars], (1 + j) * added[i])
            for bar, value in zip(bars, added[i], strict=True):
                assert bar.get_facecolor() == to_rgba(NEGATIVE if value < 0 else POSITIVE)
        # The first input is above.
        bottom, top = figure.axes[2 * i].get_ylim()
        assert bottom > top
        labels = [t.get_text() for t in figure.axes[2 * i].get_yticklabels()]
        assert labels == beside[i].tolist()
    assert figure.axes[0].get_xlim() == figure.axes[2].get_xlim()
    assert {"first", "second", "one", "two", "mean of z"} <= set(words(figure))


def test_the_summary_has_the_most_important_input_above():
    added = np.array([[0.5, -1.0, 0.1], [0.5, 2.0, -0.1]])
    figure = draw(figures.plot_input_summary(added, added, names=NAMES, output="mean of z"))
    left, right = figure.axes[:2]
    np.testing.assert_allclose([bar.get_width() for bar in left.patches], [1.5, 0.5, 0.1])
    assert [t.get_text() for t in left.get_yticklabels()] == ["g - r", "g", "size"]
    points = right.collections[0].get_offsets()
    np.testing.assert_allclose(np.asarray(points)[:, 0], [-1.0, 2.0])
    np.testing.assert_allclose(right.collections[0].get_array(), [-1.0, 2.0])
    assert "added to the mean of z" in words(figure)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_scalars_are_plotted_without_warnings(value):
    same = np.full((2, 40), value)
    names = [f"f{k}" for k in range(40)]
    draw(figures.plot_spectra(same, {"one": same}, names=names, labels=["a", "b"]))
    draw(figures.plot_spectrum_summary(same, {"one": same}, names=names))
    draw(figures.plot_input_summary(same, same, names=names))


def test_scalars_of_other_shapes_are_refused():
    good = np.ones((2, 3))
    with pytest.raises(PredictionError, match="for each object and input"):
        figures.plot_input_bars({}, names=np.full((2, 3), "a"), labels=["a", "b"])
    with pytest.raises(PredictionError, match="for each object and input"):
        figures.plot_input_summary(good[:1], good, names=NAMES)
    with pytest.raises(PredictionError, match="a name for each"):
        figures.plot_spectra(good, {"one": good}, names=NAMES[:2], labels=["a", "b"])
