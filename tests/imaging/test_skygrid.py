"""Sky to pixel and back: distortions, rotation, axis order, wrap, frames, failures."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable, Sip
from astropy.wcs.utils import skycoord_to_pixel
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn.errors import ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import Band, Survey, TileSource
from astrocnn.imaging.cutout_wcs import build_window_wcs
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


@st.composite
def whole_sky_wcs(draw) -> WCS:
    """A WCS anywhere on the sky: projection, distortion, rotation, parity, axis order, frame."""
    projection = draw(st.sampled_from(["TAN", "SIN", "ARC", "ZEA", "STG"]))
    distorted = projection == "TAN" and draw(st.booleans())
    swapped = not distorted and draw(st.booleans())
    angle = np.radians(draw(st.floats(0, 360)))
    scale = draw(st.sampled_from([0.1, 1.0, 3.0])) / 3600
    parity = draw(st.sampled_from([-1, 1]))
    wcs = WCS(naxis=2)
    names = [f"RA---{projection}", f"DEC--{projection}"]
    values = [draw(st.floats(0, 359.999)), draw(st.sampled_from([-90.0, -89.999, -45, 0, 60, 90]))]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.diag([parity, 1.0])
    order = [1, 0] if swapped else [0, 1]
    if distorted:
        names = [f"{name}-SIP" for name in names]
        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], b[0, 2] = 2e-6, -1e-6
        wcs.sip = Sip(a, b, None, None, (100.0, 80.0))
    wcs.wcs.ctype = [names[i] for i in order]
    wcs.wcs.crval = [values[i] for i in order]
    wcs.wcs.cd = matrix[order]
    wcs.wcs.crpix = [100.0, 80.0]
    wcs.wcs.radesys = draw(st.sampled_from(["ICRS", "FK5"]))
    wcs.wcs.set()
    return wcs


@given(wcs=whole_sky_wcs())
@settings(max_examples=60, deadline=None)
def test_every_place_on_the_sky_agrees_with_astropy(wcs):
    grid = SkyGrid(wcs, (160, 200))
    x, y = (v.ravel() for v in np.meshgrid([0.0, 40.5, 99.5, 199], [0.0, 79.5, 159]))
    ra, dec = grid.to_sky(x, y)
    ours = SkyCoord(ra, dec, unit="deg")
    assert ours.separation(wcs.pixel_to_world(x, y).icrs).arcsec.max() < 1e-6
    back = grid.to_pixel(ra, dec)
    np.testing.assert_allclose(back, (x, y), atol=2e-4)

    # The matrix gives the offsets east and north of a neighboring pixel, at the poles, too.
    center = SkyCoord(*grid.to_sky(np.array([99.5]), np.array([79.5])), unit="deg")
    step = 2.0
    for axis, (dx, dy) in enumerate(((step, 0), (0, step))):
        there = SkyCoord(*grid.to_sky(np.array([99.5 + dx]), np.array([79.5 + dy])), unit="deg")
        offsets = np.array([o.arcsec[0] for o in center.spherical_offsets_to(there)])
        expected = step * grid.matrix()[:, axis]
        np.testing.assert_allclose(offsets, expected, atol=2e-3 * step * grid.pixel_scale)
    area = np.abs(np.linalg.det(grid.matrix())) * np.radians(1 / 3600) ** 2
    assert area == pytest.approx(grid.pixel_area, rel=1e-6)
    assert grid.edge_distance(*grid.to_pixel(center.ra.deg, center.dec.deg))[0] == pytest.approx(
        80, abs=1e-3
    )


@given(wcs=whole_sky_wcs(), shift=st.tuples(st.integers(-30, 30), st.integers(-30, 30)))
@settings(max_examples=30, deadline=None)
def test_windows_of_any_image_lie_on_its_grid(wcs, shift):
    grid = SkyGrid(wcs, (160, 200))
    window = SkyGrid(build_window_wcs(grid, 50 + shift[0], 60 + shift[1], 40), (40, 40))
    assert same_grid(window, grid) == (50 + shift[0], 60 + shift[1])
    assert window.key != grid.key
    half = SkyGrid(build_window_wcs(grid, 50, 60, 20, 2.0), (20, 20))
    assert same_grid(half, grid) is None
    assert half.pixel_scale == pytest.approx(2 * grid.pixel_scale, rel=1e-3)


def lookup_table(pixels: float) -> DistortionLookupTable:
    table = np.full((4, 4), pixels, np.float32)
    return DistortionLookupTable(table, (1, 1), (1, 1), (100, 100))


@pytest.mark.parametrize("name", ["cpdis1", "cpdis2", "det2im1", "det2im2"])
def test_lookup_tables_are_part_of_a_grid(make_wcs, name):
    def grid(pixels: float | None, ra: float = 150.0) -> SkyGrid:
        wcs = make_wcs(ra=ra, shape=(200, 200))
        if pixels is not None:
            setattr(wcs, name, lookup_table(pixels))
        return SkyGrid(wcs, (200, 200))

    assert grid(4.0).uses_tables and not grid(None).uses_tables
    assert len({grid(p).key for p in (None, 0.0, 3.0, 4.0)}) == 4
    assert same_grid(grid(4.0), grid(4.0)) == (0, 0)
    # Even where the tables agree at every point that is compared, grids with tables are not one.
    assert same_grid(grid(4.0), grid(3.0)) is None
    assert same_grid(grid(None), grid(0.0)) is None


def test_a_tangent_grid_at_the_pole_is_regular(make_wcs):
    """Gnomonic offsets at the pole are polar coordinates (Calabretta & Greisen 2002, eq. 54)."""
    grid = TangentGrid.north_up(10.0)
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    ra, dec = grid.to_sky(np.array([30.0]), np.array([90.0]), 5 * np.cos(angle), 5 * np.sin(angle))
    np.testing.assert_allclose(90 - dec[0], np.degrees(np.arctan(np.radians(50 / 3600))), rtol=1e-9)
    # North is towards RA + 180 beyond the pole, east (smaller x) towards RA + 90.
    east_of_north = np.degrees(np.arctan2(-np.cos(angle), np.sin(angle)))
    difference = (ra[0] - (30 + 180 - east_of_north) + 180) % 360 - 180
    np.testing.assert_allclose(difference, 0, atol=1e-9)
    np.testing.assert_allclose(
        SkyGrid(make_wcs(dec=90.0, scale=2.0, shape=(21, 21)), (21, 21)).matrix(),
        [[-2, 0], [0, 2]],
        atol=1e-6,
    )


@pytest.mark.parametrize("dec", [-90.0, -30.0, 0.0, 89.99, 90.0])
@pytest.mark.parametrize("ra", [0.0, 123.4])
def test_flux_is_conserved_everywhere_on_the_sky(make_wcs, tmp_path, ra, dec):
    """A star cut on a tangent plane of another scale keeps its flux, also at the poles."""
    y, x = np.mgrid[:61, :61]
    star = 1000 * np.exp(-((x - 30) ** 2 + (y - 30) ** 2) / 18) / (18 * np.pi)
    wcs = make_wcs(ra=ra, dec=dec, shape=(61, 61), angle=20)
    fits.writeto(tmp_path / "t.fits", star.astype(np.float32), wcs.to_header())
    band = Band("g", str(tmp_path / "t.fits"))
    at = wcs.all_pix2world(30.0, 30.0, 0)
    found = TileSource(Survey("s", (band,), pixel_scale=0.7), [at[0]], [at[1]], 50).read([0])
    assert found.images.sum(dtype=float) == pytest.approx(1000, rel=2e-3)
    image = found.images[0, ..., 0]
    for axis in (0, 1):
        place = (image.sum(axis=axis, dtype=float) * np.arange(50)).sum() / 1000
        assert place == pytest.approx(24.5, abs=0.1)
