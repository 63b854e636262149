"""Sources found on simulated tiles, on awkward images, and on a real one."""

from __future__ import annotations

import builtins
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS, FITSFixedWarning

from astrocnn.errors import ConfigError, ImageError, MissingDependency
from astrocnn.imaging.detection import detect_sources
from astrocnn.runs.verbs.detect import run as detect
from astrocnn.simulation import simulate

pytest.importorskip("galsim")
pytest.importorskip("photutils")


def tangent(size: int = 100) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [359.999, 40.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [size / 2] * 2, [-1e-4, 1e-4]
    wcs.wcs.set()
    return wcs


def blobs(size: int, places: list[tuple[float, float]], flux: float, sigma: float = 2.0):
    y, x = np.indices((size, size))
    image = np.random.default_rng(0).normal(0, 1, (size, size)) + 100.0
    for px, py in places:
        image += (
            flux / (2 * np.pi * sigma**2) * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 2 / sigma**2)
        )
    return image


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    made = simulate(
        tmp_path_factory.mktemp("sky"),
        n_objects=170,
        seed=2,
        tile_size=600,
        bands=("r",),
        spacing=68,
    )
    truth = Table.read(made.catalog)
    with fits.open(made.tiles[1]) as hdus:
        image, header, mask = hdus["IMAGE"].data, hdus["IMAGE"].header, hdus["MASK"].data
    wcs = WCS(header)
    ra, dec = (np.ma.filled(truth[name], np.nan) for name in ("ra", "dec"))
    finite = np.isfinite(ra)
    pixel = np.full((len(truth), 2), np.nan)
    pixel[finite] = wcs.all_world2pix(np.column_stack([ra[finite], dec[finite]]), 0)
    return image, wcs, mask, truth, pixel, header


def test_bright_isolated_objects_are_found_in_their_places(sky):
    image, wcs, mask, truth, pixel, header = sky
    found = detect_sources(image, wcs, mask=mask)
    places = np.column_stack([found["x"], found["y"]])
    checked = 0
    for row in np.flatnonzero(np.all((pixel > 20) & (pixel < 580), axis=1)):
        x, y = pixel[row]
        neighbors = np.hypot(*(pixel - pixel[row]).T)
        masked = mask[int(y) - 15 : int(y) + 16, int(x) - 15 : int(x) + 16].any()
        if truth["mag_r"][row] > 19.8 or masked or np.sum(neighbors < 25) > 1:
            continue
        checked += 1
        distance = np.hypot(*(places - pixel[row]).T)
        # A merger is found as one or two, around the middle of its nuclei; the arms of a spiral
        # are not equally bright, which moves its centroid off the nucleus.
        label = truth["morphology"][row]
        limits = {"merger": truth["separation"][row] / 0.3, "spiral": 2.0}
        assert distance.min() < limits.get(label, 0.5), label
        if truth["morphology"][row] == "star":
            magnitude = header["MAGZERO"] - 2.5 * np.log10(found["flux"][distance.argmin()])
            # A Kron aperture holds 90 to 95 % of the light of a star.
            assert -0.05 < magnitude - truth["mag_r"][row] < 0.2
    assert checked >= 8
    assert not mask[np.rint(found["y"]).astype(int), np.rint(found["x"]).astype(int)].any()


def test_most_detections_are_true_objects(sky):
    image, wcs, mask, _, pixel, _ = sky
    found = detect_sources(image, wcs, mask=mask, threshold=3.0)
    good = pixel[np.isfinite(pixel[:, 0])]
    nearest = [np.hypot(*(good - (row["x"], row["y"])).T).min() for row in found]
    assert np.mean(np.array(nearest) < 8) > 0.9


def test_table_is_ordered_described_and_round_the_sky():
    places = [(20.0, 30.0), (70.0, 60.0), (40.3, 80.6)]
    image = blobs(100, places[:1], 4000) + blobs(100, places[1:], 2000) - 100
    found = detect_sources(image, tangent())
    assert found["id"].dtype == np.int64 and list(found["id"]) == [1, 2, 3]
    assert np.all(np.diff(found["flux"]) <= 0)
    np.testing.assert_allclose((found["x"][0], found["y"][0]), places[0], atol=0.1)
    # The field spans RA 0; positions agree with the coordinate system.
    assert (found["ra"] > 359).any() and (found["ra"] < 1).any()
    back = tangent().all_world2pix(np.column_stack([found["ra"], found["dec"]]), 0)
    np.testing.assert_allclose(back, np.column_stack([found["x"], found["y"]]), atol=1e-6)
    assert found["half_light_radius"].unit == "arcsec"
    # Half the light of a Gaussian lies within 1.177 sigma.
    assert found["half_light_radius"][0] == pytest.approx(1.177 * 2 * 0.36, rel=0.1)
    assert found["axis_ratio"][0] > 0.9


