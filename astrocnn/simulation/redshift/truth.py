"""The catalogue of a redshift simulation: what was measured, and the truth."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from astrocnn.simulation.redshift.galaxies import Galaxies
from astrocnn.simulation.redshift.painting import form_name
from astrocnn.simulation.redshift.photometry import RedshiftSurvey, asinh_magnitude

__all__ = ["redshift_table"]

DESCRIPTIONS = {
    "z": "true redshift, as a spectrum would give it",
    "ebv": "Galactic reddening E(B-V)",
    "morphology": "true form",
    "type": "true spectral type: 0 E, 1 Sbc, 2 Scd, 3 Im",
    "absolute_magnitude": "true absolute r magnitude, dust apart",
    "dust": "true dust in the galaxy in units of the mean of its type",
    "r_e": "true half-light radius along the major axis",
    "b_over_t": "true share of the bulge in rest-frame r",
    "axis_ratio": "true cosine of the inclination",
    "position_angle": "major axis from north through east",
}


def redshift_table(
    galaxies: Galaxies,
    survey: RedshiftSurvey,
    ra: np.ndarray | None = None,
    dec: np.ndarray | None = None,
) -> Table:
    """Table of galaxies.

    Parameters
    ----------
    galaxies : Galaxies
        Galaxies.
    survey : RedshiftSurvey
        Bands.
    ra, dec : ndarray of shape (n,), optional
        Positions [deg]; without them the table has no such columns.

    Returns
    -------
    Table
        ``id``, ``ra``, ``dec``, ``z``, measured ``mag_<band>`` and ``mag_err_<band>`` (asinh
        magnitudes, which exist for negative fluxes too), ``flux_<band>`` and ``flux_err_<band>``
        [nJy], ``ebv``, and the truth.
    """
    table = Table()
    table["id"] = galaxies.id
    if ra is not None and dec is not None:
        table["ra"], table["dec"] = np.asarray(ra, float), np.asarray(dec, float)
        table["ra"].unit = table["dec"].unit = "deg"
    table["z"] = galaxies.z.astype(np.float32)
    magnitude, error = asinh_magnitude(galaxies.flux, galaxies.flux_error)
    errors = np.broadcast_to(galaxies.flux_error, error.shape)
    words = {
        "mag": (magnitude, "mag", "measured asinh magnitude (AB)"),
        "mag_err": (error, "mag", "its standard deviation"),
        "flux": (galaxies.flux, "nJy", "measured flux"),
        "flux_err": (errors, "nJy", "its standard deviation"),
    }
    for prefix, (values, unit, text) in words.items():
        for band, column in zip(survey.names, values.T, strict=True):
            name = f"{prefix}_{band}"
            table[name] = column.astype(np.float32)
            table[name].unit, table[name].description = unit, f"{text} in {band}"
    forms = galaxies.forms
    truth = {
        "ebv": (galaxies.ebv, "mag"),
        "type": (galaxies.kind, None),
        "absolute_magnitude": (galaxies.magnitude, "mag"),
        "dust": (galaxies.dust, None),
        "r_e": (forms.r_e, "arcsec"),
        "b_over_t": (forms.b_over_t, None),
        "axis_ratio": (forms.cosine, None),
        "position_angle": (forms.position_angle, "deg"),
    }
    for name, (column, unit) in truth.items():
        table[name] = column.astype(np.float32)
        table[name].unit = unit
    table["morphology"] = form_name(forms.kind).astype("U16")
    for name, text in DESCRIPTIONS.items():
        table[name].description = text
    return table
