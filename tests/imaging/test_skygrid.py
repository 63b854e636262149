"""Sky to pixel and back: distortions, rotation, axis order, wrap, frames, failures."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import skycoord_to_pixel

from astrocnn.errors import ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import Band, Survey, TileSource
from astrocnn.imaging.planes import find_plane
from astrocnn.imaging.sky_grid import SkyGrid, TangentGrid, same_grid


def sip_header(strength: float = 2e-5) -> fits.Header:
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["CRVAL1"], header["CRVAL2"] = 150.0, 2.0
    header["CRPIX1"], header["CRPIX2"] = 100.0, 100.0
    header["CD1_1"], header["CD2_2"] = -1 / 3600, 1 / 3600
    header["CD1_2"], header["CD2_1"] = 0.0, 0.0
    header["A_ORDER"], header["B_ORDER"] = 2, 2
    header["A_2_0"], header["B_0_2"] = strength, -strength
    return header


def tpv_header() -> fits.Header:
    header = sip_header()
    for key in list(header):
        if key[:2] in ("A_", "B_"):
            del header[key]
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    header["PV1_1"], header["PV2_1"] = 1.0, 1.0
    header["PV1_4"], header["PV2_4"] = 0.2, -0.3
    return header


@pytest.mark.parametrize("header", [sip_header(), tpv_header()], ids=["SIP", "TPV"])
def test_distortions_count(header):
    grid = SkyGrid(WCS(header), (200, 200))
    x, y = np.meshgrid([0.0, 50, 199], [0.0, 120, 199])
    ra, dec = grid.to_sky(x, y)
    back = grid.to_pixel(ra, dec)
    np.testing.assert_allclose(back[0], x, atol=1e-3)
    np.testing.assert_allclose(back[1], y, atol=1e-3)
    linear = WCS(header)
    linear.sip = None
    if "TPV" in header["CTYPE1"]:
        plain = header.copy()
        for axis in (1, 2):
            plain[f"CTYPE{axis}"] = plain[f"CTYPE{axis}"].replace("TPV", "TAN")
            del plain[f"PV{axis}_1"], plain[f"PV{axis}_4"]
        linear = WCS(plain)
    guess = linear.wcs_world2pix(ra.ravel(), dec.ravel(), 0)
    assert np.abs(guess[0] - x.ravel()).max() > 0.1, "the distortion would not be noticed"


def test_positions_that_cannot_be_inverted_are_nan():
    grid = SkyGrid(WCS(sip_header(strength=2e-3)), (200, 200))
    x, y = grid.to_pixel(
        np.array([150.0, 151.5, 330.0, np.nan, 150.0]), np.array([2.0, 2.0, -2.0, 2.0, 95.0])
    )
    assert np.isfinite(x[0]) and np.isfinite(y[0])
    assert np.isnan(x[1:]).all()


def test_the_other_side_of_the_sky_is_not_on_the_image(make_wcs):
    grid = SkyGrid(make_wcs(), (50, 60))
    assert np.isnan(grid.to_pixel(np.array([330.0]), np.array([-2.0]))[0]).all()


def test_dec_first_axes(make_wcs, tmp_path):
    """The transposed image with the axes exchanged is the same sky."""
    data = np.random.default_rng(0).normal(size=(50, 60)).astype("f4")
    wcs = make_wcs(angle=20)
    fits.PrimaryHDU(data, wcs.to_header()).writeto(tmp_path / "ra.fits")
    swapped = WCS(naxis=2)
    swapped.wcs.ctype = ["DEC--TAN", "RA---TAN"]
    swapped.wcs.crval = wcs.wcs.crval[::-1]
    swapped.wcs.crpix = wcs.wcs.crpix[::-1]
    swapped.wcs.cd = wcs.wcs.cd[::-1, ::-1]
    fits.PrimaryHDU(data.T, swapped.to_header()).writeto(tmp_path / "dec.fits")
    x, y = np.array([12.3, 40.0]), np.array([20.2, 33.0])
    ra, dec = wcs.all_pix2world(x, y, 0)
    one = TileSource(Survey("a", (Band("g", str(tmp_path / "ra.fits")),)), ra, dec, 9)
    two = TileSource(Survey("b", (Band("g", str(tmp_path / "dec.fits")),)), ra, dec, 9)
    np.testing.assert_array_equal(
        one.read([0, 1]).images, two.read([0, 1]).images.transpose(0, 2, 1, 3)
    )
    np.testing.assert_allclose(one.pixel_scale, 1.0, rtol=1e-6)


def test_ra_wraps_at_zero(tile, tmp_path):
    wcs, data = tile(tmp_path / "t.fits", ra=0.0)
    x, y = np.array([10.0, 50.0]), np.array([25.0, 25.0])
    ra, dec = wcs.all_pix2world(x, y, 0)
    assert ra.max() > 359 and ra.min() < 1
    survey = Survey("s", (Band("g", str(tmp_path / "t.fits")),))
    for shifted in (ra, np.where(ra > 180, ra - 360, ra)):
        cut = TileSource(survey, shifted, dec, 5).read([0, 1])
        assert not cut.flags.any()
        np.testing.assert_array_equal(cut.images[1, :, :, 0], data[23:28, 48:53])


def test_at_the_pole(tile, tmp_path):
    wcs, data = tile(tmp_path / "t.fits", dec=90.0)
    x, y = np.array([10.0, 30.0, 50.0]), np.array([40.0, 5.0, 25.0])
    ra, dec = wcs.all_pix2world(x, y, 0)
    cut = TileSource(Survey("s", (Band("g", str(tmp_path / "t.fits")),)), ra, dec, 5).read(range(3))
    np.testing.assert_array_equal(cut.images[2, :, :, 0], data[23:28, 48:53])
    assert not cut.flags.any()


@pytest.mark.parametrize("frame", ["fk5", "fk4", "galactic"])
def test_other_frames_agree_with_astropy(make_wcs, frame):
    wcs = make_wcs()
    if frame == "galactic":
        wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    else:
        wcs.wcs.radesys = frame.upper()
        wcs.wcs.equinox = 1950.0 if frame == "fk4" else 2000.0
    wcs = WCS(wcs.to_header())
    grid = SkyGrid(wcs, (50, 60))
    ra, dec = grid.to_sky(np.array([5.0, 50.0]), np.array([10.0, 44.0]))
    expected = skycoord_to_pixel(SkyCoord(ra, dec, unit="deg"), wcs)
    np.testing.assert_allclose(grid.to_pixel(ra, dec), expected, atol=1e-5)
    np.testing.assert_allclose(expected, [[5, 50], [10, 44]], atol=1e-3)


def test_bad_coordinates_get_their_flag(tile, tmp_path):
    tile(tmp_path / "t.fits")
    source = TileSource(
        Survey("s", (Band("g", str(tmp_path / "t.fits")),)),
        [150.0, np.nan, 150.0, 20.0],
        [2.0, 2.0, -91.0, 2.0],
        8,
    )
    cut = source.read(range(4))
    missing = Flag.BAND_MISSING
    assert cut.flags.tolist() == [
        0,
        Flag.BAD_COORDINATES | missing,
        Flag.BAD_COORDINATES | missing,
        Flag.NO_COVERAGE | missing,
    ]
    assert sorted(source.order()) == [0, 1, 2, 3] and source.order()[0] == 0


def test_no_wcs_is_a_sentence(tmp_path):
    fits.PrimaryHDU(np.zeros((5, 5), "f4")).writeto(tmp_path / "t.fits")
    with pytest.raises(ImageError, match="no celestial WCS"):
        SkyGrid.from_plane(find_plane(tmp_path / "t.fits"))


def test_same_grid_finds_whole_shifts_only(make_wcs):
    one, two, turned = make_wcs(), make_wcs(), make_wcs(angle=0.1)
    two.wcs.crpix += [7, -3]
    half = make_wcs()
    half.wcs.crpix += [0.5, 0]
    grid = SkyGrid(one, (50, 60))
    assert same_grid(grid, SkyGrid(two, (50, 60))) == (7, -3)
    assert same_grid(grid, SkyGrid(turned, (50, 60))) is None
    assert same_grid(grid, SkyGrid(half, (50, 60))) is None


def test_tangent_grid_agrees_with_wcs(make_wcs):
    wcs = make_wcs(ra=30, dec=-70, scale=2.0, angle=33)
    grid = SkyGrid(wcs, (51, 61))
    dx, dy = np.array([-20.0, 0, 25]), np.array([10.0, 0, -25])
    tangent = TangentGrid(grid.matrix())
    ra, dec = tangent.to_sky(*(np.array([v]) for v in wcs.wcs.crval), dx, dy)
    x, y = wcs.all_world2pix(ra[0], dec[0], 0)
    np.testing.assert_allclose(x - (wcs.wcs.crpix[0] - 1), dx, atol=2e-3)
    np.testing.assert_allclose(y - (wcs.wcs.crpix[1] - 1), dy, atol=2e-3)
