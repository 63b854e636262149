"""Images of galaxies whose noise is that of the catalogue."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from astrocnn.simulation.pixels import draw_objects
from astrocnn.simulation.population import generator
from astrocnn.simulation.redshift.galaxies import Galaxies
from astrocnn.simulation.redshift.painting import PaintedGalaxy
from astrocnn.simulation.redshift.photometry import REACH, RedshiftSurvey, weight

__all__ = ["draw_field"]


def draw_field(
    galaxies: Galaxies,
    objects: list[PaintedGalaxy],
    pixels: np.ndarray,
    size: int,
    survey: RedshiftSurvey,
    *,
    seed: int,
    field: int,
) -> np.ndarray:
    """A square field with noise.

    Pixel noise is white and Gaussian, drawn under the condition that the weighted sum about each
    object is the noise that its catalogued flux has: pixels and catalogue are one measurement.

    Parameters
    ----------
    galaxies : Galaxies
        Galaxies on the field.
    objects : list of PaintedGalaxy
        The same, ready to be drawn.
    pixels : ndarray of shape (n, 2)
        Zero-based positions (x, y).
    size : int
        Side [pixel].
    survey : RedshiftSurvey
        Bands.
    seed, field : int
        Seed of the simulation and number of the field.

    Returns
    -------
    ndarray of shape (n_bands, size, size)
        Flux [nJy], float32.
    """
    image = draw_objects(objects, pixels, size, survey)  # type: ignore[arg-type]
    rng = generator(seed, "pixels", field)
    wanted = galaxies.flux - galaxies.true_flux
    for plane, band, noise in zip(image, survey.bands, wanted.T, strict=True):
        white = band.sky_sigma * rng.standard_normal((size, size), dtype=np.float32)
        plane += _conditioned(white, weight(band), np.rint(pixels).astype(int), noise)
    return image


def _conditioned(
    white: np.ndarray, weights: np.ndarray, centers: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """White noise given its weighted sums: n + W^T (W W^T)^-1 (wanted - W n)."""
    size = len(white)
    used = np.flatnonzero(weights)
    dy, dx = np.divmod(used, 2 * REACH + 1)
    x, y = centers[:, :1] + dx - REACH, centers[:, 1:] + dy - REACH
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    values = np.where(inside, weights.ravel()[used], 0.0)
    flat = np.where(inside, y * size + x, 0)
    rows = np.repeat(np.arange(len(centers)), len(used))
    matrix = scipy.sparse.csr_matrix(
        (values.ravel(), (rows, flat.ravel())), shape=(len(centers), size**2)
    )
    missing = wanted - matrix @ white.ravel().astype(np.float64)
    gram = (matrix @ matrix.T).tocsc()
    solved = np.atleast_1d(scipy.sparse.linalg.spsolve(gram, missing))
    return white + (matrix.T @ solved).reshape(white.shape).astype(np.float32)
