"""The unit that a header states: honored, converted, or refused; and mosaics that name no HDU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from astrocnn.errors import AstrocnnWarning, ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import Band, Survey, open_source

AREA = (1 / 3600 * np.pi / 180) ** 2
"""Of a pixel of 1 arcsec [sr]."""


@pytest.fixture
def cut(tmp_path, make_wcs):
    """Cut one object from a tile or a stamp of ones with a header."""

    def read(kind, bunit, survey_unit=None, **band):
        wcs = make_wcs(shape=(8, 8))
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.fits"
        header = wcs.to_header()
        header["BUNIT"] = bunit
        fits.PrimaryHDU(np.ones((8, 8), "f4"), header).writeto(path)
        scale = 1.0 if kind == "stamps" else None
        survey = Survey(
            "s", (Band("g", str(path), **band),), kind=kind, unit=survey_unit, pixel_scale=scale
        )
        source = open_source(survey, [150.0], [2.0], {"id": [0]}, size=4)
        cutouts = source.read([0])
        if cutouts.flags[0] & Flag.FILE_UNREADABLE.value:
            raise ImageError(source.problems[0])
        return source, cutouts.images[0, 1, 1, 0]

    return read


@pytest.mark.parametrize("kind", ["tiles", "stamps"])
@pytest.mark.parametrize(
    ("bunit", "unit", "options", "expected"),
    [
        ("nJy", "nJy", {}, 1),
        ("uJy", "nJy", {}, 1000),
        ("nanomaggies", "nJy", {}, 3630.78),
        ("MJy/sr", "nJy", {}, 1e15 * AREA),
        ("no unit at all", "nJy", {}, 1),
        ("", "nJy", {}, 1),
        ("nJy", "uJy", {"unit": "nJy"}, 1e-3),
        # What the user knows of the pixels comes before the header.
        ("adu", "nJy", {"zero_point": 28.9}, 10),
        ("adu", "nJy", {"flux_scale": 3.0}, 3),
        ("adu", None, {}, 1),
    ],
)
def test_the_unit_of_the_header_is_honored(cut, kind, bunit, unit, options, expected):
    assert cut(kind, bunit, unit, **options)[1] == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize("kind", ["tiles", "stamps"])
@pytest.mark.parametrize(
    ("bunit", "unit", "options"),
    [
        ("adu", "nJy", {}),
        ("ELECTRONS/S", "nJy", {}),
        ("uJy", "nJy", {"unit": "nJy"}),
        ("MJy/sr", "nJy", {"unit": "nJy"}),
        ("mag", "nJy", {}),
        ("K", "nJy", {"unit": "uJy"}),
    ],
)
def test_a_header_that_contradicts_the_survey_is_refused(cut, kind, bunit, unit, options):
    with pytest.raises(ImageError, match=f"another unit than the survey(?s:.*)BUNIT = '{bunit}'"):
        cut(kind, bunit, unit, **options)


def test_tiles_of_a_survey_without_a_unit_must_agree(tile, tmp_path):
    def survey(*units):
        for k, unit in enumerate(units):
            path = tmp_path / f"{k}.fits"
            path.unlink(missing_ok=True)
            tile(path, ra=150 + 0.01 * k)
            with fits.open(path, mode="update") as hdus:
                hdus[0].header["BUNIT"] = unit
        return open_source(Survey("s", (Band("g", str(tmp_path / "?.fits")),)), [150.0], [2.0])

    assert survey("nJy", "nJy").unit == "nJy"
    assert survey("nJy", "what").unit is None
    with pytest.raises(ImageError, match=r"in different units(?s:.*)nJy, and uJy in .*1\.fits"):
        survey("nJy", "uJy")


@pytest.fixture
def two_bands(tile, tmp_path):
    """Open a survey of two bands on one grid; each is a tile of its own value and header unit."""

    def write(stated, declared):
        bands = []
        for k, (in_header, in_survey) in enumerate(zip(stated, declared, strict=True)):
            path = tmp_path / f"{'gr'[k]}.fits"
            path.unlink(missing_ok=True)
            tile(path, data=np.full((50, 60), 2.0 + k, "f4"))
            if in_header:
                fits.setval(path, "BUNIT", value=in_header)
            bands.append(Band("gr"[k], str(path), unit=in_survey))
        return open_source(Survey("s", tuple(bands)), [150.0], [2.0], size=4)

    return write


def test_bands_in_different_units_are_kept_where_the_survey_states_both(two_bands):
    source = two_bands(["nanomaggy", "DN"], ["nanomaggy", "DN"])
    assert source.unit is None
    np.testing.assert_array_equal(source.read([0]).images[0, 0, 0], [2.0, 3.0])
    # A band without BUNIT is what the survey says.
    assert two_bands(["nanomaggy", None], ["nanomaggy", "ct / s"]).unit is None
    assert two_bands(["nJy", "nJy"], ["nJy", "nJy"]).unit == "nJy"


@pytest.mark.parametrize("declared", [(None, None), ("nanomaggy", None), (None, "DN")])
def test_bands_in_different_units_are_refused_where_the_survey_states_not_both(two_bands, declared):
    with pytest.raises(ImageError, match=r"different units(?s:.*)nanomaggy, and DN in (?s:.*)own"):
        two_bands(["nanomaggy", "DN"], declared)


def test_a_unit_of_the_survey_that_the_header_contradicts_is_still_refused(two_bands):
    with pytest.raises(ImageError, match="another unit than the survey"):
        two_bands(["nanomaggy", "uJy"], ["nanomaggy", "DN"])


def test_zero_points_that_differ_and_are_not_used_are_told(tile, tmp_path):
    for k, value in enumerate((24.6, 29.8)):
        tile(tmp_path / f"{k}.fits", ra=150 + 0.01 * k)
        with fits.open(tmp_path / f"{k}.fits", mode="update") as hdus:
            hdus[0].header["MAGZERO"] = value
    band = Band("g", str(tmp_path / "?.fits"))
    with pytest.warns(AstrocnnWarning, match=r"24\.6 in 0\.fits.* and 29\.8 in 1\.fits"):
        open_source(Survey("s", (band,)), [150.0], [2.0])
    open_source(Survey("s", (replace(band, zero_point="MAGZERO"),)), [150.0], [2.0])


def test_the_pairs_of_images_and_masks_are_told(tile, tmp_path):
    for k in (2, 10):
        tile(tmp_path / f"i{k}.fits", ra=150 + 0.1 * k)
        tile(tmp_path / f"w_{k}.fits", ra=150 + 0.1 * k)
    band = Band("g", str(tmp_path / "i*.fits"), weight=str(tmp_path / "w*.fits"))
    pairs = open_source(Survey("s", (band,)), [150.2], [2.0]).pairs
    assert pairs == ["i10.fits[0]: weight w_10.fits[0]", "i2.fits[0]: weight w_2.fits[0]"]


@pytest.fixture
def mosaic(tmp_path, make_wcs):
    """Write a file of images (name, right ascension, value) and cut three objects from it."""

    def read(*images, **options):
        hdus = [fits.PrimaryHDU()]
        for name, ra, value in images:
            header = make_wcs(ra=ra, shape=(20, 20)).to_header()
            hdus.append(fits.ImageHDU(np.full((20, 20), value, "f4"), header, name=name))
        fits.HDUList(hdus).writeto(tmp_path / "m.fits")
        survey = Survey("s", (Band("g", str(tmp_path / "m.fits"), **options),))
        source = open_source(survey, [150.0, 150.1, 150.2], np.full(3, 2.0), size=4)
        return source.read(range(3)).images[:, 1, 1, 0].tolist()

    return read


def test_all_images_of_a_mosaic_are_used(mosaic):
    assert mosaic(("A", 150, 1), ("B", 150.1, 2), ("C", 150.2, 3)) == [1, 2, 3]


def test_what_lies_on_the_first_image_is_no_other_ccd(mosaic):
    got = mosaic(("SCI", 150, 1), ("ERR", 150, 2), ("DQ", 150, 3))
    np.testing.assert_array_equal(got, [1, np.nan, np.nan])


def test_ccds_with_planes_of_their_own_need_a_name(mosaic, tmp_path):
    images = [(n, ra, v) for ra, v in ((150, 1), (150.1, 2)) for n in ("SCI", "ERR")]
    with pytest.raises(ImageError, match=r"several of one place(?s:.*)hdu = 'SCI\*'"):
        mosaic(*images)
    (tmp_path / "m.fits").unlink()
    np.testing.assert_array_equal(mosaic(*images, hdu="SCI*"), [1, 2, np.nan])


@pytest.fixture
def stamps(tmp_path):
    """Open stamps of the value 2 whose headers state the given units, a list for each band."""

    def write(*bands, unit=None):
        for name, stated in zip("gr", bands, strict=False):
            for k, bunit in enumerate(stated):
                path = tmp_path / f"{k}_{name}.fits"
                hdu = fits.PrimaryHDU(np.full((4, 4), 2.0, "f4"))
                if bunit is not None:
                    hdu.header["BUNIT"] = bunit
                hdu.writeto(path, overwrite=True)
        template = str(tmp_path / "{k}_%s.fits")
        declared = tuple(Band(name, template % name) for name in "gr"[: len(bands)])
        survey = Survey("s", declared, kind="stamps", unit=unit)
        return open_source(survey, columns={"k": np.arange(len(bands[0]))}, size=4)

    return write


def test_stamps_of_a_survey_without_a_unit_must_agree(stamps):
    source = stamps(["nJy", "uJy", "nJy", None, "mag"])
    assert source.unit == "nJy"
    cutouts = source.read(np.arange(5))
    unreadable = cutouts.flags & Flag.FILE_UNREADABLE.value > 0
    np.testing.assert_array_equal(unreadable, [False, True, False, False, True])
    assert np.isnan(cutouts.images[unreadable]).all()
    assert "1_g.fits" in source.problems[0] and "uJy" in source.problems[0]
    # Nothing depends on which rows are read together.
    np.testing.assert_array_equal(stamps(["nJy", "uJy"]).read([1]).flags, cutouts.flags[1:2])
    stated = stamps(["nJy", "uJy"], unit="nJy").read([0, 1]).images[:, 0, 0, 0]
    np.testing.assert_allclose(stated, [2.0, 2000.0])


def test_bands_of_stamps_in_different_units_are_refused(stamps):
    assert stamps(["nJy"], ["nJy"]).unit == "nJy"
    with pytest.raises(ImageError, match=r"different units(?s:.*)nJy, and uJy in band 'r'"):
        stamps(["nJy"], ["uJy"])
