"""Colors of populations, black bodies and dust."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.modeling.models import BlackBody

from astrocnn.simulation.spectra import PIVOT, POPULATIONS, extinction, relative_magnitude

OPTICAL = np.array([0.48, 0.62, 0.75, 0.90])


def test_zero_at_the_pivot_for_every_spectrum():
    for spectrum in [*POPULATIONS, 3500.0, 9000.0]:
        assert abs(relative_magnitude(spectrum, [PIVOT], tilt=0.3)[0]) < 1e-12


def test_black_body_agrees_with_astropy():
    planck = BlackBody(temperature=5772 * u.K)(OPTICAL * u.micron).value
    reference = BlackBody(temperature=5772 * u.K)(PIVOT * u.micron).value
    np.testing.assert_allclose(
        relative_magnitude(5772.0, OPTICAL), -2.5 * np.log10(planck / reference), atol=1e-6
    )


def test_old_population_is_redder_than_young_in_every_color():
    colors = {name: -np.diff(relative_magnitude(name, OPTICAL)) for name in POPULATIONS}
    assert np.all(colors["old"] > colors["disk"])
    assert np.all(colors["disk"] > colors["young"])


def test_extinction_is_a_v_at_550_nm_and_falls_as_a_power():
    a = extinction(np.array([0.55, 1.1]), 2.0)
    np.testing.assert_allclose(a, [2.0, 2.0 * 2**-1.3])
