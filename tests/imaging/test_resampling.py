"""Resampling: closed forms, conservation of flux, holes, and reproject as an oracle."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrocnn.flags import Flag
from astrocnn.imaging import RESAMPLINGS, Band, Survey, TileSource
from astrocnn.imaging.resampling import GridMap, compute_nodes, resample, resize
from astrocnn.imaging.sky_grid import SkyGrid


def linear_map(size: int, scale: float, angle: float = 0.0, shift=(20.0, 20.0)) -> GridMap:
    dx, dy = compute_nodes(size)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    x = scale * (c * dx - s * dy) + shift[0]
    y = scale * (s * dx + c * dy) + shift[1]
    return GridMap(size, x[None], y[None])


def gaussian(wcs: WCS, shape, ra: float, dec: float, sigma: float) -> np.ndarray:
    """Surface brightness [per arcsec2] of a round Gaussian of unit flux, times pixel area."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    lon, lat = wcs.all_pix2world(x, y, 0)
    r2 = ((lon - ra) * np.cos(np.radians(dec)) * 3600) ** 2 + ((lat - dec) * 3600) ** 2
    area = SkyGrid(wcs, shape).pixel_scale ** 2
    return area * np.exp(-0.5 * r2 / sigma**2) / (2 * np.pi * sigma**2)


def pair(tmp_path, make_wcs, scale: float, angle: float, sigma: float = 4.0, shape=(300, 300)):
    """A target tile of 1 arcsec and a band with another scale and angle, with one source."""
    target = make_wcs(shape=(80, 80))
    other = make_wcs(ra=150.001, dec=2.0007, scale=scale, angle=angle, shape=shape)
    source = (150.0004, 1.9995)
    for name, wcs, size in (("t", target, (80, 80)), ("o", other, shape)):
        data = gaussian(wcs, size, *source, sigma)
        fits.PrimaryHDU(data, wcs.to_header()).writeto(tmp_path / f"{name}.fits")
    return target, other, source


@pytest.mark.parametrize("method", RESAMPLINGS)
@pytest.mark.parametrize("scale", [0.37, 1.0, 3.3])
def test_a_flat_sky_gets_its_area(method, scale):
    window = np.full((1, 90, 90), 2.0)
    zero = np.zeros(1, int)
    values = resample(window, zero, zero, linear_map(9, scale, 25, (45, 30)), method)
    np.testing.assert_allclose(values, 2 * scale**2, rtol=1e-9)
    kept = resample(window, zero, zero, linear_map(9, scale, 25, (45, 30)), method, conserve=False)
    np.testing.assert_allclose(kept, 2.0, rtol=1e-9)


@pytest.mark.parametrize("method", ["bilinear", "lanczos3"])
def test_a_gradient_is_reproduced(method):
    y, x = np.mgrid[:60, :60]
    grid_map = linear_map(12, 0.6, 33)
    zero = np.zeros(1, int)
    values = resample((3.0 * x - 2 * y)[None], zero, zero, grid_map, method, conserve=False)
    at_x, at_y = grid_map.at(np.arange(12))
    # Lanczos weights do not reproduce a slope exactly: they ripple by 0.03 of a pixel.
    ripple = 1e-9 if method == "bilinear" else 0.03 * np.hypot(3, 2)
    np.testing.assert_allclose(values[0], (3 * at_x - 2 * at_y)[0], atol=ripple)


@pytest.mark.parametrize("method", RESAMPLINGS)
def test_the_identity_is_exact(method):
    data = np.random.default_rng(0).normal(size=(1, 40, 40))
    zero = np.zeros(1, int)
    grid_map = linear_map(9, 1.0, 0, (4.0, 4.0))
    values = resample(data, zero, zero, grid_map, method)
    np.testing.assert_allclose(values[0], data[0, 4:13, 4:13], atol=1e-9)


def test_whole_ratios_are_block_sums():
    data = np.random.default_rng(0).normal(size=(1, 60, 60))
    zero = np.zeros(1, int)
    # The middle of target pixel (0, 0) is the middle of image pixels 10 to 13.
    values = resample(data, zero, zero, linear_map(8, 4.0, 0, (11.5, 11.5)), "bilinear")
    blocks = data[0, 10:42, 10:42].reshape(8, 4, 8, 4).sum(axis=(1, 3))
    np.testing.assert_allclose(values[0], blocks, atol=1e-9)


