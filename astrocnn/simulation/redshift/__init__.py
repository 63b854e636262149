"""Galaxies with a redshift, real spectra, and a posterior that can be computed.

Template spectra are seen through LSST filters at a redshift drawn from a luminosity function;
images and catalogue share their noise, and the very prior of the simulation gives the true
posterior p(z | photometry).
"""

from __future__ import annotations

from astrocnn.simulation.redshift.galaxies import Galaxies, draw_galaxies
from astrocnn.simulation.redshift.inference import catalog_posterior, posterior
from astrocnn.simulation.redshift.photometry import RedshiftSurvey
from astrocnn.simulation.redshift.stamps import simulate_redshift_stamps
from astrocnn.simulation.redshift.survey import simulate_redshift

__all__ = [
    "Galaxies",
    "RedshiftSurvey",
    "catalog_posterior",
    "draw_galaxies",
    "posterior",
    "simulate_redshift",
    "simulate_redshift_stamps",
]
