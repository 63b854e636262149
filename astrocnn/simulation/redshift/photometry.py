"""The survey's bands, and how fluxes are measured on its images.

Noise is that of the background.  A flux is measured with one weight for all objects, that of a
galaxy of typical size, as if the fraction of the light it catches were known: its noise is that of
the pixels, and the same for all objects.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from astrocnn.simulation.canvas import canvas
from astrocnn.simulation.presets import NANOJANSKY_ZERO_POINT, SimulatedBand
from astrocnn.simulation.profiles import exponential

__all__ = ["SPECTRAL_SCATTER", "RedshiftSurvey", "asinh_magnitude", "weight"]

SPECTRAL_SCATTER = 0.02
"""Scatter of the flux of individual galaxies about the templates, in each band, as a fraction."""
TYPICAL_RADIUS = 1.2  # arcsec
REACH = 12  # radius of the weight [pixel]


@dataclasses.dataclass(frozen=True)
class RedshiftSurvey:
    """A survey for photometric redshifts.

    By default to r = 19 with the seeing and depth of the Sloan survey, in the filters of LSST:
    a typical galaxy is measured with five standard deviations at u g r i z = 22.1, 23.0, 22.5,
    22.1 and 20.9.

    Parameters
    ----------
    bands : tuple of SimulatedBand
        Bands with the names of `templates.BANDS`, on one pixel grid.
    limit : float
        Objects with a measured r magnitude brighter than this enter the catalogue.
    morphology : bool
        Whether sizes and forms belong to the galaxy.  If not, they are those of another galaxy
        and all parts have one color, so that pixels tell nothing that fluxes do not tell.
    oversampling : int
        Subdivision of a pixel while drawing.
    """

    bands: tuple[SimulatedBand, ...] = (
        SimulatedBand("u", 0.37, 1.15, 94.0, NANOJANSKY_ZERO_POINT, 1.0, 0.4),
        SimulatedBand("g", 0.48, 1.05, 43.0, NANOJANSKY_ZERO_POINT, 1.0, 0.4),
        SimulatedBand("r", 0.62, 1.00, 64.0, NANOJANSKY_ZERO_POINT, 1.0, 0.4),
        SimulatedBand("i", 0.75, 0.95, 94.0, NANOJANSKY_ZERO_POINT, 1.0, 0.4),
        SimulatedBand("z", 0.87, 0.95, 286.0, NANOJANSKY_ZERO_POINT, 1.0, 0.4),
    )
    limit: float = 19.0
    morphology: bool = True
    oversampling: int = 2

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bands."""
        return tuple(band.name for band in self.bands)

    @property
    def selection(self) -> int:
        """Place of the r band, in which objects are selected."""
        return self.names.index("r")

    @property
    def pixel_scale(self) -> float:
        """Pixel size [arcsec]."""
        return self.bands[0].pixel_scale

    @property
    def flux_error(self) -> np.ndarray:
        """Standard deviation of a measured flux in each band [nJy], shape (n_bands,)."""
        return np.array([b.sky_sigma * np.sqrt(np.sum(weight(b) ** 2)) for b in self.bands])


@functools.lru_cache(maxsize=32)
def weight(band: SimulatedBand) -> np.ndarray:
    """Weight with which fluxes are measured.

    The best one for a round exponential disk of typical size in this seeing; the flux of such
    an object is the sum of pixels times weights.

    Parameters
    ----------
    band : SimulatedBand
        Band.

    Returns
    -------
    ndarray of shape (side, side)
        Weights, the object in the central pixel; 0 beyond `REACH` pixels.
    """
    frame = canvas(64, band.pixel_scale, 2)
    disk = frame.profile(exponential(TYPICAL_RADIUS, 1.0, 0.0))
    image = frame.render(disk[None], np.ones((1, 1)), (band,))[0].astype(np.float64)
    middle = slice(32 - REACH, 33 + REACH)
    image = image[middle, middle]
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    image[np.hypot(x, y) > REACH] = 0.0
    return image / np.sum(image**2)


def asinh_magnitude(flux: np.ndarray, flux_error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes that exist for every flux, also a negative one.

    Above ten times the noise they agree with ordinary magnitudes within 0.003.

    Parameters
    ----------
    flux : ndarray of shape (..., n_bands)
        Measured flux [nJy].
    flux_error : ndarray of shape (n_bands,)
        Its standard deviation; also the softening.

    Returns
    -------
    magnitude, error : ndarray of shape (..., n_bands)
        AB [mag].

    References
    ----------
    Lupton, Gunn & Szalay 1999, AJ 118, 1406, with a softening of one standard deviation.
    """
    pogson = 2.5 / np.log(10)
    scaled = flux / (2 * flux_error)
    zero = NANOJANSKY_ZERO_POINT - 2.5 * np.log10(flux_error)
    error = pogson / (2 * np.sqrt(1 + scaled**2)) * np.ones_like(flux)
    return zero - pogson * np.arcsinh(scaled), error
