"""Cutouts equal astropy's Cutout2D bit for bit, at every position, edge and data type."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.nddata.utils import NoOverlapError
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.flags import Flag, describe
from astrocnn.imaging import Band, Survey, TileSource
from astrocnn.imaging.cutouts import (
    compute_corners,
    compute_flags,
    copy_windows,
    count_overlap,
    drop_infinite,
)

DTYPES = (">f4", "<f4", ">f8", ">i2", "u1", ">i4", "<i8")


def oracle(data: np.ndarray, x: float, y: float, size: int) -> np.ndarray:
    if data.dtype.kind != "f":
        data = data.astype(np.float64)
    try:
        cut = Cutout2D(data, (x, y), size, mode="partial", fill_value=np.nan).data
    except NoOverlapError:
        cut = np.full((size, size), np.nan)
    return cut.astype(np.float32)


@given(
    x=st.floats(-60, 90),
    y=st.floats(-60, 90),
    half=st.booleans(),
    size=st.integers(1, 40),
    dtype=st.sampled_from(DTYPES),
    strided=st.booleans(),
)
def test_windows_equal_cutout2d(x, y, half, size, dtype, strided):
    if half:  # positions on pixel borders, where rounding is decided
        x, y = round(2 * x) / 2, round(2 * y) / 2
    data = np.random.default_rng(0).uniform(0, 200, (31, 37)).astype(dtype)
    out = np.zeros((2, size, size, 3), np.float32)
    target = out[..., 1] if strided else np.zeros((2, size, size), np.float32)
    x0, y0 = compute_corners(np.array([x]), size), compute_corners(np.array([y]), size)
    copy_windows(data, x0, y0, target, into=np.array([1]))
    np.testing.assert_array_equal(target[1], oracle(data, x, y, size))
    assert not target[0].any(), "another row was touched"
    inside = count_overlap(x0, size, 37) * count_overlap(y0, size, 31)
    assert inside[0] == np.isfinite(target[1]).sum()


@pytest.mark.parametrize("size", [1, 8, 15])
def test_whole_path_equals_cutout2d(tile, tmp_path, size):
    rng = np.random.default_rng(1)
    wcs, data = tile(tmp_path / "g.fits", seed=1)
    tile(tmp_path / "r.fits", seed=2)
    x, y = rng.uniform(-20, 90, (2, 200))
    ra, dec = wcs.all_pix2world(x, y, 0)
    survey = Survey.from_dict({"image": "{band}.fits", "bands": ["g", "r"]}, tmp_path)
    rows = rng.permutation(200)[:150]
    cut = TileSource(survey, ra, dec, size, workers=2).read(rows)
    x, y = wcs.all_world2pix(ra, dec, 0)
    for k, band in enumerate(["g", "r"]):
        data = fits.getdata(tmp_path / f"{band}.fits")
        for i, row in enumerate(rows):
            np.testing.assert_array_equal(
                cut.images[i, :, :, k], oracle(data, x[row], y[row], size)
            )
    empty = np.isnan(cut.images).all(axis=(1, 2, 3))
    assert 10 < empty.sum() < 140
    np.testing.assert_array_equal((cut.flags & Flag.NO_COVERAGE) != 0, empty)
    np.testing.assert_allclose(cut.no_data, np.isnan(cut.images).mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize(
    "kind", ["int16", "uint16", "uint32", "scaled", "blank", "double", "rice", "gzip_tiles", "gz"]
)
def test_every_storage_equals_astropy(tile, tmp_path, kind):
    wcs, data = tile(tmp_path / "plain.fits", seed=3)
    header = wcs.to_header()
    path = tmp_path / ("t.fits.gz" if kind == "gz" else "t.fits")
    counts = np.abs(data * 1000)
    if kind == "scaled":
        hdu = fits.PrimaryHDU(data, header)
        hdu.scale("int16", bscale=0.013, bzero=2.5)
    elif kind == "blank":
        hdu = fits.PrimaryHDU(counts.astype("i4"), header)
        hdu.header["BLANK"] = int(counts.astype("i4")[20, 20])
    elif kind == "rice":
        hdu = fits.CompImageHDU(data, header, compression_type="RICE_1")
    elif kind == "gzip_tiles":
        hdu = fits.CompImageHDU(counts.astype("i2"), header, compression_type="GZIP_2")
    elif kind in ("int16", "uint16", "uint32"):
        hdu = fits.PrimaryHDU(counts.astype(kind), header)
    else:
        hdu = fits.PrimaryHDU(data.astype("f8"), header)
    hdus = [fits.PrimaryHDU(), hdu] if kind in ("rice", "gzip_tiles") else [hdu]
    fits.HDUList(hdus).writeto(path)
    with fits.open(path) as opened:
        expected = np.array(opened[-1].data)
    assert kind != "blank" or np.isnan(expected).any()
    x, y = np.array([0.0, 20, 33.5, 59]), np.array([0.0, 20, 12.5, 49])
    source = TileSource(Survey("s", (Band("g", str(path)),)), *wcs.all_pix2world(x, y, 0), size=12)
    x, y = wcs.all_world2pix(source.ra, source.dec, 0)
    images = source.read(range(4)).images
    for i in range(4):
        np.testing.assert_array_equal(images[i, :, :, 0], oracle(expected, x[i], y[i], 12))


def test_blank_zero_is_no_data(tile, tmp_path):
    wcs, data = tile(tmp_path / "plain.fits")
    pixels = np.ones(data.shape, "i2")
    pixels[20, 20] = 0
    hdu = fits.PrimaryHDU(pixels, wcs.to_header())
    hdu.header["BLANK"] = 0
    hdu.writeto(tmp_path / "t.fits")
    ra, dec = wcs.all_pix2world([20.0], [20.0], 0)
    cut = TileSource(Survey("s", (Band("g", str(tmp_path / "t.fits")),)), ra, dec, 3).read([0])
    assert np.isnan(cut.images[0, 1, 1, 0]) and np.isfinite(cut.images).sum() == 8
    assert cut.flags[0] == Flag.NO_DATA_PIXELS


def test_infinite_pixels_become_no_data_and_are_counted():
    images = np.zeros((3, 4, 4, 2), np.float32)
    images[1, 2, 2, 1] = np.inf
    images[2, 0, :, 0] = np.nan
    images[0, 0, 0, 0] = 3e38
    images[0, 0, 1, 0] = 3e38  # their sum overflows, yet both are data
    np.testing.assert_array_equal(drop_infinite(images), [[0, 0], [0, 1], [4, 0]])
    assert np.isnan(images[1, 2, 2, 1]) and images[0, 0, 0, 0] == np.float32(3e38)


@pytest.mark.parametrize(
    ("no_data", "outside", "covered", "flags"),
    [
        ((0, 0), (0, 0), (1, 1), Flag(0)),
        ((3, 0), (3, 0), (1, 1), Flag.PARTLY_OUTSIDE),
        ((3, 0), (2, 0), (1, 1), Flag.PARTLY_OUTSIDE | Flag.NO_DATA_PIXELS),
        ((16, 0), (0, 0), (1, 1), Flag.BAND_MISSING | Flag.NO_DATA_PIXELS),
        ((16, 0), (16, 0), (0, 1), Flag.BAND_MISSING),
        ((9, 0), (9, 0), (1, 1), Flag.PARTLY_OUTSIDE | Flag.BAND_PARTIAL),
        ((8, 0), (8, 0), (1, 1), Flag.PARTLY_OUTSIDE),
        ((16, 16), (16, 16), (0, 0), Flag.NO_COVERAGE | Flag.BAND_MISSING),
    ],
)
def test_flags_of_pixel_counts(no_data, outside, covered, flags):
    got = compute_flags(np.array([no_data]), np.array([outside]), 16, np.array([covered], bool))[0]
    assert got == flags, describe(got)
