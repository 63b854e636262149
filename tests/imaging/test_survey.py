"""Survey descriptions: defaults, paths, variables, units, and all mistakes at once."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import ConfigError, ImageError
from astrocnn.imaging import Band, Survey, read_survey
from astrocnn.imaging.files import find_files, split_hdu
from astrocnn.imaging.photometry import compute_factor, is_surface_brightness


def test_toml_with_defaults_variables_and_relative_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("SKY", "/sky")
    (tmp_path / "demo.toml").write_text(
        """
        image = "$SKY/{band}_*.fits"
        hdu = "{band}_FLUX"
        unit = "nJy"
        [[bands]]
        name = "VIS"
        zero_point = 24.6
        rms_hdu = "VIS_RMS"
        [[bands]]
        name = "Y"
        image = ["y1.fits", "${SKY}/y2.fits"]
        zero_point = "MAGZERO"
        """
    )
    survey = read_survey(tmp_path / "demo.toml")
    vis, y = survey.bands
    assert survey.name == "demo" and survey.band_names == ("VIS", "Y")
    assert vis.image == vis.rms == "/sky/VIS_*.fits" and vis.hdu == "VIS_FLUX"
    assert y.image == (str(tmp_path / "y1.fits"), "/sky/y2.fits") and y.zero_point == "MAGZERO"
    assert vis.planes()["rms"] == ("/sky/VIS_*.fits", "VIS_RMS")


def test_an_unset_variable_is_named(monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(ConfigError, match="NOWHERE is not set"):
        Survey.from_dict({"image": "$NOWHERE/a.fits", "bands": ["r"]})


def test_all_mistakes_at_once_with_hints():
    with pytest.raises(ConfigError) as caught:
        Survey.from_dict(
            {"imaje": "a.fits", "bands": ["r", {"name": "g", "image": "x", "zeropoint": 1}]}
        )
    text = str(caught.value)
    assert "'imaje' (did you mean 'image'?)" in text
    assert "'zeropoint' (did you mean 'zero_point'?)" in text
    assert "band 'r' has no 'image'" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bands": []}, "it has no bands"),
        ({"bands": ["r", "r"]}, "names repeat"),
        ({"reference": "z"}, "reference = 'z'"),
        ({"resampling": "cubic"}, "not one of lanczos3, bilinear, nearest"),
        ({"kind": "cubes"}, "there is no image source 'cubes'"),
        ({"pixel_scale": -1}, "not positive"),
        ({"bands": [{"name": "g", "zero_point": 22.5}, "r"]}, "some bands have a zero_point"),
        ({"unit": "nJy", "bands": [{"name": "g", "unit": "s"}]}, "cannot be brought to nJy"),
        ({"unit": "nJy", "bands": [{"name": "g", "zero_point": 22.5}, "r"]}, "'r' needs a zero"),
        ({"unit": "flurbs"}, "'flurbs' is not a unit"),
    ],
)
def test_unusable_surveys(change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Survey.from_dict({"image": "a.fits", "bands": ["g", "r"], **change})


def test_not_toml_and_not_there(tmp_path):
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(ConfigError, match="not a TOML file"):
        read_survey(tmp_path / "bad.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_survey(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("zero_point", "unit", "target", "expected"),
    [
        (31.4, None, "nJy", 1.0),  # the AB system: 3631 Jy at magnitude 0
        (22.5, None, "nanomaggy", 1.0),
        (22.5, None, "nJy", 3630.78),
        (8.9, None, "Jy", 1.0),
        (None, "nanomaggies", "nJy", 3630.78),
        (None, "uJy", "nJy", 1000.0),
        (None, "nJy", "nmgy", 1 / 3630.78),
        (None, "MJy/sr", "nJy", 1e15 * (1 / 206264.806) ** 2),
        (None, "MJy/sr", "kJy/sr", 1e3),
        (None, "count", "count", 1.0),
        (None, "count", None, 1.0),
        (25.0, None, None, 1.0),
    ],
)
def test_flux_scales(zero_point, unit, target, expected):
    band = Band("g", "x", unit=unit)
    area = (1 / 206264.806) ** 2
    np.testing.assert_allclose(
        compute_factor(target, band.unit, zero_point, area), expected, rtol=5e-4
    )
    scaled = Band("g", "x", unit=unit, flux_scale=3.0)
    np.testing.assert_allclose(
        scaled.flux_scale * compute_factor(target, scaled.unit, zero_point, area),
        3 * expected,
        rtol=5e-4,
    )


def test_which_units_are_surface_brightness():
    assert is_surface_brightness("MJy/sr") and is_surface_brightness("nJy/arcsec2")
    assert not is_surface_brightness("nJy") and not is_surface_brightness(None)


def test_the_unit_of_the_cutouts():
    def unit(**keys):
        return Survey.from_dict({"image": "a", **keys}).common_unit

    assert unit(bands=["g"]) is None
    assert unit(bands=[{"name": "g", "zero_point": 22.5}]) == "nJy"
    assert unit(bands=[{"name": "g", "unit": "adu"}, {"name": "r", "unit": "adu"}]) == "adu"
    assert unit(bands=[{"name": "g", "unit": "adu"}, {"name": "r", "unit": "count"}]) is None
    assert unit(bands=["g"], unit="adu") == "adu"


def test_globs_brackets_and_missing_files(tmp_path):
    for name in ("t2.fits", "t1.fits"):
        (tmp_path / name).touch()
    found = find_files((str(tmp_path / "t[0-9].fits"), str(tmp_path / "t1.fits[SCI]")), "g")
    assert [(p.name, hdu) for p, hdu in found] == [
        ("t1.fits", None),
        ("t2.fits", None),
        ("t1.fits", "SCI"),
    ]
    assert split_hdu("a.fits[3]") == ("a.fits", 3)
    with pytest.raises(ImageError, match="no file for the image of band 'g'"):
        find_files(str(tmp_path / "x*.fits"), "the image of band 'g'")