def test_holes_keep_their_size():
    window = np.ones((1, 40, 40))
    window[0, 18:23, 18:23] = np.nan
    zero = np.zeros(1, int)
    for method in RESAMPLINGS:
        fine = resample(window, zero, zero, linear_map(40, 0.5, 0, (10, 10)), method)
        assert 0.8 < np.isnan(fine).sum() / 100 < 1.3, method
        np.testing.assert_allclose(fine[np.isfinite(fine)], 0.25, rtol=1e-9)


@pytest.mark.parametrize("method", RESAMPLINGS)
@pytest.mark.parametrize(("scale", "angle"), [(0.4, 35.0), (1.0, 80.0), (2.5, 200.0), (0.18, 5.0)])
def test_sources_stay_in_place_with_their_flux(tmp_path, make_wcs, method, scale, angle):
    _, _, source = pair(tmp_path, make_wcs, scale, angle, shape=(420, 420))
    survey = Survey.from_dict(
        {"image": "{band}.fits", "bands": ["t", "o"], "resampling": method}, tmp_path
    )
    cut = TileSource(survey, *(np.array([v]) for v in source), size=41).read([0])
    assert not cut.flags.any()
    t, o = cut.images[0, :, :, 0].astype(float), cut.images[0, :, :, 1].astype(float)
    y, x = np.mgrid[:41, :41]
    np.testing.assert_allclose(o.sum(), 1.0, rtol=0.01 if method != "nearest" else 0.03)
    for axis in (x, y):
        assert abs((axis * o).sum() / o.sum() - (axis * t).sum() / t.sum()) < 0.1
    if method == "lanczos3":
        np.testing.assert_allclose(o, t, atol=0.03 * t.max())


@pytest.mark.parametrize(("scale", "angle"), [(0.35, 20.0), (1.8, 70.0)])
def test_reproject_agrees(tmp_path, make_wcs, scale, angle):
    reproject = pytest.importorskip("reproject")
    target, other, source = pair(tmp_path, make_wcs, scale, angle)
    survey = Survey.from_dict(
        {"image": "{band}.fits", "bands": ["t", "o"], "resampling": "bilinear"}, tmp_path
    )
    source_ = TileSource(survey, *(np.array([v]) for v in source), size=30)
    ours = source_.read([0]).images[0, :, :, 1]
    data = fits.getdata(tmp_path / "o.fits")
    exact = scale < 1
    function = reproject.reproject_exact if exact else reproject.reproject_interp
    options = {"parallel": False} if exact else {"order": "bilinear"}
    theirs, _ = function((data, other), target, shape_out=(80, 80), **options)
    x, y = target.all_world2pix(*source, 0)
    x0, y0 = int(np.ceil(x - 15)), int(np.ceil(y - 15))
    # reproject keeps surface brightness per image pixel; the target pixel is larger or smaller.
    expected = theirs[y0 : y0 + 30, x0 : x0 + 30] / scale**2
    np.testing.assert_allclose(ours, expected, atol=(0.02 if exact else 1e-3) * expected.max())


def test_distorted_grids_follow_the_exact_map(tmp_path, make_wcs):
    """The polynomial between the nodes is within a thousandth of a pixel of the full WCS."""
    header = make_wcs(shape=(200, 200), scale=0.3, angle=40).to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["A_ORDER"], header["B_ORDER"] = 3, 3
    header["A_2_0"], header["B_1_1"], header["A_0_3"] = 2e-4, -3e-4, 1e-6
    grid, target = SkyGrid(WCS(header), (200, 200)), SkyGrid(make_wcs(), (50, 60))
    dx, dy = compute_nodes(24)
    grid_map = GridMap(24, *grid.to_pixel(*target.to_sky(20 + dx[None], 15 + dy[None])))
    x, y = np.meshgrid(np.arange(24), np.arange(24))
    exact = grid.to_pixel(*target.to_sky(20.0 + x, 15.0 + y))
    for got, wanted in zip(grid_map.at(np.arange(24)), exact, strict=True):
        assert np.abs(got[0] - wanted).max() < 1e-3


