"""Presets of surveys, and the selection of bands and classes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from astrocnn.errors import ConfigError
from astrocnn.simulation import CLASSES, PRESETS, SimulatedBand, get_preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_consistent(name):
    preset = PRESETS[name]
    assert preset.name == name
    assert preset.band(preset.reference) in preset.bands
    assert len({band.name for band in preset.bands}) == len(preset.bands)
    assert np.all(np.diff(preset.wavelengths) > 0)
    assert set(preset.fractions) == set(CLASSES)
    assert sum(preset.fractions.values()) == pytest.approx(1)
    bright, faint = preset.magnitudes
    assert bright < faint


def test_unit_of_a_band_is_its_zero_point():
    """A source of magnitude equal to the zero point has a flux of one image unit."""
    band = SimulatedBand("x", 0.6, 0.8, 10.0, 25.0, 1.0, 0.2)
    magnitude = 31.4 - 2.5 * np.log10(band.unit)
    assert magnitude == pytest.approx(25.0)
    # AB magnitudes: 3631 Jy at magnitude 0.
    assert pytest.approx(band.unit, rel=1e-3) == 3631e9 * 10 ** (-0.4 * 25.0)


def test_euclid_depth_is_that_of_the_wide_survey():
    """Point sources at ten standard deviations: VIS 24.5 or deeper within an aperture."""
    band = PRESETS["euclid"].band("VIS")
    noise_pixels = np.pi * (1.0 / band.pixel_scale) ** 2  # an aperture of 2 arcsec
    limit = 31.4 - 2.5 * np.log10(10 * band.sky_sigma * np.sqrt(noise_pixels))
    assert 24.0 < limit < 26.5


def test_bands_are_selected_in_the_given_order():
    preset = get_preset("ground", ("z", "g"))
    assert [band.name for band in preset.bands] == ["z", "g"]
    # The reference band of the preset is missing: the first one takes its place.
    assert preset.reference == "z" and preset.pixel_scale == 0.3
    assert get_preset("ground", ("z", "r")).reference == "r"


def test_coarse_bands_have_larger_pixels_at_the_same_depth():
    """Sky photons are proportional to the area: the surface brightness limit stays."""
    fine, coarse = PRESETS["ground"].band("z"), get_preset("ground", coarse={"z": 2.0}).band("z")
    assert coarse.pixel_scale == 2 * fine.pixel_scale
    per_area = [band.sky_sigma / band.pixel_scale for band in (fine, coarse)]
    assert per_area[0] == pytest.approx(per_area[1])
    assert get_preset("ground", coarse={"z": 2.0}).band("r") == PRESETS["ground"].band("r")


def test_own_presets_are_accepted():
    own = dataclasses.replace(PRESETS["ground"], name="mine", magnitudes=(18.0, 19.0))
    assert get_preset(own).magnitudes == (18.0, 19.0)
    assert get_preset(own, fractions={"star": 2.0}).fractions == {"star": 2.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "moon"}, "Unknown `preset`"),
        ({"bands": ()}, "at least one band"),
        ({"bands": ("g", "g")}, "each once"),
        ({"bands": ("U",)}, "Unknown band 'U'"),
        ({"coarse": {"U": 2.0}}, "Unknown band 'U'"),
        ({"fractions": {"comet": 1.0}}, "Unknown class 'comet'"),
        ({"fractions": {"star": 0.0}}, "not all 0"),
        ({"fractions": {"star": 1.0, "spiral": -0.1}}, ">= 0"),
    ],
)
def test_invalid_selections_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        get_preset(**{"preset": "ground", **arguments})
