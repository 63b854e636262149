"""Where a cutout lies on the sky: equal to Cutout2D, distortions kept, resized stamps."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS, DistortionLookupTable
from PIL import Image

from astrocnn.imaging import ArraySource, Band, NoImages, Survey, TileSource, get_cutout_wcs, unpack
from astrocnn.imaging.cutout_wcs import build_window_wcs
from astrocnn.imaging.sky_grid import SkyGrid
from astrocnn.imaging.sources.stamps import StampSource

from .test_skygrid import sip_header, tpv_header

SHAPE = (200, 200)


def tile(path, header) -> WCS:
    data = np.random.default_rng(0).normal(size=SHAPE).astype("f4")
    fits.PrimaryHDU(data, header).writeto(path)
    return WCS(header)


def places(wcs: WCS) -> tuple[np.ndarray, np.ndarray]:
    """Objects in the middle, near a corner and so near an edge that the cutout leaves the tile."""
    return wcs.all_pix2world(np.array([100.3, 30.0, 3.2]), np.array([99.8, 160.6, 120.5]), 0)


@pytest.fixture(params=["plain", "rotated", "SIP", "TPV"])
def header(request, make_wcs):
    if request.param in ("SIP", "TPV"):
        return sip_header() if request.param == "SIP" else tpv_header()
    return make_wcs(shape=SHAPE, angle=0 if request.param == "plain" else 33).to_header()


@pytest.mark.parametrize("size", [16, 17])
def test_a_slice_of_a_tile_is_where_cutout2d_says(tmp_path, header, size):
    wcs = tile(tmp_path / "t.fits", header)
    ra, dec = places(wcs)
    source = TileSource(Survey("s", (Band("g", str(tmp_path / "t.fits")),)), ra, dec, size)
    x, y = wcs.all_world2pix(ra, dec, 0)
    for row in range(3):
        found = get_cutout_wcs(source, row)
        cut = Cutout2D(
            np.zeros(SHAPE), (x[row], y[row]), size, wcs=wcs, mode="partial", fill_value=np.nan
        )
        assert found.to_header(relax=True) == cut.wcs.to_header(relax=True)
        if wcs.sip is not None:
            np.testing.assert_array_equal(found.sip.crpix, cut.wcs.sip.crpix)
        at = np.array(found.all_world2pix(ra[row], dec[row], 0))
        np.testing.assert_allclose(at, np.array(cut.input_position_cutout), atol=1e-3)
        # The object lies in the middle, as nearly as whole pixels allow.
        assert np.abs(at - (size - 1) / 2).max() <= 0.5 + 1e-3
        image = source.read([row]).images[0, :, :, 0]
        corner = np.rint([x[row] - at[0], y[row] - at[1]]).astype(int)
        inside = fits.getdata(tmp_path / "t.fits")[corner[1] + 4, corner[0] + 8]
        assert image[4, 8] == inside


def test_the_header_carries_the_distortion(tmp_path, header):
    wcs = tile(tmp_path / "t.fits", header)
    ra, dec = places(wcs)
    source = TileSource(Survey("s", (Band("g", str(tmp_path / "t.fits")),)), ra, dec, 24)
    found = get_cutout_wcs(source, 1)
    read = WCS(found.to_header(relax=True))
    x, y = np.meshgrid([0.0, 11, 23], [0.0, 12, 23])
    whole_x, whole_y = wcs.all_world2pix(*found.all_pix2world(x, y, 0), 0)
    np.testing.assert_allclose(whole_x - x, np.rint(whole_x - x), atol=1e-4)
    np.testing.assert_allclose(whole_y - y, np.rint(whole_y - y), atol=1e-4)
    np.testing.assert_allclose(read.all_pix2world(x, y, 0), found.all_pix2world(x, y, 0), rtol=1e-9)


def test_on_a_tangent_plane_the_object_is_the_center(tmp_path, header):
    wcs = tile(tmp_path / "t.fits", header)
    ra, dec = places(wcs)
    survey = Survey("s", (Band("g", str(tmp_path / "t.fits")),), pixel_scale=0.7)
    source = TileSource(survey, ra, dec, 20)
    x = y = np.array([0.0, 9.5, 19.0])
    for row in range(3):
        found = get_cutout_wcs(source, row)
        np.testing.assert_allclose(found.all_world2pix(ra[row], dec[row], 0), 9.5, atol=1e-3)
        told = source._tangent.to_sky(ra[row : row + 1], dec[row : row + 1], x - 9.5, y - 9.5)
        np.testing.assert_allclose(found.all_pix2world(x, y, 0), np.concatenate(told), rtol=1e-10)


def test_objects_that_no_tile_covers_are_nowhere(tmp_path, make_wcs):
    wcs = tile(tmp_path / "t.fits", make_wcs(shape=SHAPE).to_header())
    ra, dec = np.append(places(wcs)[0], 210.0), np.append(places(wcs)[1], np.nan)
    source = TileSource(Survey("s", (Band("g", str(tmp_path / "t.fits")),)), ra, dec, 8)
    assert get_cutout_wcs(source, 0) is not None and get_cutout_wcs(source, 3) is None


@pytest.mark.parametrize("form", ["CD", "PC"])
@pytest.mark.parametrize(("size", "crop"), [(10, None), (8, 24), (30, 15), (26, None)])
def test_stamps_keep_their_own_coordinates(tmp_path, header, form, size, crop):
    """Rebinned, enlarged, cropped or padded: a point of the sky stays on the same light."""
    if form == "PC" and "A_ORDER" not in header:
        header = WCS(header).to_header()
    fits.PrimaryHDU(np.zeros((21, 22), "f4"), header).writeto(tmp_path / "0.fits")
    survey = Survey("s", (Band("g", str(tmp_path / "{id}.fits")),), kind="stamps", crop=crop)
    found = get_cutout_wcs(StampSource(survey, {"id": np.array([0])}, size), 0)
    side = crop or size
    step = side / size
    p = np.array([0.0, size / 3, size - 1.0])
    x = (22 - side) // 2 + (p + 0.5) * step - 0.5
    y = (21 - side) // 2 + (p + 0.5) * step - 0.5
    there = WCS(header).all_pix2world(x, y, 0)
    np.testing.assert_allclose(found.all_pix2world(p, p, 0), there, rtol=0, atol=1e-9)


def test_tables_of_distortions_become_a_tangent_plane(tmp_path, make_wcs):
    wcs = make_wcs(shape=SHAPE, angle=12)
    y, x = np.mgrid[-1:1:21j, -1:1:21j]
    bend = (4 * (x**2 - y * x)).astype("f4")
    wcs.cpdis1 = DistortionLookupTable(bend, (1, 1), (1, 1), (10, 10))
    grid = SkyGrid(wcs, SHAPE)
    found = build_window_wcs(grid, 60, 130, 16)
    x, y = (v.ravel() for v in np.meshgrid([0.0, 7.5, 15.0], [0.0, 7.5, 15.0]))
    here = SkyCoord(*found.all_pix2world(x, y, 0), unit="deg")
    there = SkyCoord(*grid.to_sky(x + 60, y + 130), unit="deg")
    assert here.separation(there).arcsec.max() < 0.05
    linear = SkyCoord(
        *make_wcs(shape=SHAPE, angle=12).all_pix2world(x + 60, y + 130, 0), unit="deg"
    )
    assert linear.separation(there).arcsec.max() > 0.5, "the distortion would not be noticed"


def test_what_has_no_coordinates_has_no_wcs(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), "u1")).save(tmp_path / "0.jpg")
    fits.PrimaryHDU(np.zeros((8, 8), "f4")).writeto(tmp_path / "0.fits")
    for name in ("{id}.jpg", "{id}.fits", "{id}.absent"):
        band = Band("g", str(tmp_path / name), plane=0 if "jpg" in name else None)
        source = StampSource(Survey("s", (band,), kind="stamps"), {"id": np.array([0])}, 8)
        assert get_cutout_wcs(source, 0) is None
    assert get_cutout_wcs(NoImages(2), 0) is None
    assert get_cutout_wcs(ArraySource(np.zeros((2, 8, 8)), ["g"]), 0) is None


@pytest.mark.real_data
def test_stamps_of_ztf_keep_their_distortion(real_data, tmp_path):
    (packed,) = (real_data / "ztf_star_galaxy").glob("*.tar.gz")
    path = min(unpack(packed, tmp_path / "ztf").rglob("*.fits"))
    survey = Survey("ztf", (Band("i", str(path)),), kind="stamps")
    found = get_cutout_wcs(StampSource(survey, {"id": np.array([0])}, 20), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = fits.getheader(path)
        truth = WCS(header)
    assert "TPV" in header["CTYPE1"]
    dx, dy = (header["NAXIS1"] - 20) // 2, (header["NAXIS2"] - 20) // 2
    p = np.array([0.0, 10.0, 19.0])
    np.testing.assert_allclose(
        found.all_pix2world(p, p, 0), truth.all_pix2world(p + dx, p + dy, 0), rtol=1e-12
    )
    written = WCS(found.to_header(relax=True))
    np.testing.assert_allclose(written.all_pix2world(p, p, 0), found.all_pix2world(p, p, 0))