def test_edges_of_a_smaller_footprint(tmp_path, make_wcs):
    pair(tmp_path, make_wcs, 0.8, 0.0, shape=(30, 30))
    survey = Survey.from_dict({"image": "{band}.fits", "bands": ["t", "o"]}, tmp_path)
    cut = TileSource(survey, np.array([150.0]), np.array([2.0]), size=60).read([0])
    flags = Flag(int(cut.flags[0]))
    assert flags == Flag.PARTLY_OUTSIDE | Flag.BAND_PARTIAL
    covered = 60**2 * (1 - cut.no_data[0, 1])
    # Thirty pixels of 0.8 arcsec hold the centers of 24 or 25 of the target.
    assert 24**2 - 4 <= covered <= 25**2


def test_a_pixel_scale_of_ones_own(tmp_path, make_wcs):
    _, _, source = pair(tmp_path, make_wcs, 0.5, 63.0)
    survey = Survey.from_dict(
        {"image": "{band}.fits", "bands": ["t", "o"], "pixel_scale": 0.7}, tmp_path
    )
    reader = TileSource(survey, *(np.array([v]) for v in source), size=51)
    images = reader.read([0]).images[0].astype(float)
    assert reader.pixel_scale == 0.7
    y, x = np.mgrid[:51, :51]
    for band in range(2):
        image = images[..., band]
        np.testing.assert_allclose(image.sum(), 1.0, rtol=0.01)
        # The grid is centered on the object.
        np.testing.assert_allclose((x * image).sum() / image.sum(), 25, atol=0.05)
        np.testing.assert_allclose((y * image).sum() / image.sum(), 25, atol=0.05)


def test_north_is_up_and_east_left(tmp_path, make_wcs):
    pair(tmp_path, make_wcs, 0.5, 63.0)
    survey = Survey("s", (Band("o", str(tmp_path / "o.fits")),), pixel_scale=1.0)
    north = (
        TileSource(survey, [150.0004], [1.9995 - 10 / 3600], size=41).read([0]).images[0, ..., 0]
    )
    east = TileSource(survey, [150.0004 - 10 / 3600], [1.9995], size=41).read([0]).images[0, ..., 0]
    assert np.unravel_index(np.nanargmax(north), (41, 41)) == (30, 20)
    assert np.unravel_index(np.nanargmax(east), (41, 41)) == (20, 10)


def test_where_the_reference_has_no_tile_the_others_are_still_cut(tmp_path, make_wcs):
    _, other, _ = pair(tmp_path, make_wcs, 0.5, 63.0)
    survey = Survey.from_dict({"image": "{band}.fits", "bands": ["t", "o"]}, tmp_path)
    ra, dec = other.all_pix2world(10.0, 150.0, 0)
    far = TileSource(survey, [float(ra)], [float(dec)], size=7)
    # The object is 70 arcsec off: outside the target tile of 80 arcsec, inside the other.
    cut = far.read([0])
    assert cut.no_data[0].tolist() == [1, 0]
    assert cut.flags[0] == Flag.BAND_MISSING


def test_surface_brightness_keeps_its_value(tmp_path, make_wcs):
    for name, scale in (("t", 1.0), ("o", 0.5)):
        wcs = make_wcs(scale=scale, shape=(90, 90))
        fits.PrimaryHDU(np.full((90, 90), 5.0), wcs.to_header()).writeto(tmp_path / f"{name}.fits")
    bands = [{"name": n, "image": f"{n}.fits", "unit": "MJy/sr"} for n in "to"]
    for unit, expected in ((None, 5.0), ("kJy/sr", 5000.0), ("nJy", 5e15 / 206264.806**2)):
        survey = Survey.from_dict({"bands": bands} | ({"unit": unit} if unit else {}), tmp_path)
        images = TileSource(survey, [150.0], [2.0], size=9).read([0]).images
        np.testing.assert_allclose(images, expected, rtol=1e-4)


def test_resizing_closed_forms():
    image = np.arange(36.0).reshape(6, 6)
    np.testing.assert_allclose(
        resize(image, 3), image.reshape(3, 2, 3, 2).mean(axis=(1, 3)), atol=1e-12
    )
    np.testing.assert_allclose(resize(image, 4).mean(), image.mean())
    np.testing.assert_allclose(resize(image, 4)[0, 0], (0 + 0.5 + 3 + 1.75) / 2.25, atol=1e-12)
    np.testing.assert_allclose(resize(image, 6), image)
    np.testing.assert_allclose(resize(np.ones((5, 5)), 13), 1)
    image[:2, :2] = np.nan
    small = resize(image, 3)
    assert np.isnan(small[0, 0]) and np.isnan(small).sum() == 1
