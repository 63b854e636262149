from __future__ import annotations

from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from astrocnn.errors import PredictionError
from astrocnn.explain import figures
from astrocnn.explain.explanations import Explanations, Learned, Looked, TopFilters, chapters
from astrocnn.explain.figures.embedding import placed
from astrocnn.explain.figures.maps import (
    holding,
    is_signed,
    isophote,
    limit,
    over_bands,
    short,
    tiles,
)
from astrocnn.explain.figures.shades import shared_rgb, signed_rgb
from astrocnn.report.page import write_report
from astrocnn.report.style import NO_DATA

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
    figure = figures.attribution_sheet(
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
    said = words(figure)
    assert "N up, E left" in said and "0.5\u2033" in said  # 20 pixels of 0.1 arcsec: at most 0.8
    assert {"image", "outline: gradient", "gradient", "hidden", "object 0"} <= {
        " ".join(word.split()) for word in said
    }
    bars = [child for axes in figure.axes for child in axes.child_axes]
    assert len(bars) == 2


def test_the_scale_of_a_sheet_is_that_of_the_object_or_of_the_method():
    images = galaxies(3, 3)
    maps = maps_of(images)
    maps["hidden"][0] *= 100
    options = {"labels": list("abc"), "band_names": BANDS[3]}
    apart = pictures(figures.attribution_sheet(images, maps, **options))[1::2]
    shared = pictures(figures.attribution_sheet(images, maps, **options, scale="method"))[1::2]
    assert len({image.get_clim() for image in apart}) == 3
    assert {image.get_clim() for image in shared} == {(0, limit(maps["hidden"]))}
    said = words(figures.attribution_sheet(images, maps, **options))
    assert short(limit(maps["hidden"][1])) in said


def test_the_bands_of_a_method_share_one_scale():
    image = galaxies(1, 7)[0]
    maps = {"gradient": maps_of(image[None])["gradient"][0], "flat": np.zeros(image.shape)}
    figure = draw(
        figures.attribution_by_band(image, maps, band_names=BANDS[7], pixel_scale=1.0, title="one")
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
    figure = figures.attribution_by_band(image, both, band_names=["VIS"], channel_names=names)
    draw(figure)
    assert [len(axes.images) for axes in figure.axes] == [1, 0, 1, 1]


def test_a_map_of_nothing_says_so():
    images = galaxies(2, 3)
    maps = {"cam": np.zeros(images.shape[:3])}
    maps["cam"][1] = 0.25
    said = words(figures.attribution_sheet(images, maps, labels=["a", "b"], band_names=BANDS[3]))
    assert {"0 everywhere", "0.25"} <= set(said)


@pytest.mark.parametrize("value", [0.0, -2.0, np.nan])
def test_maps_that_are_the_same_everywhere_are_drawn_in_silence(value):
    images = galaxies(2, 3)
    images[0, :4] = np.nan
    images[1] = np.nan
    maps = {"same": np.full(images.shape[:3], value), "bands": np.full(images.shape, value)}
    maps["same"][0, 3, 3] = np.nan
    figure = figures.attribution_sheet(images, maps, labels=["a", "b"], band_names=BANDS[3])
    draw(figure)
    for image in pictures(figure):
        assert image.get_clim()[1] > 0
        assert image.axes.get_facecolor()[:3] == NO_DATA
    draw(figures.attribution_by_band(images[0], {"b": maps["bands"][0]}, band_names=BANDS[3]))
    draw(figures.attribution_by_band(images[1], {"b": maps["bands"][1]}, band_names=BANDS[3]))


def test_a_map_coarser_than_the_image_covers_all_of_it():
    images = galaxies(1, 1)
    figure = figures.attribution_sheet(
        images, {"cam": np.arange(25.0).reshape(1, 5, 5)}, labels=["a"], band_names=["VIS"]
    )
    assert pictures(figure)[0].get_extent() == [-0.5, 19.5, -0.5, 19.5]


def test_shapes_that_do_not_belong_together_are_refused():
    images = galaxies(2, 3)
    maps = maps_of(images)
    good = {"labels": ["a", "b"], "band_names": BANDS[3]}
    with pytest.raises(PredictionError, match="one name for each band"):
        figures.attribution_sheet(images, maps, labels=["a", "b"], band_names=["g"])
    with pytest.raises(PredictionError, match="label for each image"):
        figures.attribution_sheet(images, maps, labels=["a"], band_names=BANDS[3])
    with pytest.raises(PredictionError, match="label for each image"):
        figures.attribution_sheet(images, maps, **good, contour="other")
    with pytest.raises(PredictionError, match="'short' do not belong"):
        figures.attribution_sheet(images, {"short": maps["hidden"][:1]}, **good)
    with pytest.raises(PredictionError, match="for each of their bands"):
        figures.attribution_by_band(images[0], {"a": maps["hidden"][0]}, band_names=BANDS[3])
    with pytest.raises(PredictionError, match="one name for each band"):
        figures.kernel_mosaic(np.zeros((3, 3, 2, 4)), band_names=["g"])
    with pytest.raises(PredictionError, match="image and maps"):
        figures.feature_montage(images[0], np.zeros(10), layer="dense1")
    with pytest.raises(PredictionError, match="patches for each filter"):
        figures.top_plate([[images[0]]], [[]], np.ones((1, 1)), layer="conv1")
    with pytest.raises(PredictionError, match="image of each"):
        figures.class_images({}, band_names=["g"])
    with pytest.raises(PredictionError, match="of one shape"):
        figures.dream(images, images[:1])
    with pytest.raises(PredictionError, match="points in a plane"):
        figures.embedding_figure(np.zeros((3, 2)), colors=["a"])
    with pytest.raises(PredictionError, match="one share"):
        figures.band_shares({"a": np.ones((2, 3))}, band_names=["g"])
    with pytest.raises(PredictionError, match="one correlation"):
        figures.randomization_stages(["conv1"], {"a": np.ones((2, 3))})
    with pytest.raises(PredictionError, match="no method"):
        figures.deletion_insertion({})


def test_rounding_does_not_make_a_map_signed():
    assert not is_signed(np.array([1.0, -1e-7, np.nan]))
    assert is_signed(np.array([1.0, -1e-3]))
    assert is_signed(np.array([-1e-9]))
    assert not is_signed(np.zeros(3)) and not is_signed(np.full(3, np.nan))


def test_the_line_holds_half_of_the_map():
    rng = np.random.default_rng(0)
    smoothed, level = holding(rng.normal(size=(40, 30)))
    inside = smoothed >= level
    assert smoothed[inside].sum() / smoothed.sum() == pytest.approx(0.5, abs=2e-3)
    one_less = inside & (smoothed > level)
    assert smoothed[one_less].sum() < 0.5 * smoothed.sum()
    assert holding(np.zeros((5, 5)))[1] is None


def test_the_isophote_surrounds_the_object_and_nothing_else():
    light, level = isophote(galaxies(1, 3, size=40)[0])
    y, x = np.indices((40, 40)) - 19.5
    inside = light > level
    assert inside[19:21, 19:21].all()
    assert not inside[np.hypot(x, y) > 17].any()
    assert isophote(np.zeros((4, 4, 2)))[1] is None


def test_sums_over_bands_leave_out_what_is_unknown():
    values = np.array([[[1.0, 2.0], [np.nan, 2.0], [np.nan, np.nan]]])
    np.testing.assert_array_equal(over_bands(values), [[3.0, 2.0, np.nan]])


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


def test_kernels_stand_filter_by_filter_below_their_number():
    kernels = np.random.default_rng(0).normal(size=(3, 3, 3, 40))
    kernels[..., 7] = 50
    figure = draw(figures.kernel_mosaic(kernels, band_names=BANDS[3], most=20))
    assert len(figure.axes) == 2
    assert "filter; 20 of 40 by norm" in words(figure)
    norm = np.sqrt((kernels**2).sum(axis=(0, 1, 2)))
    numbers = [int(t.get_text()) for axes in figure.axes for t in axes.get_xticklabels()]
    assert numbers == sorted(np.argsort(-norm)[:20].tolist())
    labels = [[t.get_text() for t in axes.get_yticklabels()] for axes in figure.axes]
    assert labels == [BANDS[3]] * 2
    # In each column of the picture, y upward, the first band is above the second.
    first = figures.kernel_mosaic(np.sign(np.arange(2) - 0.5).reshape(1, 1, 2, 1), band_names="ab")
    picture = first.axes[0].images[0].get_array()
    assert picture[-1, 0, 2] > picture[-1, 0, 0]  # -1 is blue
    assert picture[0, 0, 0] > picture[0, 0, 2]  # +1 is red
    draw(figures.kernel_mosaic(np.zeros((1, 1, 1, 1)), band_names=["VIS"]))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("count", [1, 20])
def test_a_montage_numbers_its_maps(shared, count):
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.normal(size=(10, 10, count)), 0) * np.arange(1, count + 1)
    figure = draw(
        figures.feature_montage(galaxies(1, 3)[0], maps, layer="act1", shared_scale=shared, most=12)
    )
    shown = [text.get_text().split(":")[0] for text in figure.axes[1].texts]
    assert shown == [str(i) for i in range(max(0, count - 12), count)]
    assert len(figure.axes[1].child_axes) == shared
    draw(figures.feature_montage(galaxies(1, 1)[0], 0 * maps - 1.0, layer="x", shared_scale=shared))


def test_a_plate_has_patches_beside_reconstructions():
    images = galaxies(9, 3)
    edge = images.copy()
    edge[:, :5] = np.nan
    values = np.sort(np.random.default_rng(0).random((2, 9)))[:, ::-1]
    figure = draw(
        figures.top_plate(
            [list(images), list(edge)],
            [list(images), list(edge)],
            values,
            layer="a",
            channels=[4, 9],
        )
    )
    assert len(figure.axes) == 4
    assert sum("filter 9" in word for word in words(figure)) == 1
    alone = draw(figures.top_plate([list(edge[:1])], None, values[:1, :1], layer="a"))
    assert len(alone.axes) == 1
    draw(figures.top_plate([[images[0], images[1][:7]]], None, np.full((1, 2), np.nan), layer="a"))


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
    figure = draw(figures.class_images(images, band_names=BANDS[bands], pixel_scale=0.3))
    assert len(figure.axes) == 2 * columns
    limits = [image.get_clim() for image in pictures(figure)]
    assert len(limits) == 2 * bands
    assert all(low == -high for low, high in limits)
    assert len(set(limits[:bands])) == 1


def test_a_dream_stands_below_its_image():
    before = galaxies(2, 3)
    after = before + 0.1
    after[0, 0, 0] = np.nan
    figure = draw(figures.dream(before, after, labels=["a", "b"], title="act3", pixel_scale=1.0))
    assert len(figure.axes) == 6
    difference = pictures(figure)
    assert len(difference) == 2 and difference[0].get_clim() == difference[1].get_clim()
    np.testing.assert_allclose(difference[1].get_array(), 0.1)
    draw(figures.dream(before[:1, ..., :1], before[:1, ..., :1]))


@pytest.mark.parametrize("cloud", ["normal", "line", "one place"])
def test_thumbnails_do_not_overlap_and_stay_in_the_frame(cloud):
    rng = np.random.default_rng(0)
    points = rng.normal(0.5, 0.2, (400, 2)).clip(0, 1)
    if cloud == "line":
        points[:, 1] = points[:, 0]
    elif cloud == "one place":
        points[:] = 0.3
    size = 0.1
    chosen, corners = placed(points, size)
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
    figure = draw(figures.embedding_figure(points, colors=kinds, thumbnails=images))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["spiral", "star"]
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == 29
    entropy = np.where(np.arange(30) == 5, np.nan, np.arange(30.0))
    figure = draw(figures.embedding_figure(points, colors=entropy, color_label="entropy [nat]"))
    assert "entropy [nat]" in words(figure)
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == 29
    for same in (np.ones(1), np.array([np.nan]), None):
        draw(figures.embedding_figure(points[:1], colors=same, thumbnails=images[:1]))


def curve(n=4, steps=5, std=True):
    x = np.linspace(0, 1, steps + 1)
    down = np.outer(np.arange(1, n + 1), 1 - x)
    found = {
        "fraction": x,
        "deletion": down**2,
        "insertion": down[:, ::-1] + 0.5,
        "random_deletion": down,
        "random_insertion": down[:, ::-1],
    }
    if std:
        found |= {f"random_{k}_std": np.full_like(down, 0.3) for k in ("deletion", "insertion")}
    return SimpleNamespace(**found)


def test_curves_are_means_over_objects_beside_random_order():
    figure = draw(figures.deletion_insertion({"one": curve(), "two": curve()}, ylabel="logit"))
    left, right = figure.axes
    random, one, two = left.lines
    np.testing.assert_allclose(random.get_ydata(), 2.5 * np.linspace(1, 0, 6))
    np.testing.assert_allclose(one.get_ydata(), 7.5 * np.linspace(1, 0, 6) ** 2)
    np.testing.assert_array_equal(two.get_ydata(), one.get_ydata())
    np.testing.assert_allclose(right.lines[1].get_ydata(), 2.5 * np.linspace(0, 1, 6) + 0.5)
    (band,) = left.collections
    vertices = band.get_paths()[0].vertices[:, 1]
    assert vertices.max() == pytest.approx(2.8) and vertices.min() == pytest.approx(-0.3)
    draw(figures.deletion_insertion({"one": curve(n=1, std=False)}))


def test_randomization_begins_with_the_map_itself():
    values = np.array([[0.9, 0.1], [0.7, np.nan], [0.8, 0.3]])
    figure = draw(figures.randomization_stages(["conv2", "conv1"], {"cam": values}))
    (line,) = figure.axes[0].containers
    np.testing.assert_allclose(line[0].get_ydata(), [1.0, 0.8, 0.2])
    assert {"none", "conv2", "conv1"} <= set(words(figure))
    draw(figures.randomization_stages(["conv1"], {"cam": np.full((1, 1), np.nan)}))


def test_shares_of_bands_are_medians_with_their_spread():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([3, 2, 1], 101)
    figure = draw(figures.band_shares({"a": shares, "b": shares[::-1]}, band_names=BANDS[3]))
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(heights, 2 * (100 * np.median(shares, axis=0)).tolist())
    z = np.linspace(0, 1, 101)
    z[0] = np.nan
    figure = draw(figures.band_shares({"a": shares}, band_names=BANDS[3], along=("$z$", z)))
    lines = figure.axes[0].lines
    assert len(lines) == 3 and len(lines[0].get_xdata()) == 6
    assert np.ptp(np.diff(lines[0].get_xdata())) < 0.02
    for along in (None, ("$z$", np.array([0.1])), ("$z$", np.array([np.nan]))):
        draw(figures.band_shares({"a": np.ones((1, 1))}, band_names=["VIS"], along=along))
    draw(figures.band_shares({"a": np.full((2, 1), np.nan)}, band_names=["VIS"]))


def told(n=7, bands=3):
    images = galaxies(n, bands)
    maps = maps_of(images)
    share = np.full((n, bands), 1 / bands)
    looked = Looked(
        output="logit of morphology = spiral",
        images=images,
        maps={"integrated_gradients": maps["gradient"], "grad_cam": maps["hidden"]},
        labels=[f"{i}\nspiral" for i in range(n)],
        curves={"grad_cam": curve(n)},
        stages=["conv2", "conv1"],
        randomization={"grad_cam": np.full((n, 2), 0.25)},
        shifts={"grad_cam": np.r_[np.nan, np.full(n - 1, 0.875)]},
        shares={"integrated_gradients": share},
        along=("$z$", np.linspace(0, 1, n)),
        pointing={
            "grad_cam": SimpleNamespace(
                inside=np.full(n, 0.5), expected=np.full(n, 0.125), hit=np.r_[0.0, np.ones(n - 1)]
            )
        },
    )
    learned = Learned(
        kernels=np.ones((3, 3, bands, 4)),
        maps={"act1": np.abs(maps["gradient"][0])},
        image=images[0],
        top=[TopFilters("act1", [2], [list(images[:4])], [list(images[:4])], np.ones((1, 4)))],
        class_images={"spiral": images[0]},
        dreams=(images[:2], images[:2]),
        points=np.random.default_rng(0).normal(size=(n, 2)),
        method="PCA",
        colors={"label": np.array(["a", "b"] * n)[:n], "entropy": np.arange(float(n))},
        thumbnails=images,
    )
    return looked, learned


def test_chapters_tell_all_there_is(tmp_path):
    looked, learned = told()
    how = {"orientation": "N up, E left", "unit": "nJy"}
    found = chapters(Explanations(BANDS[3], [looked], learned, 0.3, **how))
    titles = [chapter.title for chapter in found]
    assert titles == [
        "What the network looks at",
        "Can the maps be believed?",
        "What the network has learned",
    ]
    first, second, third = found
    assert len(first.figures) == 2 + 2 + 1  # sheets of six objects, two by band, shares
    assert [row[0] for row in first.tables[0].rows] == ["integrated gradients", "Grad-CAM"]
    (table,) = second.tables
    (row,) = table.rows
    cells = dict(zip(table.columns, row, strict=True))
    assert cells["Method"] == "Grad-CAM"
    areas = np.trapezoid(curve(7).deletion, curve(7).fraction)
    less = np.trapezoid(curve(7).random_deletion, curve(7).fraction) - areas
    assert cells["Deletion"] == f"{less.mean():.3g} ({(less > 0).sum()} of 7)"
    assert cells["Insertion"] == "0.5 (7 of 7)"
    assert cells["Random weights"] == "0.25"
    assert cells["Image shifted"] == "0.88"
    assert cells["In the region"] == "50\u00a0%"
    assert cells["Peak inside"] == "6 of 7"
    assert sum(line.startswith(("Deletion:", "In the region:")) for line in second.text) == 2
    assert len(second.figures) == 2 and len(third.figures) == 7
    (sheet, *_) = (picture.figure for picture in first.figures)
    assert "logit of morphology = spiral; N up, E left" in words(sheet)
    assert "flux [nJy]" in words(third.figures[3].figure)
    path = write_report(tmp_path / "report.html", title="one", chapters=found)
    assert path.read_text().count("<figure") == 14


def test_numbers_that_grow_when_the_object_goes_are_checked_as_well():
    looked, _ = told()
    rising = SimpleNamespace(**{name: -values for name, values in vars(curve(7)).items()})
    rising.fraction = curve(7).fraction
    other = Looked("variance", looked.images, looked.maps, looked.labels, {"grad_cam": rising})
    rows = [chapters(Explanations(BANDS[3], [one]))[1].tables[0].rows[0] for one in (looked, other)]
    assert rows[0][:2] == rows[1][:2]  # by deletion; these insertions end elsewhere


def test_curves_that_go_opposite_ways_do_not_cancel():
    looked, _ = told()
    falling = curve(7)
    mixed = SimpleNamespace(**vars(falling))
    sign = np.where(np.arange(7) < 5, 1.0, -1.0)[:, None]
    for name in ("deletion", "insertion", "random_deletion", "random_insertion"):
        setattr(mixed, name, sign * getattr(falling, name))
    drawn = []
    for one in (falling, mixed):
        shown = Looked("logit", looked.images, looked.maps, looked.labels, {"grad_cam": one})
        (picture,) = chapters(Explanations(BANDS[3], [shown]))[1].figures
        drawn.append([line.get_ydata() for axes in picture.figure.axes for line in axes.lines])
        assert ("Of 2 of 7 objects" in picture.caption) == (len(drawn) == 2)
    np.testing.assert_allclose(*drawn)


@pytest.mark.parametrize("change, little", [(0.125, True), (0.25, False)])
def test_pixels_that_hardly_count_are_named(change, little):
    looked, _ = told()
    curves = curve(7)
    # Numbers from 0 to 6, of which the standard deviation is 2.
    curves.deletion = np.arange(7.0)[:, None] + np.linspace(0, change, 6)
    one = Looked("mean of z", looked.images, looked.maps, looked.labels, {"grad_cam": curves})
    text = " ".join(chapters(Explanations(BANDS[3], [one]))[0].text)
    assert f"mean of z by {change:.2g} in the median" in text
    assert f"of the images it is 3, of empty sky {3 + change:.3g}." in text
    assert ("standard deviation 2): the network decides by other things" in text) == little


def test_chapters_leave_out_what_there_is_not():
    looked, _ = told(2, 1)
    bare = Looked(looked.output, looked.images, looked.maps, looked.labels)
    assert [c.title for c in chapters(Explanations(["VIS"], [bare]))] == [
        "What the network looks at"
    ]
    assert chapters(Explanations(["VIS"], learned=Learned())) == []
    many, _ = told(24)
    shares = Looked(many.output, many.images, {}, many.labels, shares=many.shares, along=many.along)
    (first,) = chapters(Explanations(BANDS[3], [shares]))
    assert len(first.figures) == 2  # from two dozen objects on shares also along the redshift
