"""Real files: odd FITS, one field in 13 bands, Euclid, Legacy Surveys, SDSS, HSC and HST."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from astrocnn.errors import ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import (
    StampSource,
    Survey,
    TileSource,
    open_source,
    read_survey,
    unpack,
)
from astrocnn.imaging.planes import find_plane
from astrocnn.imaging.sky_grid import SkyGrid

pytestmark = pytest.mark.real_data

PIPELINES = Path(__file__).parents[2] / "pipelines"
NO_WCS = "no celestial WCS"
ODD = {  # file, HDU -> what is wrong with its plane, and with its coordinates
    ("m13.fits", None): (None, None),
    ("m13_rice.fits", None): (None, None),
    ("m13_gzip.fits", None): (None, None),
    ("o4sp040b0_raw.fits", None): (None, NO_WCS),
    ("o4sp040b0_raw.fits", "SCI,2"): (None, NO_WCS),
    ("o4sp040b0_raw.fits", "ERR"): ("no data", None),
    ("test0.fits", None): (None, NO_WCS),
    ("test0.fits", "SCI,2"): (None, None),
    ("test0.fits", 4): (None, None),
    ("scale.fits", None): (None, None),
    ("blank.fits", None): (None, NO_WCS),
    ("checksum_false.fits", None): (None, None),
    ("checksum_false.fits", 1): ("a table and no image", None),
    ("compressed_with_nan.fits", None): (None, NO_WCS),
    ("table.fits", None): ("a table and no image", None),
    ("sip-wcs.fits", None): (None, None),
    ("sipsample.fits", None): (None, None),
    ("tpv.fits.gz", None): (None, None),
    ("1904-66_TAN.fits", None): (None, None),
    ("blankimg.fits", None): (None, NO_WCS),
    ("long.fits", None): (None, None),
}


def astropy_wcs(header: fits.Header) -> WCS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(header)


@pytest.mark.parametrize(("name", "hdu"), ODD, ids=lambda v: str(v))
def test_odd_files_are_read_rightly_or_refused(real_data, name, hdu):
    path = real_data / "odd_fits" / name
    trouble, wcs_trouble = ODD[name, hdu]
    if trouble:
        with pytest.raises(ImageError, match=trouble):
            find_plane(path, hdu)
        return
    plane = find_plane(path, hdu)
    stored = plane.load()
    got = stored if plane.scaling is None else plane.scaling(stored)
    with warnings.catch_warnings(), fits.open(path) as hdus:
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(got, hdus[plane.unit.index].data)
    if wcs_trouble:
        with pytest.raises(ImageError, match=wcs_trouble):
            SkyGrid.from_plane(plane)
        return
    grid = SkyGrid.from_plane(plane)
    wcs = astropy_wcs(plane.header)
    x, y = np.meshgrid([0.0, grid.shape[1] / 2, grid.shape[1] - 1], [0.0, grid.shape[0] - 1])
    back = grid.to_pixel(*grid.to_sky(x, y))
    np.testing.assert_allclose(back, (x, y), atol=0.02)
    if grid._frame is None:
        np.testing.assert_allclose(grid.to_sky(x, y), wcs.all_pix2world(x, y, 0), rtol=1e-12)


def test_nan_and_decoded_pixels_of_odd_files(real_data):
    folder = real_data / "odd_fits"
    counts = {"compressed_with_nan.fits": 1, "sipsample.fits": 25, "1904-66_TAN.fits": 7261}
    for name, expected in counts.items():
        assert np.isnan(find_plane(folder / name).load()).sum() == expected
    blank = find_plane(folder / "blank.fits")
    assert np.isnan(blank.scaling(blank.load())).all()
    plain, rice, zipped = (
        find_plane(folder / f"m13{suffix}.fits").load() for suffix in ("", "_rice", "_gzip")
    )
    np.testing.assert_array_equal(plain, rice)
    np.testing.assert_array_equal(plain, zipped)


FIELD = {
    "SDSS": ["u", "r", "i", "z"],
    "2MASS": ["J", "H", "K"],
    "WISE": ["W1", "W2", "W3", "W4"],
    "GALEX": ["NUV", "FUV"],
}
UNIT = {"SDSS": "nanomaggy", "2MASS": "DN", "WISE": "DN", "GALEX": "ct / s"}
SCALE = {"SDSS": 0.396, "2MASS": 1.0, "WISE": 1.375, "GALEX": 1.5}


def field_survey(real_data, groups, **options) -> Survey:
    root = real_data / "blast_multiband" / "2010H"
    bands = [
        {"name": band, "image": f"{group}/{group}_{band}.fits", "unit": UNIT[group]}
        for group in groups
        for band in FIELD[group]
    ]
    return Survey.from_dict({"bands": bands, "reference": "r", **options}, root)


def stars_of(real_data, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Bright, isolated, unsaturated-looking point sources of the SDSS r image."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    path = real_data / "blast_multiband" / "2010H" / "SDSS" / "SDSS_r.fits"
    with fits.open(path) as hdus:
        data, wcs = hdus[0].data.astype(float), astropy_wcs(hdus[0].header)
    smooth = gaussian_filter(data, 1.5)
    peak = (smooth == maximum_filter(smooth, 61)) & (smooth > 1.0)
    y, x = np.nonzero(peak)
    inside = (x > 120) & (x < 780) & (y > 120) & (y < 780)
    y, x = y[inside], x[inside]
    order = np.argsort(-smooth[y, x])[:n]
    return wcs.all_pix2world(x[order].astype(float), y[order].astype(float), 0)


def centroid(
    image: np.ndarray, near: np.ndarray, radius: float, threshold: float
) -> np.ndarray | None:
    """Center of light around a place; None where no source stands out of the sky."""
    if np.isnan(image).mean() > 0.2:
        return None
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    rim = np.hypot(x - near[0], y - near[1]) > 5 * radius
    sky, noise = np.nanmedian(image[rim]), np.nanstd(image[rim])
    signal = np.where(np.isfinite(image), image - sky, 0)
    core = np.hypot(x - near[0], y - near[1]) < radius
    # The error of a centroid is about the width over the signal to noise.
    if signal[core].sum() < threshold * noise * np.sqrt(core.sum()):
        return None
    place = np.array(near, float)
    for _ in range(10):
        r = np.hypot(x - place[0], y - place[1])
        weight = np.clip(signal * np.exp(-0.5 * (r / radius) ** 2), 0, None) * (r < 2 * radius)
        place = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    return place


@pytest.mark.parametrize("method", ["lanczos3", "bilinear"])
def test_the_same_stars_fall_on_the_same_pixel_in_every_band(real_data, method):
    """Within one pixel of a reference grid as coarse as the coarsest band, north up."""
    ra, dec = stars_of(real_data, 40)
    groups = ["SDSS", "2MASS", "WISE", "GALEX"]
    survey = field_survey(real_data, groups, resampling=method, pixel_scale=1.5)
    images = open_source(survey, ra, dec, size=41).read(np.arange(len(ra))).images
    offsets = offsets_from_r(images, survey.band_names, radius=3.0, threshold=20)
    seen = {name: len(found) for name, found in offsets.items()}
    for name in ("u", "i", "z", "J", "H", "K", "W1", "W2", "NUV"):
        assert seen.get(name, 0) >= 4, seen
    for name, found in offsets.items():
        assert max(found) < 1.0, (name, found)


def test_the_same_stars_fall_on_the_same_pixel_of_the_sdss_grid(real_data):
    """Within one 0.396 arcsec pixel of the reference band, on its own rotated grid."""
    ra, dec = stars_of(real_data, 40)
    survey = field_survey(real_data, ["SDSS", "2MASS", "WISE"])
    source = open_source(survey, ra, dec, size=121)
    assert source.pixel_scale == pytest.approx(0.396, rel=0.01)
    images = source.read(np.arange(len(ra))).images
    # Pixels of 1.375 arcsec interpolated to 0.396 have noise that is correlated over 3.5 x 3.5
    # pixels, which hides that much of it.
    offsets = offsets_from_r(images, survey.band_names, radius=9.0, threshold=3.5 * 20)
    for name in ("u", "i", "z", "J", "H", "K", "W1", "W2"):
        assert len(offsets[name]) >= 3
        assert np.median(offsets[name]) < 1.0, (name, offsets[name])
        if name in "uizJH":  # the beam of WISE, 6 arcsec, blends neighbors
            assert max(offsets[name]) < 1.0, (name, offsets[name])


def offsets_from_r(
    images: np.ndarray, names: tuple[str, ...], radius: float, threshold: float
) -> dict[str, list[float]]:
    """Distances [pixel] between the center of each star in each band and in r."""
    middle = np.full(2, (images.shape[1] - 1) / 2)
    offsets: dict[str, list[float]] = {name: [] for name in names if name != "r"}
    for stack in images.astype(float):
        here = centroid(stack[..., names.index("r")], middle, radius, threshold)
        if here is None:
            continue
        for k, name in enumerate(names):
            place = centroid(stack[..., k], here, radius, threshold)
            if place is not None and name != "r":
                offsets[name].append(float(np.hypot(*(place - here))))
    return {name: found for name, found in offsets.items() if found}


@pytest.mark.parametrize("group", ["2MASS", "WISE", "GALEX"])
def test_flux_is_conserved_within_two_percent(real_data, group):
    """Sums in apertures on the sky, in the image itself and in the resampled stack."""
    ra, dec = stars_of(real_data, 8)
    survey = field_survey(real_data, ["SDSS", group])
    size, radius = 141, 18.0
    cut = TileSource(survey, ra, dec, size).read(np.arange(len(ra)))
    r_grid = TileSource(survey, ra, dec, size)._reference[0]
    compared = 0
    for k, band in enumerate(survey.bands):
        if band.name in FIELD["SDSS"]:
            continue
        plane = find_plane(band.image)
        grid, data = SkyGrid.from_plane(plane), plane.load().astype(float)
        sub = 10
        for i in range(len(ra)):
            cx, cy = (float(v[0]) for v in grid.to_pixel(ra[i : i + 1], dec[i : i + 1]))
            mask = _disk(data.shape, cx, cy, radius / grid.pixel_scale, sub)
            before = (data * mask)[mask > 0].sum()
            tx, ty = (float(v[0]) for v in r_grid.to_pixel(ra[i : i + 1], dec[i : i + 1]))
            tx, ty = tx - np.ceil(tx - size / 2), ty - np.ceil(ty - size / 2)
            mask = _disk((size, size), tx, ty, radius / r_grid.pixel_scale, sub)
            image = cut.images[i, :, :, k].astype(float)
            after = (image * mask)[mask > 0].sum()
            if np.isfinite(before) and np.isfinite(after) and before > 0:
                np.testing.assert_allclose(after, before, rtol=0.02, err_msg=f"{band.name} {i}")
                compared += 1
    assert compared >= 8


def _disk(shape, cx: float, cy: float, radius: float, sub: int) -> np.ndarray:
    """Fraction of each pixel inside a circle."""
    offsets = (np.arange(sub) + 0.5) / sub - 0.5
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    total = np.zeros(shape)
    for dy in offsets:
        for dx in offsets:
            total += (x + dx - cx) ** 2 + (y + dy - cy) ** 2 <= radius**2
    return total / sub**2


def test_a_stack_by_pixel_index_would_be_wrong(real_data):
    """The rotation of the SDSS images against 2MASS is real: this field can tell."""
    survey = field_survey(real_data, ["SDSS", "2MASS"])
    angles = []
    for name in ("r", "J"):
        band = next(b for b in survey.bands if b.name == name)
        matrix = SkyGrid.from_plane(find_plane(band.image)).matrix()
        angles.append(np.degrees(np.arctan2(matrix[0, 1], matrix[1, 1])))
    assert abs(angles[0] - angles[1]) % 360 > 80


def euclid(real_data, **options) -> Survey:
    bands = [
        {"name": n, "hdu": f"{n}_FLUX", "rms_hdu": f"{n}_RMS", "zero_point": "MAGZERO"}
        for n in ("VIS", "NIR_Y", "NIR_J", "NIR_H")
    ]
    image = "tile_RA63_DEC-49_VIS_YJH_300px.fits"
    return Survey.from_dict({"image": image, "bands": bands, **options}, real_data / "euclid_q1")


def test_euclid_tile_in_four_bands(real_data):
    survey = euclid(real_data)
    path = survey.bands[0].image
    with fits.open(path) as hdus:
        wcs = astropy_wcs(hdus["VIS_FLUX"].header)
        ra, dec = wcs.all_pix2world([150.0, 3.0, 2000.0], [150.0, 290.0, 100.0], 0)
        cut = open_source(survey, ra, dec, size=64).read([0, 1, 2])
        for k, (name, zero) in enumerate(
            [("VIS", 24.6), ("NIR_Y", 29.8), ("NIR_J", 30.0), ("NIR_H", 29.9)]
        ):
            flux = hdus[f"{name}_FLUX"].data[118:182, 118:182].astype(float)
            scale = 10 ** (0.4 * (31.4 - zero))
            np.testing.assert_allclose(cut.images[0, :, :, k], flux * scale, rtol=2e-5)
    assert [Flag(int(f)) for f in cut.flags] == [
        Flag(0),
        Flag.PARTLY_OUTSIDE | Flag.BAND_PARTIAL,
        Flag.NO_COVERAGE | Flag.BAND_MISSING,
    ]


def test_legacy_survey_by_header_cards_with_invvar(real_data, tmp_path):
    """The weights of this field are nowhere zero, so a hole is made in a copy."""
    original = real_data / "decals_grz_invvar" / "cutout_59.1067_-30.4848.fits"
    path = tmp_path / "holed.fits"
    with fits.open(original) as hdus:
        hdus[4].data[100:103, 50] = 0
        hdus.writeto(path)
    bands = [
        {
            "name": band,
            "hdu": {"BAND": band, "IMAGETYP": "image"},
            "weight_hdu": {"BAND": band, "IMAGETYP": "invvar"},
        }
        for band in "grz"
    ]
    with fits.open(original) as hdus:
        grid = SkyGrid.from_plane(find_plane(original))
        ra, dec = grid.to_sky(np.array([127.6]), np.array([127.6]))
        for file in (original, path):
            survey = Survey.from_dict({"image": str(file), "bands": bands, "unit": "nanomaggy"})
            cut = open_source(survey, ra, dec, size=256).read([0])
            for k in range(3):
                expected = np.array(hdus[1 + 2 * k].data)
                if k == 1 and file == path:
                    expected[100:103, 50] = np.nan
                np.testing.assert_array_equal(cut.images[0, :, :, k], expected)
            assert cut.flags[0] == (Flag.NO_DATA_PIXELS if file == path else 0)
    np.testing.assert_allclose(cut.no_data, [[0, 3 / 65536, 0]])


def test_sdss_frame_and_its_catalogue(real_data):
    folder = real_data / "sdss_frame_photoobj"
    with fits.open(folder / "photoObj-001000-1-0100.fits") as hdus:
        ra, dec = (np.asarray(hdus[1].data[k], float) for k in ("RA", "DEC"))
    survey = Survey.from_dict(
        {"image": "frame-r-001000-1-0100.fits.bz2", "bands": ["r"], "unit": "nanomaggy"}, folder
    )
    source = open_source(survey, ra, dec, size=20)
    cut = source.read(np.arange(len(ra)))
    assert len(cut) == 19
    gone = (cut.flags & Flag.NO_COVERAGE) != 0
    x, y = source._reference[0].to_pixel(ra, dec)
    inside = (x > -0.5) & (x < 99.5) & (y > -0.5) & (y < 99.5)
    assert inside.sum() == 3
    np.testing.assert_array_equal(gone, ~((np.abs(x - 49.5) < 59.5) & (np.abs(y - 49.5) < 59.5)))
    assert gone.sum() > len(ra) / 2
    for i in np.flatnonzero(inside):
        image = cut.images[i, 5:15, 5:15, 0]
        sky = np.nanmedian(cut.images[i])
        assert np.nanmax(image) > sky + 0.05, "no source where the catalogue has one"


def test_decam_codes_are_not_bits(real_data):
    folder = real_data / "legacypipe_dq" / "testcase6" / "images"
    (image,) = folder.rglob("c4d_150110_053718_ooi_z_ls9.S4.fits")
    mask = str(image).replace("_ooi_", "_ood_")
    weight = str(image).replace("_ooi_", "_oow_")
    survey = Survey.from_dict(
        {
            "bands": [
                {"name": "all", "image": str(image), "mask": mask},
                {"name": "saturated", "image": str(image), "mask": mask, "bad_values": [3]},
                {"name": "weight", "image": str(image), "weight": weight},
            ]
        }
    )
    with fits.open(image) as hdus:
        wcs = astropy_wcs(hdus[1].header)
        ny, nx = hdus[1].shape
        finite = np.isfinite(hdus[1].data)
    with fits.open(mask) as hdus:
        codes = hdus[1].data
    ra, dec = wcs.all_pix2world([(nx - 1) / 2], [(ny - 1) / 2], 0)
    cut = open_source(survey, ra, dec, size=90).read([0])
    x, y = open_source(survey, ra, dec)._reference[0].to_pixel(ra, dec)
    x0, y0 = int(np.ceil(x[0] - 45)), int(np.ceil(y[0] - 45))
    window = (slice(y0, y0 + 90), slice(x0, x0 + 90))
    assert {3, 4} <= set(np.unique(codes[window]))
    ok = finite[window]
    np.testing.assert_array_equal(np.isfinite(cut.images[0, ..., 0]), ok & (codes[window] == 0))
    np.testing.assert_array_equal(np.isfinite(cut.images[0, ..., 1]), ok & (codes[window] != 3))


def test_hsc_cube_and_hst_on_one_grid(real_data):
    """Grids 5.6 times apart, both ways; the brightest source falls on the same pixel."""
    folder = real_data / "hsc_hst_scarlet"
    bands = [{"name": b, "image": "Cut_HSC.fits", "plane": k} for k, b in enumerate("grizy")]
    bands.append({"name": "F814W", "image": "Cut_HST.fits"})
    with fits.open(folder / "Cut_HST.fits") as hdus:
        data = hdus[0].data
        total = float(data.sum())
    # The WCS is in FK5, which differs from ICRS by most of one of these small pixels.
    hst = SkyGrid.from_plane(find_plane(folder / "Cut_HST.fits"))
    ra, dec = hst.to_sky(np.array([124.6]), np.array([124.6]))
    coarse = open_source(Survey.from_dict({"bands": bands}, folder), ra, dec, size=60)
    image = coarse.read([0]).images[0]
    np.testing.assert_allclose(np.nansum(image[..., 5]), total, rtol=0.02)
    fine = open_source(
        Survey.from_dict({"bands": bands, "reference": "F814W"}, folder), ra, dec, size=250
    )
    assert coarse.pixel_scale / fine.pixel_scale == pytest.approx(5.6, rel=0.01)
    stack = fine.read([0]).images[0]
    np.testing.assert_array_equal(stack[..., 5], data)
    with fits.open(folder / "Cut_HSC.fits") as hdus:
        hsc = hdus[0].data[2]
    np.testing.assert_allclose(np.nansum(stack[..., 2]), hsc[3:47, 3:47].sum(), rtol=0.05)
    # What the telescope sees at both resolutions is alike after smoothing.
    from scipy.ndimage import gaussian_filter

    space = gaussian_filter(np.nan_to_num(stack[..., 5]), 8)
    ground = np.nan_to_num(stack[..., 2])
    assert np.corrcoef(space.ravel(), ground.ravel())[0, 1] > 0.8
    with pytest.raises(ImageError, match="cube of 5 planes"):
        open_source(
            Survey.from_dict({"image": "Cut_HSC.fits", "bands": ["g"]}, folder), [0.0], [0.0]
        )


def test_ztf_stamps_from_their_archive(real_data, tmp_path):
    import csv

    folder = unpack(real_data / "ztf_star_galaxy" / "cutouts.tar.gz", tmp_path)
    with open(real_data / "ztf_star_galaxy" / "labels.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    survey = Survey.from_dict({"kind": "stamps", "image": "cutouts/{file}", "bands": ["i"]}, folder)
    source = StampSource(survey, {"file": np.array([row["file"] for row in table])}, 20)
    cut = source.read(np.arange(len(table)))
    assert len(cut) == 997 and not source.problems
    assert not (cut.flags & ~int(Flag.NO_DATA_PIXELS | Flag.BAND_PARTIAL)).any()
    holes = np.array([int(row["nan"]) for row in table])
    np.testing.assert_array_equal(np.isnan(cut.images).sum(axis=(1, 2, 3)), holes)
    whole = holes == 0
    med = np.array([float(row["med"]) for row in table])[whole]
    np.testing.assert_allclose(np.median(cut.images[whole, :, :, 0], axis=(1, 2)), med, rtol=0.05)
    # The same objects, cut as tiles by position, are the same pixels.
    some = np.arange(0, 997, 300)
    for i in some:
        one = Survey.from_dict({"image": f"cutouts/{table[i]['file']}", "bands": ["i"]}, folder)
        tile = TileSource(one, [float(table[i]["ra"])], [float(table[i]["dec"])], 20).read([0])
        seen = tile.images[0, 1:-1, 1:-1, 0]
        shifts = [
            np.array_equal(
                seen, cut.images[i, 1 + dy : 19 + dy, 1 + dx : 19 + dx, 0], equal_nan=True
            )
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
        ]
        assert any(shifts)


def test_galaxy_zoo_pictures(real_data):
    folder = real_data / "gz1_morphology"
    names = sorted(p.name for p in (folder / "images").iterdir())[:40]
    survey = Survey.from_dict(
        {
            "kind": "stamps",
            "image": "images/{name}",
            "bands": ["red", "green", "blue"],
            "crop": 141,
        },
        folder,
    )
    cut = open_source(survey, columns={"name": np.array(names)}, size=64).read(range(40))
    assert not cut.flags.any() and cut.images.shape == (40, 64, 64, 3)
    from PIL import Image

    with Image.open(folder / "images" / names[7]) as picture:
        region = np.asarray(picture, float)[141:282, 141:282]
    # The mean over the area, by making 64 pixels of each and averaging 141 of those.
    for axis in (0, 1):
        region = np.repeat(np.moveaxis(region, axis, 0), 64, axis=0)
        region = np.moveaxis(region.reshape(64, 141, *region.shape[1:]).mean(axis=1), 0, axis)
    np.testing.assert_allclose(cut.images[7], region, atol=1e-3)


def test_warnings_of_wcs_do_not_reach_the_user(real_data):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FITSFixedWarning)
        SkyGrid.from_plane(find_plane(real_data / "odd_fits" / "sip-wcs.fits"))


def test_alert_triplets_of_ztf(real_data, monkeypatch):
    monkeypatch.setenv("ASTROCNN_DATA", str(real_data))
    survey = read_survey(PIPELINES / "surveys" / "ztf_triplets.toml")
    stored = np.load(real_data / "ztf_alert_triplets" / "triplets.npz")["images"]
    places = np.array([284, 3, 17])
    cutouts = open_source(survey, columns={"row": places}, size=63).read([0, 1, 2])
    expected = np.where(np.abs(stored) < 1e30, stored, np.nan)[places].transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(cutouts.images, expected)
