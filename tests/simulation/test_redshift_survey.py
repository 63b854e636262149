"""The redshift survey: files, images that share the noise of the catalogue, seeds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn.errors import ConfigError
from astrocnn.imaging import open_source, read_survey
from astrocnn.simulation.objects import render_objects
from astrocnn.simulation.redshift import (
    RedshiftSurvey,
    sample_galaxies,
    simulate_redshift,
    simulate_redshift_stamps,
)
from astrocnn.simulation.redshift.galaxies import REACH, flux_weights
from astrocnn.simulation.redshift.survey import build_objects

pytest.importorskip("galsim")

SURVEY = RedshiftSurvey()
N = 36


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return simulate_redshift(tmp_path_factory.mktemp("redshift"), n_objects=N, seed=4)


def test_catalogue_and_survey_file_are_read_by_the_package(made):
    table = Table.read(made.catalog)
    assert len(table) == N and len(set(table["id"])) == N
    assert all(np.isfinite(table[name]).all() for name in table.colnames if name != "morphology")
    assert table["mag_r"].max() < SURVEY.limit
    survey = read_survey(made.survey)
    assert survey.band_names == ("u", "g", "r", "i", "z")
    source = open_source(survey, ra=np.array(table["ra"]), dec=np.array(table["dec"]), size=64)
    cutouts = source.read(np.arange(N))
    assert not cutouts.flags.any() and np.isfinite(cutouts.images).all()


def test_the_weighted_sum_of_the_noise_is_the_error_of_the_catalogued_flux(made):
    """On the tile as written: subtract the noiseless drawing, weigh, compare with the table."""
    table = Table.read(made.catalog)
    galaxies = sample_galaxies(N, seed=4)
    np.testing.assert_array_equal(galaxies.id, table["id"])
    for channel, band in enumerate(SURVEY.bands):
        path = next(p for p in made.tiles if p.name.endswith(f"_{band.name}.fits"))
        with fits.open(path) as hdus:
            image, wcs = hdus["IMAGE"].data.astype(float), WCS(hdus["IMAGE"].header)
        pixels = wcs.all_world2pix(np.column_stack([table["ra"], table["dec"]]), 0)
        if channel == 0:
            clean = render_objects(
                build_objects(galaxies, SURVEY, seed=4), pixels, len(image), SURVEY.bands
            )
        noise = image - clean[channel]
        sums = []
        for x, y in np.rint(pixels).astype(int):
            rows, columns = slice(y - REACH, y + REACH + 1), slice(x - REACH, x + REACH + 1)
            sums.append(np.sum(flux_weights(band) * noise[rows, columns]))
        expected = (galaxies.flux - galaxies.true_flux)[:, channel]
        np.testing.assert_allclose(sums, expected, atol=0.02 * galaxies.flux_error[channel])
        # The condition leaves the noise what it is: white, with the standard deviation stated.
        assert abs(noise.std() / band.sky_sigma - 1) < 0.02
        assert abs(np.mean(noise[1:] * noise[:-1])) < 0.02 * band.sky_sigma**2


def test_a_typical_galaxy_is_measured_with_its_flux():
    band = SURVEY.bands[2]
    assert flux_weights(band)[0, 0] == 0 and flux_weights(band).shape == (2 * REACH + 1,) * 2
    p = flux_weights(band) / np.sum(flux_weights(band) ** 2)
    assert np.sum(p * flux_weights(band)) == pytest.approx(1.0)
    assert 0.9 < p.sum() < 1.0  # the profile itself, of unit flux but for the light beyond


def test_components_add_up_to_the_catalogued_fluxes():
    galaxies = sample_galaxies(50, seed=2)
    total = np.array([item.fluxes.sum(axis=0) for item in build_objects(galaxies, SURVEY, seed=2)])
    np.testing.assert_allclose(total, galaxies.true_flux, rtol=1e-12)
    assert all((item.fluxes >= 0).all() for item in build_objects(galaxies, SURVEY, seed=2))


def test_stamps_do_not_depend_on_their_number():
    few, table = simulate_redshift_stamps(2, seed=8)
    more, longer = simulate_redshift_stamps(4, seed=8)
    np.testing.assert_array_equal(few, more[:2])
    assert list(table["id"]) == list(longer["id"][:2])
    assert few.shape == (2, 32, 32, 5) and few.dtype == np.float32


def test_components_have_one_color_without_morphology():
    survey = dataclasses.replace(SURVEY, morphology=False)
    galaxies, plain = sample_galaxies(30, seed=2, survey=survey), sample_galaxies(30, seed=2)
    np.testing.assert_array_equal(galaxies.flux, plain.flux)
    assert not np.isclose(galaxies.structure.r_e, plain.structure.r_e).any()
    for item, flux in zip(build_objects(galaxies, survey, seed=2), galaxies.true_flux, strict=True):
        ratio = item.fluxes / flux
        np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(5), atol=1e-12)


def test_invalid_parameters_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Invalid simulation parameters"):
        simulate_redshift(tmp_path, n_objects=0)
    with pytest.raises(ConfigError, match="too small"):
        simulate_redshift_stamps(1, size=16)
    with pytest.raises(ConfigError, match="`n` must be"):
        sample_galaxies(0)
