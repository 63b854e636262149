"""Stamps of galaxies as arrays, for tests and notebooks."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.simulation.redshift.galaxies import draw_galaxies
from astrocnn.simulation.redshift.images import draw_field
from astrocnn.simulation.redshift.painting import painted
from astrocnn.simulation.redshift.photometry import REACH, RedshiftSurvey
from astrocnn.simulation.redshift.truth import redshift_table

__all__ = ["simulate_redshift_stamps"]


def simulate_redshift_stamps(
    n_objects: int, *, size: int = 32, seed: int = 0, survey: RedshiftSurvey | None = None
) -> tuple[np.ndarray, Table]:
    """Stamps of galaxies with a redshift, one galaxy on each, and their catalogue.

    Parameters
    ----------
    n_objects : int
        Number of galaxies.
    size : int
        Side of a stamp [pixel].
    seed : int
        Galaxy i of a seed is always the same, whatever `n_objects`.
    survey : RedshiftSurvey, optional
        Bands, noise, limit, and whether forms tell of the redshift.

    Returns
    -------
    images : ndarray of shape (n_objects, size, size, n_bands)
        Flux [nJy], float32.
    catalog : Table
        As in the catalogue of `simulate_redshift`, without positions.

    Raises
    ------
    ConfigError
        For a stamp on which the measurement has no room, or no galaxies.
    MissingDependency
        Without galsim.

    Examples
    --------
    >>> images, catalog = simulate_redshift_stamps(3, size=32, seed=1)
    >>> images.shape, len(catalog)
    ((3, 32, 32, 5), 3)
    """
    survey = survey or RedshiftSurvey()
    if size < 2 * REACH + 2:
        raise ConfigError("A stamp is too small.", received=size, allowed=f">= {2 * REACH + 2}")
    galaxies = draw_galaxies(n_objects, seed=seed, survey=survey)
    images = np.empty((n_objects, size, size, len(survey.bands)), np.float32)
    center = np.full((1, 2), (size - 1) / 2)
    for index, item in enumerate(painted(galaxies, survey, seed=seed)):
        alone = galaxies[index : index + 1]
        image = draw_field(alone, [item], center, size, survey, seed=seed, field=index)
        images[index] = np.moveaxis(image, 0, -1)
    return images, redshift_table(galaxies, survey)
