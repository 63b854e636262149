"""Irregular galaxies, which only the survey with redshifts has, and their fluxes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import integrate

from astrocnn.simulation.artefacts import Camera
from astrocnn.simulation.artefacts.stars import star
from astrocnn.simulation.canvas import Canvas
from astrocnn.simulation.morphology import Shape
from astrocnn.simulation.objects import make_rng, sample_object
from astrocnn.simulation.presets import PRESETS
from astrocnn.simulation.redshift import RedshiftSurvey, sample_galaxies
from astrocnn.simulation.redshift.galaxies import model_fluxes
from astrocnn.simulation.redshift.population import BANDS, load_templates
from astrocnn.simulation.redshift.survey import build_objects, redshift_table
from astrocnn.simulation.spectra import MOFFAT_BETA, Component
from astrocnn.simulation.survey import COLUMNS, truth_table

pytest.importorskip("galsim")

IRREGULAR = Shape(
    "irregular",
    (Component(1.0, "old"), Component(1.0, "disk"), Component(1.0, "young")),
    extent=8.0,
    r_e=1.5,
    sersic_n=1.0,
    inclination=60.0,
    position_angle=0.0,
)


def _images(shape: Shape, seed: int) -> np.ndarray:
    """Surface brightness of each component on the cells of a canvas, the center in the middle."""
    canvas = Canvas(64, 0.3, 2)
    transforms = shape.render(canvas, make_rng(seed, "paint", 0))
    return np.fft.fftshift(np.fft.irfft2(transforms, s=(canvas.cells,) * 2), axes=(1, 2))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_components_of_irregulars_have_unit_flux(seed):
    images = _images(IRREGULAR, seed)
    np.testing.assert_allclose(images.sum(axis=(1, 2)), 1.0, rtol=1e-4)
    assert len(images) == 3


def test_disk_of_an_irregular_is_flattened_by_its_inclination_along_its_axis():
    """North is up: with a position angle of 0 the major axis is vertical."""
    disk = _images(IRREGULAR, 0)[1]
    y, x = np.mgrid[:128, :128] - 64.0
    ratio = np.sqrt((disk * x**2).sum() / (disk * y**2).sum())
    assert ratio == pytest.approx(np.cos(np.radians(60)), rel=0.05)


def test_clumps_lie_to_one_side_and_differ_between_galaxies():
    y, x = np.mgrid[:128, :128] - 64.0
    offsets = []
    for seed in range(12):
        clumps = _images(IRREGULAR, seed)[2]
        offsets.append(0.15 * np.hypot((clumps * x).sum(), (clumps * y).sum()))
    # The scatter of the common offset along the major axis is 0.35 half-light radii.
    assert 0.1 < np.median(offsets) / IRREGULAR.r_e < 0.8
    assert np.std(offsets) > 0.02


def _galaxies(n: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "z": rng.uniform(0.03, 0.35, n),
        "spectral_type": rng.uniform(0, 3, n),
        "absolute_magnitude": rng.uniform(-22, -18, n),
        "dust": rng.uniform(0.3, 2, n),
        "ebv": rng.uniform(0, 0.2, n),
    }


def test_fluxes_scale_with_luminosity_and_fade_behind_galactic_dust():
    values = _galaxies()
    flux = model_fluxes(**values, bands=BANDS)
    brighter = {**values, "absolute_magnitude": values["absolute_magnitude"] - 2.5}
    np.testing.assert_allclose(model_fluxes(**brighter, bands=BANDS), 10 * flux)
    behind = {**values, "ebv": values["ebv"] + 0.1}
    fading = 10 ** (-0.04 * load_templates(BANDS).galactic_extinction)
    np.testing.assert_allclose(model_fluxes(**behind, bands=BANDS), fading * flux)
    assert (np.diff(fading) > 0).all()  # blue bands fade more


def test_a_band_does_not_depend_on_the_others():
    values = _galaxies()
    np.testing.assert_allclose(
        model_fluxes(**values, bands=("r",))[:, 0], model_fluxes(**values, bands=BANDS)[:, 2]
    )


def test_rows_of_galaxies_keep_what_belongs_to_all():
    galaxies = sample_galaxies(30, seed=2)
    few = galaxies[np.array([4, 7])]
    assert len(few) == 2
    np.testing.assert_array_equal(few.flux, galaxies.flux[[4, 7]])
    np.testing.assert_array_equal(few.structure.r_e, galaxies.structure.r_e[[4, 7]])
    np.testing.assert_array_equal(few.flux_error, galaxies.flux_error)
    survey = RedshiftSurvey()
    alone = redshift_table(few, survey)
    whole = redshift_table(galaxies, survey)[[4, 7]]
    for name in whole.colnames:
        np.testing.assert_array_equal(alone[name], whole[name], err_msg=name)


def test_positions_are_columns_only_where_they_are_known():
    galaxies = sample_galaxies(3, seed=2)
    ra, dec = np.array([1.0, 2.0, 3.0]), np.array([-4.0, -5.0, -6.0])
    table = redshift_table(galaxies, RedshiftSurvey(), ra, dec)
    assert table.colnames[:4] == ["id", "ra", "dec", "z"]
    np.testing.assert_array_equal(table["dec"], dec)
    assert table["ra"].unit == table["dec"].unit == "deg"
    assert "ra" not in redshift_table(galaxies, RedshiftSurvey()).colnames
    preset = PRESETS["ground"]
    objects = [sample_object(1, index, preset) for index in range(3)]
    without, truth = truth_table(objects, preset), truth_table(objects, preset, ra, dec)
    assert {*COLUMNS, "mag_g", "ebv"} <= {*without.colnames} and "ra" not in without.colnames
    assert truth["id"].dtype == np.int64 and truth.colnames[:3] == ["id", "ra", "dec"]
    np.testing.assert_array_equal(truth["ra"], ra)


def test_exchanged_structure_leaves_fluxes_alone():
    plain = sample_galaxies(40, seed=5)
    mixed = sample_galaxies(
        40, seed=5, survey=dataclasses.replace(RedshiftSurvey(), morphology=False)
    )
    np.testing.assert_array_equal(plain.flux, mixed.flux)
    assert (plain.structure.r_e != mixed.structure.r_e).all()
    for item, flux in zip(
        build_objects(mixed, RedshiftSurvey(morphology=False), seed=5), mixed.true_flux, strict=True
    ):
        colors = item.fluxes / item.fluxes[:, :1]
        np.testing.assert_allclose(colors, np.broadcast_to(colors[0], colors.shape))
        np.testing.assert_allclose(item.fluxes.sum(axis=0), flux)


@pytest.mark.parametrize("x", [20.0, 0.3, -0.8, 40.2])
def test_a_star_at_the_border_has_the_light_that_falls_on_the_image(x):
    camera = Camera(sigma=1.0, fwhm=3.0, gain=1.0, full_well=1e5)
    a2 = (camera.fwhm / 2) ** 2 / (2 ** (1 / MOFFAT_BETA) - 1)

    def marginal(u: float) -> float:
        """Moffat profile integrated over all of y: a Moffat profile of one half less in beta."""
        norm = integrate.quad(lambda v: (1 + v**2 / a2) ** (0.5 - MOFFAT_BETA), -np.inf, np.inf)[0]
        return (1 + u**2 / a2) ** (0.5 - MOFFAT_BETA) / norm

    expected = integrate.quad(marginal, -0.5 - x, 40.5 - x, points=[0.0])[0]
    image = star((401, 41), x, 200.0, camera)
    assert image.sum() == pytest.approx(expected, abs=2e-3)