def test_deblending_separates_two_peaks():
    image = blobs(100, [(45.0, 50.0), (54.0, 50.0)], 6000)
    assert len(detect_sources(image, tangent(), deblend=False)) == 1
    assert len(detect_sources(image, tangent(), deblend=True)) == 2


def test_noise_alone_gives_an_empty_table_of_the_same_columns():
    empty = detect_sources(blobs(100, [], 0), tangent(), threshold=6)
    full = detect_sources(blobs(100, [(50, 50)], 4000), tangent(), threshold=6)
    assert len(empty) == 0 and len(full) == 1
    assert [(c, empty[c].dtype, empty[c].unit) for c in empty.colnames] == [
        (c, full[c].dtype, full[c].unit) for c in full.colnames
    ]


def test_big_endian_nan_mask_and_rms_are_no_data():
    image = blobs(100, [(20.0, 30.0), (70.0, 60.0), (40.0, 80.0)], 4000)
    image[20:40, 10:30] = np.nan
    rms, mask = np.ones((100, 100)), np.zeros((100, 100), np.uint8)
    rms[50:70, 60:80], mask[70:90, 30:50] = 1e16, 1
    image, rms = image.astype(">f4"), rms.astype(">f4")
    assert len(detect_sources(image, tangent(), rms=rms, mask=mask)) == 0
    assert len(detect_sources(np.nan_to_num(image, nan=100), tangent())) == 2


def test_noise_and_its_square_find_the_same_sources(tmp_path):
    image = blobs(100, [(20.0, 30.0), (70.0, 60.0)], 4000)
    noise = np.ones(image.shape)
    noise[20:40, 10:30] = np.nan
    found = {}
    for role, values in (("rms", noise), ("variance", noise**2)):
        planes = [fits.ImageHDU(v, tangent().to_header()) for v in (image, values)]
        fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(tmp_path / f"{role}.fits")
        survey = tmp_path / f"{role}.toml"
        survey.write_text(f'name = "s"\nimage = "{role}.fits"\n{role}_hdu = 2\nbands = ["r"]\n')
        list(detect(survey, out=tmp_path / f"{role}_sources.fits", threshold=6))
        found[role] = Table.read(tmp_path / f"{role}_sources.fits")
    assert len(found["rms"]) == 1 and np.hypot(found["rms"]["x"] - 70, found["rms"]["y"] - 60) < 1
    for name in found["rms"].colnames:
        np.testing.assert_allclose(found["variance"][name], found["rms"][name], rtol=1e-9)


def test_sloping_background_is_removed():
    slope = np.linspace(0, 60, 300)[None, :] * np.ones((300, 1))
    rng = np.random.default_rng(1)
    found = detect_sources(slope + rng.normal(0, 1, slope.shape), tangent(300), box=50)
    assert len(found) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"threshold": 0}, ConfigError, "find no sources"),
        ({"min_pixels": 0}, ConfigError, "find no sources"),
        ({"smoothing": float("nan")}, ConfigError, "find no sources"),
        ({"rms": np.ones((2, 2))}, ImageError, "rms differ in shape"),
        ({"mask": np.ones((100, 100))}, ImageError, "no pixel with data"),
        ({"wcs": WCS(naxis=2)}, ImageError, "celestial"),
        ({"image": np.zeros((3, 100, 100))}, ImageError, "two-dimensional"),
    ],
)
def test_bad_arguments_are_refused_with_a_sentence(arguments, error, words):
    arguments = {"image": np.zeros((100, 100)), "wcs": tangent(), **arguments}
    with pytest.raises(error, match=words):
        detect_sources(arguments.pop("image"), arguments.pop("wcs"), **arguments)


def test_constant_image_has_no_sources():
    assert len(detect_sources(np.full((100, 100), 7.0), tangent())) == 0


def test_missing_photutils_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("photutils"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match=r"detect sources[\s\S]*astrocnn\[detect\]"):
        detect_sources(np.zeros((100, 100)), tangent())


@pytest.mark.real_data
def test_euclid_field(real_data):
    path = real_data / "euclid_q1" / "tile_RA63_DEC-49_VIS_YJH_300px.fits"
    with fits.open(path) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(hdus["VIS_FLUX"].header)
        image, near_infrared = hdus["VIS_FLUX"].data, hdus["NIR_H_FLUX"].data
    found = detect_sources(image, wcs, threshold=1.5, min_pixels=9)
    assert 10 <= len(found) <= 25
    # The lens candidate of which this is the field.
    assert (found["x"][0], found["y"][0]) == pytest.approx((149.7, 149.9), abs=0.5)
    assert found["ra"][0] == pytest.approx(63.587, abs=1e-3)
    assert found["dec"][0] == pytest.approx(-49.684, abs=1e-3)
    # The bands are on one grid: the brightest in H is the same, in the same place.
    other = detect_sources(near_infrared, wcs, threshold=1.5, min_pixels=9)
    assert np.hypot(other["x"][0] - found["x"][0], other["y"][0] - found["y"][0]) < 1.0
