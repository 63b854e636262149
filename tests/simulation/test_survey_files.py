"""Files of a simulated survey: what is written is read back, and foreign files are kept."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn.errors import ConfigError
from astrocnn.simulation import PRESETS
from astrocnn.simulation.tiles import (
    NO_DATA_RMS,
    Tile,
    run_jobs,
    validate_output_folder,
    write_catalog,
    write_image,
    write_survey_file,
)

BAND = PRESETS["ground"].band("r")
TILE = Tile(3, 150.0, 2.0, 30 * BAND.pixel_scale)


def square(job: int) -> list[int]:
    return [job**2]


@pytest.fixture
def table() -> Table:
    table = Table(
        {
            "id": np.array([2**62 + 1, 5, -7], np.int64),
            "label": np.array(["spiral", "star", ""]),
            "flux": np.array([1.5, np.nan, -2.0], np.float32),
            "ra": np.array([0.1, 0.2, np.nan]),
            "count": np.array([1, 2, 3], np.int16),
        }
    )
    table["ra"].unit = "deg"
    table["flux"].description = "measured flux"
    return table


def test_catalogue_is_read_back_exactly(table, tmp_path):
    path = write_catalog(table, tmp_path, seed=4, comment="Not all rows are valid.")
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum is a warning, hence an error
        data, header = hdus["CATALOG"].data, hdus["CATALOG"].header
        for name in table.colnames:
            np.testing.assert_array_equal(data[name], table[name])
        assert [header[f"TFORM{k}"] for k in range(1, 6)] == ["K", "6A", "E", "D", "I"]
        assert header["TCOMM3"] == "measured flux" and header["TUNIT4"] == "deg"
        comments = list(header["COMMENT"])
    assert comments == [
        "Simulated by astrocnn with seed 4: not a real sky.",
        "Not all rows are valid.",
    ]


def test_image_is_written_in_the_units_of_its_band(tmp_path):
    image = np.random.default_rng(0).normal(size=(30, 30)).astype(np.float32)
    path = write_image(tmp_path, TILE, BAND, image, seed=9)
    assert path == tmp_path / "tiles" / "tile03_r.fits"
    with fits.open(path) as hdus:
        header = hdus["IMAGE"].header
        assert len(hdus) == 2
        flux = hdus["IMAGE"].data * 10 ** (0.4 * (31.4 - header["MAGZERO"]))
        np.testing.assert_allclose(flux, image, rtol=1e-5)
        assert header["SKYSIGMA"] * BAND.unit == pytest.approx(BAND.sky_sigma)
        # Electrons stay the same number in other units.
        assert header["GAIN"] / BAND.unit == pytest.approx(BAND.gain)
        assert (header["FILTER"], header["SEED"], header["PSFFWHM"]) == ("r", 9, BAND.fwhm)
        center = WCS(header).all_pix2world([[14.5, 14.5]], 0)[0]
    np.testing.assert_allclose(center, (150.0, 2.0), atol=1e-9)


def test_masked_pixels_have_no_data_in_the_noise_plane(tmp_path):
    mask = np.zeros((30, 30), np.uint8)
    mask[3, 4:8] = 1
    rms = np.full((30, 30), BAND.sky_sigma, np.float32)
    path = write_image(
        tmp_path, TILE, BAND, np.zeros((30, 30)), seed=0, gain=False, mask=mask, rms=rms
    )
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["IMAGE", "MASK", "RMS"]
        plane = hdus["RMS"].data
        np.testing.assert_array_equal(hdus["MASK"].data, mask)
        assert "GAIN" not in hdus["IMAGE"].header
    np.testing.assert_array_equal(plane == np.float32(NO_DATA_RMS), mask == 1)
    np.testing.assert_allclose(plane[mask == 0] * BAND.unit, BAND.sky_sigma, rtol=1e-6)


@pytest.mark.parametrize("rms", [False, True])
def test_survey_file_names_all_tiles(tmp_path, rms):
    bands = PRESETS["ground"].bands[:2]
    path = write_survey_file(tmp_path, "test", bands, 3, reference="g", mask=True, rms=rms)
    with path.open("rb") as stream:
        survey = tomllib.load(stream)
    assert survey["image"] == [f"tiles/tile{k:02d}_{{band}}.fits" for k in range(3)]
    assert survey["bands"] == ["g", "r"] and survey["reference"] == "g"
    assert survey["mask_hdu"] == "MASK" and ("rms_hdu" in survey) == rms
    # The folder may be used again.
    validate_output_folder(tmp_path)


@pytest.mark.parametrize("name", ["catalog.fits", "survey.toml"])
def test_foreign_files_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match="not simulated") as error:
        validate_output_folder(tmp_path)
    assert name in str(error.value)
    with pytest.raises(ConfigError, match="not a folder"):
        validate_output_folder(tmp_path / name)


def test_new_and_empty_folders_are_accepted(tmp_path):
    validate_output_folder(tmp_path)
    validate_output_folder(tmp_path / "new" / "folder")
    (tmp_path / "notes.txt").write_text("unrelated files may stay")
    validate_output_folder(tmp_path)


def test_jobs_keep_their_order():
    assert list(run_jobs([3, 1, 2], 1, square)) == [[9], [1], [4]]
    assert list(run_jobs([], 4, square)) == []
