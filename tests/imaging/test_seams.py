"""Cutouts across the seams of tiles on one pixel grid equal those of the joined image."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from astrocnn.flags import Flag
from astrocnn.imaging import Band, Survey, TileSource

HEIGHT, WIDTH = 90, 120


def write_tiles(folder, wcs, planes, pieces, overlap=0, compress=False):
    """Write planes whole, and in pieces of rows and columns that share some pixels."""
    for role, plane in planes.items():
        header = wcs.to_header()
        fits.PrimaryHDU(plane, header).writeto(folder / f"whole_{role}.fits")
        for y, x in pieces:
            low, left = max(0, y - overlap), max(0, x - overlap)
            cut = header.copy()
            cut["CRPIX1"] -= left
            cut["CRPIX2"] -= low
            part = np.ascontiguousarray(plane[low : y + 30 + overlap, left : x + 40 + overlap])
            hdu = fits.PrimaryHDU(part, cut)
            if compress:
                hdu = fits.CompImageHDU(part, cut, compression_type="GZIP_1", quantize_level=0)
            path = folder / f"part_{role}_{y}_{x}.fits"
            fits.HDUList([hdu] if not compress else [fits.PrimaryHDU(), hdu]).writeto(path)


def read(folder, name, ra, dec, size, roles=("image",), other=None, **options):
    marks = {role: str(folder / f"{name}_{role}*.fits") for role in roles if role != "image"}
    bands = [Band("g", str(folder / f"{name}_image*.fits"), bad_bits=4, **marks)]
    if other is not None:
        bands.insert(0, Band("ref", str(other)))
    return TileSource(Survey("s", tuple(bands), **options), ra, dec, size, workers=2).read(
        range(len(ra))
    )


@pytest.fixture
def sky(tmp_path, make_wcs):
    """A mosaic of nine tiles with a hole, and positions everywhere on it and beyond its edge."""
    wcs = make_wcs(shape=(HEIGHT, WIDTH))
    rng = np.random.default_rng(4)
    planes = {
        "image": rng.normal(size=(HEIGHT, WIDTH)).astype("f4"),
        "weight": (rng.random((HEIGHT, WIDTH)) > 0.1).astype("f4"),
        "mask": np.where(rng.random((HEIGHT, WIDTH)) > 0.9, 4, 3).astype("i2"),
    }
    x, y = rng.uniform(-6, WIDTH + 6, 120), rng.uniform(-6, HEIGHT + 6, 120)
    return wcs, planes, wcs.all_pix2world(x, y, 0)


PIECES = [(y, x) for y in (0, 30, 60) for x in (0, 40, 80)]


@pytest.mark.parametrize("overlap", [0, 3])
@pytest.mark.parametrize("size", [8, 15, 50])
@pytest.mark.parametrize("compress", [False, True])
def test_tiles_in_pieces_equal_the_whole(tmp_path, sky, overlap, size, compress):
    wcs, planes, (ra, dec) = sky
    write_tiles(tmp_path, wcs, planes, PIECES, overlap, compress)
    whole = read(tmp_path, "whole", ra, dec, size, tuple(planes))
    parts = read(tmp_path, "part", ra, dec, size, tuple(planes))
    np.testing.assert_array_equal(parts.images, whole.images)
    np.testing.assert_array_equal(parts.no_data, whole.no_data)
    np.testing.assert_array_equal(parts.flags, whole.flags)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.7])
def test_resampled_cutouts_cross_a_seam(tmp_path, sky, make_wcs, ratio):
    wcs, planes, (ra, dec) = sky
    write_tiles(tmp_path, wcs, planes, PIECES)
    shape = (int(HEIGHT / ratio), int(WIDTH / ratio))
    reference = make_wcs(shape=shape, scale=ratio, angle=20.0)
    fits.PrimaryHDU(np.ones(shape, "f4"), reference.to_header()).writeto(tmp_path / "ref.fits")
    other = tmp_path / "ref.fits"
    whole = read(tmp_path, "whole", ra, dec, 12, tuple(planes), other)
    parts = read(tmp_path, "part", ra, dec, 12, tuple(planes), other)
    np.testing.assert_allclose(parts.images, whole.images, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(parts.flags, whole.flags)


def test_a_missing_tile_leaves_a_hole_and_each_tile_keeps_its_zero_point(tmp_path, make_wcs):
    wcs = make_wcs(shape=(30, 80))
    write_tiles(tmp_path, wcs, {"image": np.ones((30, 80), "f4")}, [(0, 0), (0, 40)])
    for x, zero_point in ((0, 31.4), (40, 28.9)):
        with fits.open(tmp_path / f"part_image_0_{x}.fits", mode="update") as hdus:
            hdus[0].header["ZP"] = zero_point
    band = Band("g", str(tmp_path / "part_image*.fits"), zero_point="ZP")
    ra, dec = wcs.all_pix2world([37.7], [14.7], 0)
    cut = TileSource(Survey("s", (band,)), ra, dec, 8).read([0])
    assert cut.flags[0] == 0
    # Columns 34 to 41: six of the first tile, and two of the second, ten times as bright.
    np.testing.assert_allclose(cut.images[0, 0, :, 0], [1] * 6 + [10] * 2, rtol=1e-6)
    (tmp_path / "part_image_0_40.fits").unlink()
    cut = TileSource(Survey("s", (band,)), ra, dec, 8).read([0])
    assert cut.flags[0] == Flag.PARTLY_OUTSIDE and cut.no_data[0, 0] == 0.25
