"""Galaxies with redshifts, real spectra, and a posterior that can be computed.

Template spectra are observed through LSST filters at redshifts sampled from luminosity functions;
images and catalogue share their noise, and the distributions of the simulation are the prior of
the true posterior p(z | photometry).
"""

from __future__ import annotations

from astrocnn.simulation.redshift.galaxies import Galaxies, RedshiftSurvey, sample_galaxies
from astrocnn.simulation.redshift.inference import catalog_posterior, posterior
from astrocnn.simulation.redshift.survey import simulate_redshift, simulate_redshift_stamps

__all__ = [
    "Galaxies",
    "RedshiftSurvey",
    "catalog_posterior",
    "posterior",
    "sample_galaxies",
    "simulate_redshift",
    "simulate_redshift_stamps",
]
